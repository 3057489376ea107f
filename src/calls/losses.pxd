# What the calls of losses.pxi hold.
from _core cimport ptrdiff_t

cdef enum Kind:
    MSE, MAE, HUBER, BINARY_CROSS_ENTROPY


cdef struct Loss:
    const void *z
    const void *target
    const void *class_weight
    const void *sample_weight
    void *dz
    double *rows
    double *loss
    long long *status
    ptrdiff_t N, O
    int kind
    double delta
    double smoothing
