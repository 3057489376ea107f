# Sums and means of whole flat vectors: gradients of several minibatches, parameters over the steps.
from libc.math cimport pow

from _core cimport Team, data, int64_t, ptrdiff_t, real, record_real, team_share

cdef enum:
    FLAT_BLOCK = 4096


cdef struct Blend:
    const void *x
    void *y
    ptrdiff_t P
    double keep, add


cdef void run_blend(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Blend *a = <const Blend *>args
    cdef const real *x = <const real *>a.x
    cdef real *y = <real *>a.y
    cdef real keep = <real>a.keep, add = <real>a.add
    cdef ptrdiff_t i, low, high
    team_share(team, a.P, FLAT_BLOCK, &low, &high)
    if keep == 0:  # what is there may be no number
        for i in range(low, high):
            y[i] = add * x[i]
    else:
        for i in range(low, high):
            y[i] = keep * y[i] + add * x[i]


def blend(x, keep, add, y):
    cdef Blend a = Blend(data(x), data(y), x.size, keep, add)
    return record_real(x, <void *>run_blend[float], <void *>run_blend[double], &a, sizeof(a),
                       2.0 * a.P)


cdef struct Average:
    const void *p
    const int64_t *step
    void *mean
    ptrdiff_t P
    double decay


cdef void run_average(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Average *a = <const Average *>args
    cdef const real *p = <const real *>a.p
    cdef real *mean = <real *>a.mean
    cdef real share = <real>((1 - a.decay) / (1 - pow(a.decay, <double>(a.step[0] + 1))))
    cdef ptrdiff_t i, low, high
    team_share(team, a.P, FLAT_BLOCK, &low, &high)
    if a.step[0] == 0:
        for i in range(low, high):
            mean[i] = p[i]
    else:
        for i in range(low, high):
            mean[i] += share * (p[i] - mean[i])


def average(p, decay, step, mean):
    cdef Average a = Average(data(p), <const int64_t *>data(step), data(mean), p.size, decay)
    return record_real(p, <void *>run_average[float], <void *>run_average[double], &a, sizeof(a),
                       3.0 * a.P)
