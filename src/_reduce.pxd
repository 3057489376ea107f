# fg_reduce.h for both dtypes under one name each.
from _core cimport ptrdiff_t, real

cdef extern from "fg_reduce.h" nogil:
    double fg_sum_f32(const float *x, ptrdiff_t n)
    double fg_sum_f64(const double *x, ptrdiff_t n)
    double fg_sum_squares_f32(const float *x, ptrdiff_t n)
    double fg_sum_squares_f64(const double *x, ptrdiff_t n)
    double fg_sum_sizes_f32(const float *x, ptrdiff_t n)
    double fg_sum_sizes_f64(const double *x, ptrdiff_t n)
    double fg_dot_f32(const float *x, const float *y, ptrdiff_t n)
    double fg_dot_f64(const double *x, const double *y, ptrdiff_t n)
    bint fg_finite_f32(const float *x, ptrdiff_t n)
    bint fg_finite_f64(const double *x, ptrdiff_t n)

    void fg_add_rows_f32(const float *x, ptrdiff_t rows, ptrdiff_t row, ptrdiff_t columns,
                         float *sums)
    void fg_add_rows_f64(const double *x, ptrdiff_t rows, ptrdiff_t row, ptrdiff_t columns,
                         double *sums)


cdef inline double sum_of(const real *x, ptrdiff_t n) noexcept nogil:
    if real is float:
        return fg_sum_f32(x, n)
    else:
        return fg_sum_f64(x, n)


cdef inline double sum_of_squares(const real *x, ptrdiff_t n) noexcept nogil:
    if real is float:
        return fg_sum_squares_f32(x, n)
    else:
        return fg_sum_squares_f64(x, n)


cdef inline double sum_of_sizes(const real *x, ptrdiff_t n) noexcept nogil:
    if real is float:
        return fg_sum_sizes_f32(x, n)
    else:
        return fg_sum_sizes_f64(x, n)


cdef inline double dot(const real *x, const real *y, ptrdiff_t n) noexcept nogil:
    if real is float:
        return fg_dot_f32(x, y, n)
    else:
        return fg_dot_f64(x, y, n)


cdef inline bint all_finite(const real *x, ptrdiff_t n) noexcept nogil:
    if real is float:
        return fg_finite_f32(x, n)
    else:
        return fg_finite_f64(x, n)


cdef inline void add_rows(const real *x, ptrdiff_t rows, ptrdiff_t row, ptrdiff_t columns,
                          real *sums) noexcept nogil:
    """sums[columns] += each row of x; its rows lie `row` apart."""
    if real is float:
        fg_add_rows_f32(x, rows, row, columns, sums)
    else:
        fg_add_rows_f64(x, rows, row, columns, sums)
