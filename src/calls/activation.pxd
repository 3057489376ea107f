# The activations by number, and what the calls of activation.pxi hold.
from _core cimport ptrdiff_t

cdef enum Activation:
    IDENTITY, RELU, LEAKY_RELU, ELU, SELU, GELU, GELU_TANH, SILU, SOFTPLUS, SOFTSIGN, TANH, SIGMOID


cdef inline int activation_code(str name) except -1:
    return ("identity", "relu", "leaky_relu", "elu", "selu", "gelu", "gelu_tanh", "silu",
            "softplus", "softsign", "tanh", "sigmoid").index(name)


cdef struct Activated:
    const void *x
    void *y
    void *slope
    const void *dy
    ptrdiff_t n
    int activation
    double alpha
