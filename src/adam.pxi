# Adam and its kin: a running mean of the gradient over one of its size. See optimizers.pxi.
from libc.math cimport pow, sqrt

from _core cimport Team, int64_t, ptrdiff_t, real, team_share
from _math cimport absolute, square_root
from _optimizer cimport BLOCK, once
from calls.optimizers cimport Pass


cdef extern from "fg_update.h" nogil:
    void fg_adam_f32(const float *g, float *p, float *mean, float *square, ptrdiff_t n,
                     const double *numbers, double *seen, double *moved)
    void fg_adam_f64(const double *g, double *p, double *mean, double *square, ptrdiff_t n,
                     const double *numbers, double *seen, double *moved)


cdef inline void correct(const Pass *a, double *rate, double *correction) noexcept nogil:
    """lr / (1 - beta1^t) and 1 / sqrt(1 - beta2^t), once for all blocks of a pass."""
    cdef double t = <double>(a.step[0] + 1)
    if a.powers != NULL and a.powers[3] >= 0:
        rate[0], correction[0] = a.powers[3], a.powers[4]
        return
    rate[0] = a.hyper[0] * a.hyper[6] / (1 - pow(a.hyper[1], t))
    correction[0] = 1 / sqrt(1 - pow(a.hyper[2], t))
    if a.powers != NULL:
        a.powers[3], a.powers[4] = rate[0], correction[0]


