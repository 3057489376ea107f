# What the calls of clipping.pxi hold.
from _core cimport int64_t, ptrdiff_t


cdef struct Norms:
    const void *x
    const int64_t *blocks
    const int64_t *groups
    double *sums
    double *norms
    ptrdiff_t B, S


cdef struct Rescale:
    const double *norms
    const double *bounds
    const int64_t *blocks
    const int64_t *groups
    void *g
    double *report
    ptrdiff_t B, S


cdef struct Relative:
    const double *norms
    double *bounds
    ptrdiff_t S
    double factor, eps


cdef struct Percentile:
    const double *norm
    double *bound
    double *arrived
    double *ordered
    int64_t *count
    ptrdiff_t W
    double percentile


cdef struct ZScore:
    const double *norm
    double *bound
    double *moments
    double threshold, alpha, min_std, max_norm
    ptrdiff_t warmup


cdef struct Value:
    const int64_t *blocks
    void *g
    double *sums
    double *report
    ptrdiff_t B
    double limit
