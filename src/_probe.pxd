# fg_probe.h for both dtypes under one name each.
from _core cimport ptrdiff_t, real

cdef extern from "fg_probe.h" nogil:
    const int PROBE_ROWS "FG_PROBE_ROWS"
    void fg_see_gradient_f32(const float *x, ptrdiff_t n, double *seen)
    void fg_see_gradient_f64(const double *x, ptrdiff_t n, double *seen)
    void fg_see_update_f32(const float *p, const float *before, ptrdiff_t n, double *moved)
    void fg_see_update_f64(const double *p, const double *before, ptrdiff_t n, double *moved)
    void fg_see_rows_f32(const float *y, const float *slope, ptrdiff_t rows, ptrdiff_t columns,
                         float low, float high, double *parts, float *alive)
    void fg_see_rows_f64(const double *y, const double *slope, ptrdiff_t rows, ptrdiff_t columns,
                         double low, double high, double *parts, double *alive)
    void fg_see_squares_f32(const float *x, ptrdiff_t n, ptrdiff_t each, double *sums)
    void fg_see_squares_f64(const double *x, ptrdiff_t n, ptrdiff_t each, double *sums)


cdef inline void see_squares(const real *x, ptrdiff_t n, ptrdiff_t each,
                             double *sums) noexcept nogil:
    """Of each so many elements the sum of squares."""
    if real is float:
        fg_see_squares_f32(x, n, each, sums)
    else:
        fg_see_squares_f64(x, n, each, sums)


cdef inline void see_gradient_of(const real *x, ptrdiff_t n, double *seen) noexcept nogil:
    """Norm, largest size, zeros, denormals, and numbers that are not finite."""
    if real is float:
        fg_see_gradient_f32(x, n, seen)
    else:
        fg_see_gradient_f64(x, n, seen)


cdef inline void see_update_of(const real *p, const real *before, ptrdiff_t n,
                               double *moved) noexcept nogil:
    """Norms of `before` and of p - before."""
    if real is float:
        fg_see_update_f32(p, before, n, moved)
    else:
        fg_see_update_f64(p, before, n, moved)


cdef inline void see_rows(const real *y, const real *slope, ptrdiff_t rows, ptrdiff_t columns,
                          real low, real high, double *parts, real *alive) noexcept nogil:
    """Of each PROBE_ROWS rows sum, sum of squares, and number of elements alive."""
    if real is float:
        fg_see_rows_f32(y, slope, rows, columns, low, high, parts, alive)
    else:
        fg_see_rows_f64(y, slope, rows, columns, low, high, parts, alive)