cdef void run_adam(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Pass *a = <const Pass *>args
    cdef const real *g = <const real *>a.g
    cdef real *p = <real *>a.p
    cdef real *mean = <real *>a.first
    cdef real *square = <real *>a.second
    cdef double lr = a.hyper[0] * a.hyper[6], decay = a.hyper[4]
    cdef double[9] numbers
    cdef ptrdiff_t low, high
    correct(a, &numbers[0], &numbers[5])
    numbers[1], numbers[2] = a.hyper[1], 1 - a.hyper[1]
    numbers[3], numbers[4] = a.hyper[2], 1 - a.hyper[2]
    numbers[6] = a.hyper[3]
    numbers[7], numbers[8] = decay, 1
    if a.hyper[5] != 0:
        numbers[7], numbers[8] = 0, 1 - lr * decay
    team_share(team, a.P, BLOCK, &low, &high)
    g, p, mean, square = g + low, p + low, mean + low, square + low
    if real is float:
        fg_adam_f32(g, p, mean, square, high - low, numbers, a.seen, a.moved)
    else:
        fg_adam_f64(g, p, mean, square, high - low, numbers, a.seen, a.moved)


cdef void run_amsgrad(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Pass *a = <const Pass *>args
    cdef const real *g = <const real *>a.g
    cdef real *p = <real *>a.p
    cdef real *mean = <real *>a.first
    cdef real *square = <real *>a.second
    cdef real *largest = <real *>a.third
    cdef double lr = a.hyper[0] * a.hyper[6], decay = a.hyper[4]
    cdef double[2] corrected
    cdef real beta1 = <real>a.hyper[1], beta2 = <real>a.hyper[2], eps = <real>a.hyper[3]
    cdef real rest1 = <real>(1 - a.hyper[1]), rest2 = <real>(1 - a.hyper[2])
    cdef real shrink = 1, coupled = <real>decay, d, m, s, rate, correction
    cdef ptrdiff_t i, low, high
    correct(a, &corrected[0], &corrected[1])
    rate, correction = <real>corrected[0], <real>corrected[1]
    team_share(team, a.P, BLOCK, &low, &high)
    if a.hyper[5] != 0:
        shrink, coupled = <real>(1 - lr * decay), 0
    for i in range(low, high):
        d = g[i] + coupled * p[i]
        m = beta1 * mean[i] + rest1 * d
        s = beta2 * square[i] + rest2 * d * d
        mean[i], square[i] = m, s
        s = largest[i] if largest[i] > s else s
        largest[i] = s
        p[i] = shrink * p[i] - rate * m / (square_root(s) * correction + eps)


cdef void run_adamax(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Pass *a = <const Pass *>args
    cdef const real *g = <const real *>a.g
    cdef real *p = <real *>a.p
    cdef real *mean = <real *>a.first
    cdef real *largest = <real *>a.second
    cdef real beta1 = <real>a.hyper[1], beta2 = <real>a.hyper[2], eps = <real>a.hyper[3]
    cdef real rest1 = <real>(1 - a.hyper[1]), decay = <real>a.hyper[4], d, m, s
    cdef real rate = <real>(a.hyper[0] / (1 - once(a, 0, a.hyper[1], <double>(a.step[0] + 1))))
    cdef ptrdiff_t i, low, high
    team_share(team, a.P, BLOCK, &low, &high)
    for i in range(low, high):
        d = g[i] + decay * p[i]
        m = beta1 * mean[i] + rest1 * d
        s, d = beta2 * largest[i], absolute(d) + eps
        s = s if s > d else d
        mean[i], largest[i] = m, s
        p[i] -= rate * m / s


cdef double mu_product(double beta1, double momentum_decay, int64_t t) noexcept nogil:
    """mu_1 ... mu_t for mu_i = beta1 (1 - 0.96^(i momentum_decay) / 2), from t alone.

    Some thousand factors at most, whatever t is: with so many the product is nothing beside 1, or
    the last of them are all beta1.
    """
    cdef double each = pow(0.96, momentum_decay), power = 1, product = 1
    cdef int64_t i
    for i in range(1, t + 1):
        power *= each
        product *= beta1 * (1 - 0.5 * power)
        if product < 1e-18:
            return 0
        if power < 1e-18:
            return product * pow(beta1, <double>(t - i))
    return product


cdef double mu_product_once(const Pass *a) noexcept nogil:
    """That of the steps before, once for all blocks of a pass."""
    cdef double found
    if a.powers != NULL and a.powers[2] >= 0:
        return a.powers[2]
    found = mu_product(a.hyper[1], a.hyper[6], a.step[0])
    if a.powers != NULL:
        a.powers[2] = found
    return found


cdef void run_nadam(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Pass *a = <const Pass *>args
    cdef const real *g = <const real *>a.g
    cdef real *p = <real *>a.p
    cdef real *mean = <real *>a.first
    cdef real *square = <real *>a.second
    cdef double lr = a.hyper[0], decay = a.hyper[4], t = <double>(a.step[0] + 1)
    cdef double before = mu_product_once(a)
    cdef double mu = a.hyper[1] * (1 - 0.5 * pow(0.96, t * a.hyper[6]))
    cdef double next_mu = a.hyper[1] * (1 - 0.5 * pow(0.96, (t + 1) * a.hyper[6]))
    cdef real of_gradient = <real>(lr * (1 - mu) / (1 - before * mu))
    cdef real of_mean = <real>(lr * next_mu / (1 - before * mu * next_mu))
    cdef real beta1 = <real>a.hyper[1], beta2 = <real>a.hyper[2], eps = <real>a.hyper[3]
    cdef real rest1 = <real>(1 - a.hyper[1]), rest2 = <real>(1 - a.hyper[2])
    cdef real correction = <real>(1 / sqrt(1 - once(a, 1, a.hyper[2], t)))
    cdef real shrink = 1, coupled = <real>decay, d, m, s
    cdef ptrdiff_t i, low, high
    team_share(team, a.P, BLOCK, &low, &high)
    if a.hyper[5] != 0:
        shrink, coupled = <real>(1 - lr * decay), 0
    for i in range(low, high):
        d = g[i] + coupled * p[i]
        m = beta1 * mean[i] + rest1 * d
        s = beta2 * square[i] + rest2 * d * d
        mean[i], square[i] = m, s
        d = (of_gradient * d + of_mean * m) / (square_root(s) * correction + eps)
        p[i] = shrink * p[i] - d


cdef void run_radam(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Pass *a = <const Pass *>args
    cdef const real *g = <const real *>a.g
    cdef real *p = <real *>a.p
    cdef real *mean = <real *>a.first
    cdef real *square = <real *>a.second
    cdef double lr = a.hyper[0], decay = a.hyper[4], t = <double>(a.step[0] + 1)
    cdef double power2 = once(a, 1, a.hyper[2], t)
    cdef double rho_inf = 2 / (1 - a.hyper[2]) - 1, rho = rho_inf - 2 * t * power2 / (1 - power2)
    cdef real rate = <real>(lr / (1 - once(a, 0, a.hyper[1], t))), rectified
    cdef real beta1 = <real>a.hyper[1], beta2 = <real>a.hyper[2], eps = <real>a.hyper[3]
    cdef real rest1 = <real>(1 - a.hyper[1]), rest2 = <real>(1 - a.hyper[2])
    cdef real shrink = 1, coupled = <real>decay, d, m, s
    cdef ptrdiff_t i, low, high
    team_share(team, a.P, BLOCK, &low, &high)
    if a.hyper[5] != 0:
        shrink, coupled = <real>(1 - lr * decay), 0
    if rho > 5:
        rectified = <real>(lr / (1 - once(a, 0, a.hyper[1], t)) * sqrt(
            (1 - power2) * (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
        ))
        for i in range(low, high):
            d = g[i] + coupled * p[i]
            m = beta1 * mean[i] + rest1 * d
            s = beta2 * square[i] + rest2 * d * d
            mean[i], square[i] = m, s
            p[i] = shrink * p[i] - rectified * m / (square_root(s) + eps)
    else:  # too few gradients for a variance
        for i in range(low, high):
            d = g[i] + coupled * p[i]
            m = beta1 * mean[i] + rest1 * d
            mean[i], square[i] = m, beta2 * square[i] + rest2 * d * d
            p[i] = shrink * p[i] - rate * m
