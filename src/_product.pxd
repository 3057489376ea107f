# fg_gemm.h for both dtypes under one name.
from _core cimport ptrdiff_t, real

cdef extern from "fg_gemm.h" nogil:
    ctypedef struct GemmFloat "fg_gemm_f32":
        ptrdiff_t M, N, K
        const float *a
        ptrdiff_t a_row, a_col
        const float *b
        ptrdiff_t b_row, b_col
        float *c
        ptrdiff_t c_row
        const float *bias
        bint accumulate
        ptrdiff_t all_rows
        bint packed
        int *not_finite
    ctypedef struct GemmDouble "fg_gemm_f64":
        ptrdiff_t M, N, K
        const double *a
        ptrdiff_t a_row, a_col
        const double *b
        ptrdiff_t b_row, b_col
        double *c
        ptrdiff_t c_row
        const double *bias
        bint accumulate
        ptrdiff_t all_rows
        bint packed
        int *not_finite
    void fg_multiply_f32(const GemmFloat *g, float *scratch)
    void fg_multiply_f64(const GemmDouble *g, double *scratch)
    void fg_pack_f32(const GemmFloat *g, float *panels, int rank, int used)
    void fg_pack_f64(const GemmDouble *g, double *panels, int rank, int used)
    void fg_multiply_panels_f32(const GemmFloat *g, float *scratch)
    void fg_multiply_panels_f64(const GemmDouble *g, double *scratch)
    const int VECTOR_FLOATS "FG_LANES_f32"
    const int VECTOR_DOUBLES "FG_LANES_f64"
    const int SCRATCH_FLOATS "FG_SCRATCH_f32"
    const int SCRATCH_DOUBLES "FG_SCRATCH_f64"


cdef inline void multiply(
    ptrdiff_t M, ptrdiff_t N, ptrdiff_t K,
    const real *a, ptrdiff_t a_row, ptrdiff_t a_col,
    const real *b, ptrdiff_t b_row, ptrdiff_t b_col,
    real *c, ptrdiff_t c_row,
    const real *bias, bint accumulate, ptrdiff_t all_rows, int *not_finite, real *scratch,
) noexcept nogil:
    """c[M,N] = bias[N] + a[M,K] b[K,N], or c += a b; see fg_gemm.h for the rest."""
    cdef GemmFloat f
    cdef GemmDouble d
    if real is float:
        f = GemmFloat(M, N, K, a, a_row, a_col, b, b_row, b_col, c, c_row, bias, accumulate,
                      all_rows, False, not_finite)
        fg_multiply_f32(&f, scratch)
    else:
        d = GemmDouble(M, N, K, a, a_row, a_col, b, b_row, b_col, c, c_row, bias, accumulate,
                       all_rows, False, not_finite)
        fg_multiply_f64(&d, scratch)


cdef inline void pack(
    ptrdiff_t N, ptrdiff_t K, const real *b, ptrdiff_t b_row, ptrdiff_t b_col, real *panels,
    int rank, int used,
) noexcept nogil:
    """This thread's share of the panels of b[K,N]."""
    cdef GemmFloat f
    cdef GemmDouble d
    if real is float:
        f = GemmFloat(0, N, K, NULL, 0, 0, b, b_row, b_col, NULL, 0, NULL, False, 0, False, NULL)
        fg_pack_f32(&f, panels, rank, used)
    else:
        d = GemmDouble(0, N, K, NULL, 0, 0, b, b_row, b_col, NULL, 0, NULL, False, 0, False, NULL)
        fg_pack_f64(&d, panels, rank, used)


cdef inline ptrdiff_t packed_size(ptrdiff_t N, ptrdiff_t K, const real *like) noexcept nogil:
    """Elements of these panels."""
    cdef ptrdiff_t lanes = VECTOR_FLOATS if real is float else VECTOR_DOUBLES
    return (N + lanes - 1) // lanes * lanes * K


cdef inline void multiply_panels(
    ptrdiff_t M, ptrdiff_t N, ptrdiff_t K, const real *a, ptrdiff_t a_row, const real *panels,
    real *c, ptrdiff_t c_row, const real *bias, bint accumulate, real *scratch,
) noexcept nogil:
    """c[M,N] = bias[N] + a[M,K] b[K,N], or c += a b, for b as `pack` made it."""
    cdef GemmFloat f
    cdef GemmDouble d
    if real is float:
        f = GemmFloat(M, N, K, a, a_row, 1, panels, 0, 0, c, c_row, bias, accumulate, M, True,
                      NULL)
        fg_multiply_panels_f32(&f, scratch)
    else:
        d = GemmDouble(M, N, K, a, a_row, 1, panels, 0, 0, c, c_row, bias, accumulate, M, True,
                       NULL)
        fg_multiply_panels_f64(&d, scratch)
