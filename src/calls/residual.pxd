# What the calls of residual.pxi hold.
from _core cimport ptrdiff_t


cdef struct Around:
    const void *x
    const void *f
    const void *scale
    void *y
    void *dscale
    double *rows
    long long *status
    ptrdiff_t N, F
    double factor
