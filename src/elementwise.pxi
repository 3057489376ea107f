# Activations as layers of their own, and the functions of fg_math.h by name.
from _activation cimport activate, activation_code, multiply_by_slope
from _core cimport (
    Mode, Team, cnp, data, keep_denormals, memcpy, ptrdiff_t, real, record_real, set_mode,
    team_share,
)
from _math cimport erf, exp, expm1, log, log1p, sigmoid, tanh


cdef enum:
    GRAIN = 64  # elements that a share is a multiple of
    FUNCTION_WORK = 20  # multiply-adds that one element is worth

cdef enum Function:
    EXP, EXPM1, TANH, SIGMOID, ERF, LOG1P, LOG

FUNCTIONS = ("exp", "expm1", "tanh", "sigmoid", "erf", "log1p", "log")


cdef struct Map:
    const void *x
    void *y
    void *slope
    const void *dy
    ptrdiff_t n
    int function
    double alpha


cdef void run_activation(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Map *a = <const Map *>args
    cdef const real *x = <const real *>a.x
    cdef real *y = <real *>a.y
    cdef real *slope = <real *>a.slope
    cdef ptrdiff_t low, high
    team_share(team, a.n, GRAIN, &low, &high)
    if y != x and low < high:
        memcpy(y + low, x + low, <size_t>(high - low) * sizeof(real))
    activate(a.function, <real>a.alpha, y + low, slope + low if slope else NULL, high - low)


def activation_forward(x, activation, alpha, y, slope):
    cdef Map a = Map(data(x), data(y), data(slope), NULL, x.size, activation_code(activation),
                     alpha)
    return record_real(x, <void *>run_activation[float], <void *>run_activation[double],
                       &a, sizeof(a), <double>a.n * FUNCTION_WORK)


cdef void run_activation_backward(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Map *a = <const Map *>args
    cdef const real *slope = <const real *>a.slope
    cdef ptrdiff_t low, high
    team_share(team, a.n, GRAIN, &low, &high)
    multiply_by_slope(a.function, <real>a.alpha, <const real *>a.x + low,
                      slope + low if slope else NULL, <const real *>a.dy + low,
                      <real *>a.y + low, high - low)


def activation_backward(y, slope, dy, activation, alpha, dx):
    cdef Map a = Map(data(y), data(dx), data(slope), data(dy), y.size, activation_code(activation),
                     alpha)
    return record_real(y, <void *>run_activation_backward[float],
                       <void *>run_activation_backward[double], &a, sizeof(a),
                       <double>a.n * FUNCTION_WORK)


cdef void run_elementwise(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Map *a = <const Map *>args
    cdef const real *x = <const real *>a.x
    cdef real *y = <real *>a.y
    cdef ptrdiff_t i, low, high
    cdef Mode mode = keep_denormals()  # the functions' error bound holds for them too
    team_share(team, a.n, GRAIN, &low, &high)
    if a.function == EXP:
        for i in range(low, high):
            y[i] = exp(x[i])
    elif a.function == EXPM1:
        for i in range(low, high):
            y[i] = expm1(x[i])
    elif a.function == TANH:
        for i in range(low, high):
            y[i] = tanh(x[i])
    elif a.function == SIGMOID:
        for i in range(low, high):
            y[i] = sigmoid(x[i])
    elif a.function == ERF:
        for i in range(low, high):
            y[i] = erf(x[i])
    elif a.function == LOG1P:
        for i in range(low, high):
            y[i] = log1p(x[i])
    else:
        for i in range(low, high):
            y[i] = log(x[i])
    set_mode(mode)


def elementwise(function, x, out):
    cdef Map a = Map(data(x), data(out), NULL, NULL, x.size, FUNCTIONS.index(function), 0)
    return record_real(x, <void *>run_elementwise[float], <void *>run_elementwise[double],
                       &a, sizeof(a), <double>a.n * FUNCTION_WORK)
