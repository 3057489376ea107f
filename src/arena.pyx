# Single passes over the flat arenas: optimizers, the check for non-finite gradients.
#
# design:
#  a) Work is shared in whole blocks, so that an element is always met by the same code, whatever
#     the number of threads.
#  b) Scalars that change between steps (learning rate, step count) are read from memory when the
#     call runs, because the call itself is recorded once.
from libc.math cimport pow, sqrt

from _core cimport (
    Team, cnp, data, int64_t, ptrdiff_t, raise_flag, real, record_real, team_share,
)
from _math cimport square_root
from _reduce cimport all_finite

cnp.import_array()

cdef enum:
    BLOCK = 4096


cdef struct Pass:
    const void *g
    void *p
    void *first  # velocity (sgd, rmsprop) or mean (adam); NULL where there is none
    void *square
    const double *hyper
    const int64_t *step
    ptrdiff_t P


cdef void run_sgd(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Pass *a = <const Pass *>args
    cdef const real *g = <const real *>a.g
    cdef real *p = <real *>a.p
    cdef real *velocity = <real *>a.first
    cdef real lr = <real>a.hyper[0], momentum = <real>a.hyper[1], keep = <real>(1 - a.hyper[2])
    cdef real decay = <real>a.hyper[3], d
    cdef bint nesterov = a.hyper[4] != 0
    cdef ptrdiff_t i, low, high
    team_share(team, a.P, BLOCK, &low, &high)
    if velocity == NULL:
        for i in range(low, high):
            p[i] -= lr * (g[i] + decay * p[i])
        return
    if a.step[0] == 0:  # the first velocity is the gradient itself, as in PyTorch
        momentum, keep = 0, 1
    for i in range(low, high):
        velocity[i] = momentum * velocity[i] + keep * (g[i] + decay * p[i])
    momentum = <real>a.hyper[1]
    if nesterov:
        for i in range(low, high):
            d = g[i] + decay * p[i]
            p[i] -= lr * (d + momentum * velocity[i])
    else:
        for i in range(low, high):
            p[i] -= lr * velocity[i]


cdef void run_rmsprop(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Pass *a = <const Pass *>args
    cdef const real *g = <const real *>a.g
    cdef real *p = <real *>a.p
    cdef real *square = <real *>a.square
    cdef real *velocity = <real *>a.first
    cdef real lr = <real>a.hyper[0], alpha = <real>a.hyper[1], beta = <real>(1 - a.hyper[1])
    cdef real eps = <real>a.hyper[2], decay = <real>a.hyper[3], momentum = <real>a.hyper[4], d
    cdef ptrdiff_t i, low, high
    team_share(team, a.P, BLOCK, &low, &high)
    if velocity == NULL:
        for i in range(low, high):
            d = g[i] + decay * p[i]
            square[i] = alpha * square[i] + beta * d * d
            p[i] -= lr * d / (square_root(square[i]) + eps)
    else:
        for i in range(low, high):
            d = g[i] + decay * p[i]
            square[i] = alpha * square[i] + beta * d * d
            velocity[i] = momentum * velocity[i] + d / (square_root(square[i]) + eps)
            p[i] -= lr * velocity[i]


cdef void run_adam(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Pass *a = <const Pass *>args
    cdef const real *g = <const real *>a.g
    cdef real *p = <real *>a.p
    cdef real *mean = <real *>a.first
    cdef real *square = <real *>a.square
    cdef double lr = a.hyper[0], decay = a.hyper[4], t = <double>(a.step[0] + 1)
    cdef real beta1 = <real>a.hyper[1], beta2 = <real>a.hyper[2], eps = <real>a.hyper[3]
    cdef real rest1 = <real>(1 - a.hyper[1]), rest2 = <real>(1 - a.hyper[2])
    cdef real rate = <real>(lr / (1 - pow(a.hyper[1], t)))
    cdef real correction = <real>(1 / sqrt(1 - pow(a.hyper[2], t)))
    cdef real shrink = 1, coupled = <real>decay, d
    cdef ptrdiff_t i, low, high
    team_share(team, a.P, BLOCK, &low, &high)
    if decay == 0:  # two operations less, which the plain pass has no room for
        for i in range(low, high):
            mean[i] = beta1 * mean[i] + rest1 * g[i]
            square[i] = beta2 * square[i] + rest2 * g[i] * g[i]
            p[i] -= rate * mean[i] / (square_root(square[i]) * correction + eps)
        return
    if a.hyper[5] != 0:
        shrink, coupled = <real>(1 - lr * decay), 0
    for i in range(low, high):
        d = g[i] + coupled * p[i]
        mean[i] = beta1 * mean[i] + rest1 * d
        square[i] = beta2 * square[i] + rest2 * d * d
        p[i] = shrink * p[i] - rate * mean[i] / (square_root(square[i]) * correction + eps)


def sgd(g, hyper, step, p, velocity):
    cdef Pass a = Pass(data(g), data(p), data(velocity), NULL, <const double *>data(hyper),
                       <const int64_t *>data(step), g.size)
    return record_real(g, <void *>run_sgd[float], <void *>run_sgd[double], &a, sizeof(a),
                       4.0 * a.P)


def rmsprop(g, hyper, step, p, square, velocity):
    cdef Pass a = Pass(data(g), data(p), data(velocity), data(square), <const double *>data(hyper),
                       <const int64_t *>data(step), g.size)
    return record_real(g, <void *>run_rmsprop[float], <void *>run_rmsprop[double], &a, sizeof(a),
                       8.0 * a.P)


def adam(g, hyper, step, p, mean, square):
    cdef Pass a = Pass(data(g), data(p), data(mean), data(square), <const double *>data(hyper),
                       <const int64_t *>data(step), g.size)
    return record_real(g, <void *>run_adam[float], <void *>run_adam[double], &a, sizeof(a),
                       8.0 * a.P)


cdef struct Finite:
    const void *g
    long long *status
    ptrdiff_t P


cdef void run_check_finite(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Finite *a = <const Finite *>args
    cdef const real *g = <const real *>a.g
    cdef ptrdiff_t low, high
    team_share(team, a.P, BLOCK, &low, &high)
    if not all_finite(g + low, high - low):
        raise_flag(a.status)


def check_finite(g, status):
    cdef Finite a = Finite(data(g), <long long *>data(status), g.size)
    return record_real(g, <void *>run_check_finite[float], <void *>run_check_finite[double],
                       &a, sizeof(a), <double>a.P)
