# What the calls of losses.pxi hold.
from _core cimport int64_t, ptrdiff_t

cdef enum Kind:
    MSE, MAE, HUBER, BINARY_CROSS_ENTROPY


# its value and its derivative with respect to z
ctypedef void (*FormulaFloat)(const float *z, const float *target, float *value, float *dz,
                              int64_t n) noexcept nogil
ctypedef void (*FormulaDouble)(const double *z, const double *target, double *value, double *dz,
                               int64_t n) noexcept nogil


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
    void *formula  # a user's function for an output and its target, or NULL
    double delta
    double smoothing
