# What the calls of batch_norm.pxi hold.
from _core cimport ptrdiff_t


cdef struct BatchNorm:
    const void *x
    const void *weight
    const void *bias
    double *mean
    double *var
    void *y  # dx, in the backward pass
    const void *dy
    void *dweight
    void *dbias
    long long *status
    ptrdiff_t N, F
    double eps


cdef struct Running:
    const double *mean
    const double *var
    void *running_mean
    void *running_var
    ptrdiff_t F
    double momentum, unbiased


cdef struct Predict:
    const void *x
    const void *weight
    const void *bias
    const void *running_mean
    const void *running_var
    void *y
    ptrdiff_t N, F
    double eps
