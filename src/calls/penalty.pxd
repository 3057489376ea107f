# What the calls of penalty.pxi hold.
from _core cimport int64_t, ptrdiff_t


cdef struct Penalty:
    const void *w
    void *g
    const int64_t *blocks
    const double *l1
    const double *l2
    double *sums
    double *loss
    long long *status
    ptrdiff_t P, B
