# Optimizers whose step is as long as the tensor it changes says: LAMB and LARS.
#
# design:
#  a) Norms are sums over blocks, each in float64 and in one order, and a tensor is a group of whole
#     blocks, so that no number of threads changes a bit.
#  b) Two passes, with the ratio of norms between them, and over its own blocks in both of them each
#     thread finds in its cache what it left there.
from libc.math cimport pow, sqrt

from _core cimport Team, int64_t, ptrdiff_t, real, team_share, team_wait
from _math cimport square_root
from _reduce cimport sum_of_squares
from calls.layerwise cimport Layers


cdef void find_ratios(const Layers *a, double coefficient, double eps) noexcept nogil:
    """coefficient |p| / (|update| + eps) for each group; 1 where a norm is 0."""
    cdef double p, update
    cdef ptrdiff_t group, block
    for group in range(a.S):
        p = update = 0
        for block in range(a.groups[group], a.groups[group + 1]):
            p += a.squares[2 * block]
            update += a.squares[2 * block + 1]
        a.ratios[group] = 1
        if p > 0 and update > 0:
            a.ratios[group] = coefficient * sqrt(p) / (sqrt(update) + eps)


cdef void share_ratios(const Layers *a, Team *team, double coefficient, double eps) noexcept nogil:
    team_wait(team)
    if team.rank == 0:
        find_ratios(a, coefficient, eps)
    team_wait(team)


cdef void run_lamb(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Layers *a = <const Layers *>args
    cdef const real *g = <const real *>a.g
    cdef real *p = <real *>a.p
    cdef real *mean = <real *>a.first
    cdef real *square = <real *>a.second
    cdef real *update = <real *>a.update
    cdef double t = <double>(a.step[0] + 1)
    cdef real beta1 = <real>a.hyper[1], beta2 = <real>a.hyper[2], eps = <real>a.hyper[3]
    cdef real rest1 = <real>(1 - a.hyper[1]), rest2 = <real>(1 - a.hyper[2])
    cdef real decay = <real>a.hyper[4], rate = <real>(1 / (1 - pow(a.hyper[1], t)))
    cdef real correction = <real>(1 / sqrt(1 - pow(a.hyper[2], t))), m, s
    cdef ptrdiff_t block, group, i, low, high, first, last
    team_share(team, a.B, 1, &low, &high)
    for block in range(low, high):
        first, last = a.blocks[block], a.blocks[block + 1]
        for i in range(first, last):
            m = beta1 * mean[i] + rest1 * g[i]
            s = beta2 * square[i] + rest2 * g[i] * g[i]
            mean[i], square[i] = m, s
            update[i] = rate * m / (square_root(s) * correction + eps) + decay * p[i]
        a.squares[2 * block] = sum_of_squares(p + first, last - first)
        a.squares[2 * block + 1] = sum_of_squares(update + first, last - first)
    share_ratios(a, team, 1, 0)
    for group in range(a.S):
        rate = <real>(a.hyper[0] * a.ratios[group])
        first = max(low, <ptrdiff_t>a.groups[group])
        last = min(high, <ptrdiff_t>a.groups[group + 1])
        if first < last:
            for i in range(a.blocks[first], a.blocks[last]):
                p[i] -= rate * update[i]


cdef void run_lars(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Layers *a = <const Layers *>args
    cdef const real *g = <const real *>a.g
    cdef real *p = <real *>a.p
    cdef real *velocity = <real *>a.first
    cdef real *update = <real *>a.update
    cdef real momentum = <real>a.hyper[1], decay = <real>a.hyper[2], rate, v
    cdef real of_update = 1 if a.hyper[5] != 0 else 0
    cdef real of_velocity = momentum if a.hyper[5] != 0 else 1
    cdef ptrdiff_t block, group, i, low, high, first, last
    team_share(team, a.B, 1, &low, &high)
    for block in range(low, high):
        first, last = a.blocks[block], a.blocks[block + 1]
        for i in range(first, last):
            update[i] = g[i] + decay * p[i]
        a.squares[2 * block] = sum_of_squares(p + first, last - first)
        a.squares[2 * block + 1] = sum_of_squares(update + first, last - first)
    share_ratios(a, team, a.hyper[3], a.hyper[4])
    for group in range(a.S):
        rate = <real>(a.hyper[0] * a.ratios[group])
        first = max(low, <ptrdiff_t>a.groups[group])
        last = min(high, <ptrdiff_t>a.groups[group + 1])
        if first >= last:
            continue
        first, last = a.blocks[first], a.blocks[last]
        if velocity == NULL:
            for i in range(first, last):
                p[i] -= rate * update[i]
        else:
            for i in range(first, last):
                v = momentum * velocity[i] + rate * update[i]
                velocity[i] = v
                p[i] -= of_update * rate * update[i] + of_velocity * v
