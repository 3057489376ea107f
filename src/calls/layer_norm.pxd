# What the calls of layer_norm.pxi hold.
from _core cimport int64_t, ptrdiff_t


cdef struct LayerNorm:
    const void *x
    const void *weight
    const void *bias
    void *y
    double *mean
    double *scale
    const int64_t *offsets
    ptrdiff_t N, T, F
    bint center
    double eps


cdef struct LayerNormBackward:
    const void *x
    const void *weight
    const double *mean
    const double *scale
    const void *dy
    void *dx
    void *dweight
    void *dbias
    long long *status
    const int64_t *offsets
    ptrdiff_t N, T, F
    bint center
