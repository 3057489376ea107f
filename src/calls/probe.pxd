# What the calls of probe.pxi hold.
from _core cimport int64_t, ptrdiff_t


cdef struct Seen:
    const void *x
    const void *before
    const int64_t *blocks
    double *seen
    ptrdiff_t B


cdef struct Updated:
    const double *seen
    const double *moved
    const int64_t *groups
    const int64_t *spare
    const double *loss
    const double *rate
    const int64_t *step
    double *tensors
    double *losses
    ptrdiff_t S, K


cdef struct Output:
    const void *y
    const void *slope
    void *alive
    double *parts
    double low, high
    ptrdiff_t N, F


cdef struct Delta:
    const void *dy
    double *sums
    ptrdiff_t N, F


cdef struct Noted:
    const double *parts
    const double *sums
    const int64_t *rows
    const int64_t *units
    const double *elements
    const int64_t *places
    const int64_t *step
    void *alive
    void *lived
    double *ring
    ptrdiff_t D, K, L


cdef struct Flow:
    const double *flow
    const int64_t *step
    double *ring
    int64_t *stamps
    ptrdiff_t size, K
