# Sums and means of whole flat vectors: gradients of several minibatches, parameters over the steps.
from libc.math cimport pow

from _core cimport Team, int64_t, ptrdiff_t, real, team_share
from calls.flat cimport Average, Blend

cdef enum:
    FLAT_BLOCK = 4096


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
