# The activations by number, and what the calls of activation.pxi hold.
from _core cimport int64_t, ptrdiff_t

cdef enum Activation:
    IDENTITY, RELU, LEAKY_RELU, ELU, SELU, GELU, GELU_TANH, SILU, SOFTPLUS, SOFTSIGN, TANH, SIGMOID
    OWN = 4096  # the least number that is the address of a user's function

# y = f(z) and its slope, or NULL; z may be y
ctypedef void (*OwnFloat)(const float *z, float *y, float *slope, int64_t n) noexcept nogil
ctypedef void (*OwnDouble)(const double *z, double *y, double *slope, int64_t n) noexcept nogil


cdef inline int64_t activation_code(activation, like) except -1:
    """The number of a name; or where the function for the dtype of `like` is."""
    if not isinstance(activation, str):
        return activation.address(like.dtype)
    return ("identity", "relu", "leaky_relu", "elu", "selu", "gelu", "gelu_tanh", "silu",
            "softplus", "softsign", "tanh", "sigmoid").index(activation)


cdef struct Activated:
    const void *x
    void *y
    void *slope
    const void *dy
    ptrdiff_t n
    int64_t activation
    double alpha
