# A penalty on the size of parameters, l1 sum(|w|) + l2 sum(w^2): added to the loss, its gradient to
# that of the loss.
#
# design:
#  a) One pass over blocks of the flat arenas, each with factors of its own, 0 for those that are
#     left out; a block's sum is one sum in one order, and one thread adds them up.
#  b) The subgradient of |w| at 0 is 0. A denormal w counts as 0, as everywhere in a replay.
from libc.math cimport isfinite

from _core cimport Team, int64_t, ptrdiff_t, raise_flag, real, team_share, team_wait
from _reduce cimport all_finite, sum_of_sizes, sum_of_squares
from calls.penalty cimport Penalty


cdef double penalize(const real *w, real *g, ptrdiff_t n, double l1, double l2) noexcept nogil:
    cdef real size = <real>l1, slope = <real>(2 * l2), zero = 0
    cdef double penalty = 0
    cdef ptrdiff_t i
    if l1 != 0:
        penalty += l1 * sum_of_sizes(w, n)
        for i in range(n):
            # w itself where it is 0 or NaN
            g[i] += size if w[i] > zero else (-size if w[i] < zero else w[i])
    if l2 != 0:
        penalty += l2 * sum_of_squares(w, n)
        for i in range(n):
            g[i] += slope * w[i]
    return penalty


cdef void run_penalty(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Penalty *a = <const Penalty *>args
    cdef const real *w = <const real *>a.w
    cdef real *g = <real *>a.g
    cdef ptrdiff_t block, first, n, low, high
    cdef double total = 0
    team_share(team, a.B, 1, &low, &high)
    for block in range(low, high):
        a.sums[block] = 0
        if a.l1[block] != 0 or a.l2[block] != 0:
            first = a.blocks[block]
            n = a.blocks[block + 1] - first
            a.sums[block] = penalize(w + first, g + first, n, a.l1[block], a.l2[block])
            if a.status and not all_finite(g + first, n):
                raise_flag(a.status)
    team_wait(team)
    if team.rank == 0:
        for block in range(a.B):
            total += a.sums[block]
        a.loss[0] += total
        if a.status and not isfinite(a.loss[0]):
            raise_flag(a.status)
