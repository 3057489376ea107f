# What the calls of embedding.pxi hold.
from _core cimport int64_t, ptrdiff_t


cdef struct Lookup:
    const void *w
    const int64_t *x
    void *y
    ptrdiff_t N, F


cdef struct Scatter:
    const int64_t *x
    const void *dy
    void *dw
    int64_t *place  # of a row of the table among the used ones
    int64_t *row  # used rows of the table, the place in the batch where each is first and last
    int64_t *first
    int64_t *last
    int64_t *following  # the next place with the same index
    int64_t *count  # of used rows
    long long *status
    ptrdiff_t N, V, F
    int64_t padding
