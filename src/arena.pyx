# Single passes over the flat arenas: clipping, the check for non-finite gradients.
#
# design:
#  a) Work is shared in whole blocks, so that an element is always met by the same code, and a
#     block's partial sum is always the same sum, whatever the number of threads.
from libc.math cimport fabs, isfinite, log, sqrt

from _core cimport (
    Mode, Team, cnp, data, int64_t, keep_denormals, ptrdiff_t, raise_flag, real, record_real,
    set_mode, team_share, team_wait,
)
from _math cimport absolute
from _reduce cimport all_finite, sum_of_squares

cnp.import_array()

cdef enum:
    BLOCK = 4096


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


cdef struct ClipValue:
    void *g
    double *report
    ptrdiff_t P
    double limit


cdef void run_clip_value(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const ClipValue *a = <const ClipValue *>args
    cdef real *g = <real *>a.g
    cdef real limit = <real>a.limit
    cdef ptrdiff_t i, outside = 0
    for i in range(a.P):
        outside += absolute(g[i]) > limit
        g[i] = limit if g[i] > limit else (-limit if g[i] < -limit else g[i])
    a.report[0] += 1
    a.report[1] += outside > 0
    a.report[2] = <double>outside
    a.report[3] = <double>a.P


def clip_value(limit, g, report):
    cdef ClipValue a = ClipValue(data(g), <double *>data(report), g.size, limit)
    return record_real(g, <void *>run_clip_value[float], <void *>run_clip_value[double],
                       &a, sizeof(a), 0)


cdef struct ClipNorm:
    void *g
    const int64_t *blocks
    const int64_t *groups
    double *squares
    double *factors
    double *report
    ptrdiff_t P, B, S
    double low, high


cdef void find_factors(const ClipNorm *a, const real *x, ptrdiff_t n, double square,
                       double *norm, double *factors) noexcept nogil:
    """What x[n] must be multiplied with, in two steps; its norm. Exact for every finite x."""
    cdef double top = 0, root = 1, wanted
    cdef ptrdiff_t i
    factors[0] = factors[1] = 1
    if 1e-280 < square < 1e280:
        norm[0] = root = sqrt(square)
        top = 1
    else:  # float64 gradients whose squares leave float64: once more, scaled by the largest
        for i in range(n):
            if not fabs(x[i]) <= top:
                top = fabs(x[i])
        norm[0] = top
        if top == 0 or not isfinite(top):
            return
        square = 0
        for i in range(n):
            square += (x[i] / top) * (x[i] / top)
        root = sqrt(square)
        norm[0] = top * root
    if norm[0] > a.high:
        wanted = a.high
    elif norm[0] < a.low:
        wanted = a.low
    else:
        return
    if top < 1e-290:  # one float64 may not reach from there to where the norm is wanted
        factors[0] = 2.0**600
        top *= factors[0]
    factors[1] = wanted / top / root


cdef void run_clip_norm(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const ClipNorm *a = <const ClipNorm *>args
    cdef real *g = <real *>a.g
    cdef ptrdiff_t block, group, i, low, high, first, last
    cdef double square, norm, lift, factor, largest = 0, farthest = 1
    cdef bint acted = False
    cdef Mode mode = keep_denormals()  # a gradient may be lifted from there, or need such a factor
    team_share(team, a.B, 1, &low, &high)
    for block in range(low, high):
        first = a.blocks[block]
        a.squares[block] = sum_of_squares(g + first, a.blocks[block + 1] - first)
    team_wait(team)
    if team.rank == 0:
        for group in range(a.S):
            square = 0
            for block in range(a.groups[group], a.groups[group + 1]):
                square += a.squares[block]
            first, last = a.blocks[a.groups[group]], a.blocks[a.groups[group + 1]]
            find_factors(a, g + first, last - first, square, &norm, a.factors + 2 * group)
            factor = a.factors[2 * group] * a.factors[2 * group + 1]
            largest = norm if norm > largest else largest
            if factor != 1:
                acted = True
                if fabs(log(factor)) > fabs(log(farthest)):
                    farthest = factor
        a.report[0] += 1
        a.report[1] += acted
        a.report[2] = largest
        a.report[3] = farthest
    team_wait(team)
    for group in range(a.S):
        lift, factor = a.factors[2 * group], a.factors[2 * group + 1]
        if lift * factor != 1:
            first = max(low, <ptrdiff_t>a.groups[group])
            last = min(high, <ptrdiff_t>a.groups[group + 1])
            if first < last:
                for i in range(a.blocks[first], a.blocks[last]):
                    g[i] = <real>(g[i] * lift * factor)
    set_mode(mode)


def clip_norm(low, high, blocks, groups, g, squares, factors, report):
    cdef ClipNorm a = ClipNorm(data(g), <const int64_t *>data(blocks),
                               <const int64_t *>data(groups),
                               <double *>data(squares), <double *>data(factors),
                               <double *>data(report), g.size, blocks.size - 1, groups.size - 1,
                               low, high)
    return record_real(g, <void *>run_clip_norm[float], <void *>run_clip_norm[double],
                       &a, sizeof(a), 2.0 * a.P)
