# The functions of fg_math.h by name.
from _core cimport Mode, Team, keep_denormals, ptrdiff_t, real, set_mode, team_share
from _math cimport erf, exp, expm1, log, log1p, sigmoid, tanh
from calls.elementwise cimport ERF, EXP, EXPM1, LOG1P, SIGMOID, TANH, Map

cdef enum:
    GRAIN = 64  # elements that a share is a multiple of


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
