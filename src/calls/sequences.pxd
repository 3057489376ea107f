# What the calls of sequences.pxi hold.
from _core cimport int64_t, ptrdiff_t


cdef struct Plan:
    const int64_t *lengths
    int64_t *order
    int64_t *offsets
    ptrdiff_t N, T


cdef struct Move:
    const void *x
    void *y
    const int64_t *order
    const int64_t *offsets
    ptrdiff_t N, T, R, F, G, start
    bint reverse, add


cdef struct Sum:
    const void *x
    void *sums
    long long *status
    ptrdiff_t N, F
