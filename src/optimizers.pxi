# Optimizers, one pass over the flat arenas each; adam.pxi has Adam and its kin.
#
# design:
#  a) A loop reads and writes every vector once, and threads share it in whole blocks, so that an
#     element is always met by the same code.
#  b) What changes between steps (hyperparameters, step count) is read from memory when the call
#     runs, because the call itself is recorded once. Scalars are computed in float64.
#  c) Where gradient, parameter and state are 0, as between two tensors, the parameter stays 0.
from _core cimport Team, ptrdiff_t, real, team_share
from _math cimport square_root
from _optimizer cimport BLOCK, run_watched
from calls.optimizers cimport Pass


cdef extern from "fg_update.h" nogil:
    void fg_sgd_f32(const float *g, float *p, float *velocity, ptrdiff_t n, const double *numbers,
                    double *seen, double *moved)
    void fg_sgd_f64(const double *g, double *p, double *velocity, ptrdiff_t n,
                    const double *numbers, double *seen, double *moved)


cdef void run_sgd(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Pass *a = <const Pass *>args
    cdef const real *g = <const real *>a.g
    cdef real *p = <real *>a.p
    cdef real *velocity = <real *>a.first
    cdef double lr = a.hyper[0], momentum = a.hyper[1]
    cdef bint begins = a.step[0] == 0  # the first velocity is the gradient itself
    cdef double[9] numbers
    cdef ptrdiff_t low, high
    # lr v, or Nesterov's lr (d + momentum v), for v = keep v + add d and d = g + decay p
    numbers[0], numbers[1] = lr, 0 if begins else momentum
    numbers[2] = 1 if begins else 1 - a.hyper[2]
    numbers[3], numbers[4] = a.hyper[3], 0
    if velocity == NULL:
        numbers[4] = lr
    elif a.hyper[4] != 0:
        numbers[0], numbers[4] = lr * momentum, lr
    team_share(team, a.P, BLOCK, &low, &high)
    g, p = g + low, p + low
    velocity = velocity + low if velocity else NULL
    if real is float:
        fg_sgd_f32(g, p, velocity, high - low, numbers, a.seen, a.moved)
    else:
        fg_sgd_f64(g, p, velocity, high - low, numbers, a.seen, a.moved)


cdef void run_rmsprop(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Pass *a = <const Pass *>args
    cdef const real *g = <const real *>a.g
    cdef real *p = <real *>a.p
    cdef real *square = <real *>a.first
    cdef real *velocity = <real *>a.second
    cdef real *mean = <real *>a.third
    cdef real lr = <real>a.hyper[0], alpha = <real>a.hyper[1], beta = <real>(1 - a.hyper[1])
    cdef real eps = <real>a.hyper[2], decay = <real>a.hyper[3], momentum = <real>a.hyper[4]
    cdef real d, s, m, v
    cdef ptrdiff_t i, low, high
    team_share(team, a.P, BLOCK, &low, &high)
    if mean == NULL and velocity == NULL:
        for i in range(low, high):
            d = g[i] + decay * p[i]
            s = alpha * square[i] + beta * d * d
            square[i] = s
            p[i] -= lr * d / (square_root(s) + eps)
    elif mean == NULL:
        for i in range(low, high):
            d = g[i] + decay * p[i]
            s = alpha * square[i] + beta * d * d
            v = momentum * velocity[i] + d / (square_root(s) + eps)
            square[i], velocity[i] = s, v
            p[i] -= lr * v
    elif velocity == NULL:
        for i in range(low, high):
            d = g[i] + decay * p[i]
            s = alpha * square[i] + beta * d * d
            m = alpha * mean[i] + beta * d
            square[i], mean[i] = s, m
            p[i] -= lr * d / (square_root(variance(s, m)) + eps)
    else:
        for i in range(low, high):
            d = g[i] + decay * p[i]
            s = alpha * square[i] + beta * d * d
            m = alpha * mean[i] + beta * d
            v = momentum * velocity[i] + d / (square_root(variance(s, m)) + eps)
            square[i], mean[i], velocity[i] = s, m, v
            p[i] -= lr * v


cdef inline real variance(real square, real mean) noexcept nogil:
    """Not below 0, where rounding would take it for a gradient that hardly changes."""
    cdef real found = square - mean * mean, none = 0
    return none if found < 0 else found


cdef void run_adagrad(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Pass *a = <const Pass *>args
    cdef const real *g = <const real *>a.g
    cdef real *p = <real *>a.p
    cdef real *square = <real *>a.first
    cdef real rate = <real>(a.hyper[0] / (1 + <double>a.step[0] * a.hyper[1]))
    cdef real decay = <real>a.hyper[2], eps = <real>a.hyper[3], d, s
    cdef ptrdiff_t i, low, high
    team_share(team, a.P, BLOCK, &low, &high)
    for i in range(low, high):
        d = g[i] + decay * p[i]
        s = square[i] + d * d
        square[i] = s
        p[i] -= rate * d / (square_root(s) + eps)


cdef void run_adadelta(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Pass *a = <const Pass *>args
    cdef const real *g = <const real *>a.g
    cdef real *p = <real *>a.p
    cdef real *square = <real *>a.first
    cdef real *square_delta = <real *>a.second
    cdef real lr = <real>a.hyper[0], rho = <real>a.hyper[1], rest = <real>(1 - a.hyper[1])
    cdef real eps = <real>a.hyper[2], decay = <real>a.hyper[3], d, s
    cdef ptrdiff_t i, low, high
    team_share(team, a.P, BLOCK, &low, &high)
    for i in range(low, high):
        d = g[i] + decay * p[i]
        s = rho * square[i] + rest * d * d
        square[i] = s
        d *= square_root((square_delta[i] + eps) / (s + eps))
        square_delta[i] = rho * square_delta[i] + rest * d * d
        p[i] -= lr * d


cdef void run_rprop(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Pass *a = <const Pass *>args
    cdef const real *g = <const real *>a.g
    cdef real *p = <real *>a.p
    cdef real *previous = <real *>a.first
    cdef real *step_size = <real *>a.second
    cdef real down = <real>a.hyper[1], up = <real>a.hyper[2]
    cdef real least = <real>a.hyper[3], most = <real>a.hyper[4], one = 1, none = 0, d, e, size
    cdef ptrdiff_t i, low, high
    team_share(team, a.P, BLOCK, &low, &high)
    for i in range(low, high):
        e = g[i] * previous[i]  # which is a sign, as the product of two small gradients would be 0
        size = step_size[i] * (up if e > 0 else (down if e < 0 else one))
        size = least if size < least else size
        size = most if size > most else size
        d = none if e < 0 else sign(g[i])
        step_size[i], previous[i] = size, d
        p[i] -= d * size


cdef inline real sign(real x) noexcept nogil:
    cdef real one = 1  # of its type, or GCC converts integers
    return one if x > 0 else (-one if x < 0 else x)


cdef void run_lion(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Pass *a = <const Pass *>args
    cdef const real *g = <const real *>a.g
    cdef real *p = <real *>a.p
    cdef real *mean = <real *>a.first
    cdef double lr = a.hyper[0]
    cdef real beta1 = <real>a.hyper[1], rest1 = <real>(1 - a.hyper[1])
    cdef real beta2 = <real>a.hyper[2], rest2 = <real>(1 - a.hyper[2])
    cdef real rate = <real>lr, shrink = <real>(1 - lr * a.hyper[3]), m
    cdef ptrdiff_t i, low, high
    team_share(team, a.P, BLOCK, &low, &high)
    for i in range(low, high):
        m = mean[i]
        p[i] = shrink * p[i] - rate * sign(beta1 * m + rest1 * g[i])
        mean[i] = beta2 * m + rest2 * g[i]
