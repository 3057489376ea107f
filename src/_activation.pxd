# The activations: y = f(z) in place, and f'(z) from y.
#
# design:
#  a) One loop per activation, free of branches, so that the compiler vectorizes each.
#  b) Where f' is a function of y, only y is kept. gelu, gelu_tanh and silu are not monotone, so
#     their forward loop leaves f'(z) in `slope` when the caller will want a backward pass.
#  c) What users write is compiled to C functions, whose address is the number of the activation.
#  d) Comparisons are written so that NaN passes through.
from _core cimport int64_t, ptrdiff_t, real
from _math cimport absolute, erf, exp, expm1, log1p, sigmoid, tanh
from calls.activation cimport (
    ELU, GELU, GELU_TANH, LEAKY_RELU, OWN, RELU, SELU, SIGMOID, SILU, SOFTPLUS, SOFTSIGN, TANH,
    OwnDouble, OwnFloat,
)

cdef inline bint keeps_slope(int64_t kind) noexcept nogil:
    """Whether f' is no function of y."""
    return kind == GELU or kind == GELU_TANH or kind == SILU or kind >= OWN

cdef extern from *:
    """
    /* selu's constants (Klambauer et al. 2017, eq. 14); sqrt(1/2); 1/sqrt(2 pi); sqrt(2/pi) */
    #define FG_SELU_SCALE 1.0507009873554804934193349852946
    #define FG_SELU_ALPHA 1.6732632423543772848170429916717
    #define FG_SQRT_HALF 0.70710678118654752440
    #define FG_NORMAL_PEAK 0.39894228040143267794
    #define FG_SQRT_2_PI 0.79788456080286535588
    """
    const double SELU_SCALE "FG_SELU_SCALE"
    const double SELU_ALPHA "FG_SELU_ALPHA"
    const double SQRT_HALF "FG_SQRT_HALF"
    const double NORMAL_PEAK "FG_NORMAL_PEAK"
    const double SQRT_2_PI "FG_SQRT_2_PI"


cdef inline void activate(
    int64_t kind, real alpha, real *y, real *slope, ptrdiff_t n
) noexcept nogil:
    """y[n]: z on entry, f(z) on return. slope[n]: f'(z) on return, or NULL."""
    cdef ptrdiff_t i
    cdef real z, s, t
    cdef real one = 1, zero = 0, half = <real>0.5
    cdef real scale = <real>SELU_SCALE, scaled_alpha = <real>(SELU_SCALE * SELU_ALPHA)
    cdef real c = <real>SQRT_2_PI, cubic = <real>0.044715, three = 3
    if kind >= OWN:
        if real is float:
            (<OwnFloat><void *>kind)(y, y, slope, n)
        else:
            (<OwnDouble><void *>kind)(y, y, slope, n)
    elif kind == RELU:
        for i in range(n):
            y[i] = zero if y[i] < zero else y[i]
    elif kind == LEAKY_RELU:
        for i in range(n):
            y[i] = alpha * y[i] if y[i] < zero else y[i]
    elif kind == ELU:
        for i in range(n):
            s = alpha * expm1(y[i])
            y[i] = s if y[i] < zero else y[i]
    elif kind == SELU:
        for i in range(n):
            s = scaled_alpha * expm1(y[i])
            y[i] = s if y[i] < zero else scale * y[i]
    elif kind == TANH:
        for i in range(n):
            y[i] = tanh(y[i])
    elif kind == SIGMOID:
        for i in range(n):
            y[i] = sigmoid(y[i])
    elif kind == SOFTPLUS:
        for i in range(n):
            t = log1p(exp(-absolute(y[i])))
            y[i] = (zero if y[i] < zero else y[i]) + t
    elif kind == SOFTSIGN:
        for i in range(n):
            y[i] = y[i] / (one + absolute(y[i]))
    elif kind == SILU:
        if slope == NULL:
            for i in range(n):
                y[i] = y[i] * sigmoid(y[i])
        else:
            for i in range(n):
                z = y[i]
                s = sigmoid(z)
                y[i] = z * s
                slope[i] = s + z * s * (one - s)
    elif kind == GELU:
        if slope == NULL:
            for i in range(n):
                y[i] = half * y[i] * (one + erf(<real>SQRT_HALF * y[i]))
        else:
            for i in range(n):
                z = y[i]
                s = half * (one + erf(<real>SQRT_HALF * z))
                y[i] = z * s
                slope[i] = s + z * <real>NORMAL_PEAK * exp(-half * z * z)
    elif kind == GELU_TANH:
        if slope == NULL:
            for i in range(n):
                z = y[i]
                y[i] = half * z * (one + tanh(c * (z + cubic * z * z * z)))
        else:
            for i in range(n):
                z = y[i]
                t = tanh(c * (z + cubic * z * z * z))
                y[i] = half * z * (one + t)
                s = c * (one + three * cubic * z * z)
                slope[i] = half * (one + t) + half * z * (one - t * t) * s


cdef inline void multiply_by_slope(
    int64_t kind, real alpha, const real *y, const real *slope, const real *dy, real *dz,
    ptrdiff_t n,
) noexcept nogil:
    """dz[n] = dy[n] * f'(z[n]); dz may be dy."""
    cdef ptrdiff_t i
    cdef real one = 1, zero = 0, t
    cdef real scale = <real>SELU_SCALE, scaled_alpha = <real>(SELU_SCALE * SELU_ALPHA)
    if keeps_slope(kind):
        for i in range(n):
            dz[i] = dy[i] * slope[i]
    elif kind == RELU:
        for i in range(n):
            dz[i] = dy[i] if y[i] > zero else zero
    elif kind == LEAKY_RELU:
        for i in range(n):
            dz[i] = dy[i] if y[i] > zero else alpha * dy[i]
    elif kind == ELU:
        for i in range(n):
            dz[i] = dy[i] * (one if y[i] > zero else y[i] + alpha)
    elif kind == SELU:
        for i in range(n):
            dz[i] = dy[i] * (scale if y[i] > zero else y[i] + scaled_alpha)
    elif kind == TANH:
        for i in range(n):
            dz[i] = dy[i] * (one - y[i] * y[i])
    elif kind == SIGMOID:
        for i in range(n):
            dz[i] = dy[i] * (y[i] * (one - y[i]))
    elif kind == SOFTPLUS:
        for i in range(n):
            dz[i] = dy[i] * -expm1(-y[i])
    elif kind == SOFTSIGN:
        for i in range(n):
            t = one - absolute(y[i])
            dz[i] = dy[i] * (t * t)
    elif dz != dy:
        for i in range(n):
            dz[i] = dy[i]
