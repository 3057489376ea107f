# What the optimizers that treat every element alike share.
from libc.math cimport pow

from _core cimport Team, memcpy, ptrdiff_t, real, team_share
from _probe cimport see_gradient_of, see_update_of
from calls.optimizers cimport Pass

cdef enum:
    BLOCK = 4096  # elements: threads share whole blocks


ctypedef void (*Run)(const void *args, Team *team, void *scratch) noexcept nogil


cdef inline double once(const Pass *a, int place, double base, double exponent) noexcept nogil:
    """pow(base, exponent), once for all blocks of a pass."""
    if a.powers == NULL:
        return pow(base, exponent)
    if a.powers[place] < 0:
        a.powers[place] = pow(base, exponent)
    return a.powers[place]


cdef inline bint usual(double norm) noexcept nogil:
    """Whether squares of such numbers stay in range, in the next step, too."""
    return 1e-12 < norm < 1e15


cdef inline void shift(void **p, ptrdiff_t bytes) noexcept nogil:
    if p[0] != NULL:
        p[0] = <char *>p[0] + bytes


cdef inline void run_watched(const void *args, Team *team, real *scratch) noexcept nogil:
    """The pass block by block, looking at each one while it is in L1."""
    cdef const Pass *a = <const Pass *>args
    cdef Pass part
    cdef double[5] powers
    cdef Team alone = Team(0, 1, 1, NULL, NULL)
    cdef ptrdiff_t i, at, n, low, high
    powers[0] = powers[1] = powers[2] = powers[3] = powers[4] = -1
    team_share(team, a.B, 1, &low, &high)
    for i in range(low, high):
        at = a.blocks[i]
        n = a.blocks[i + 1] - at
        part = a[0]
        part.g = <const real *>a.g + at
        shift(&part.p, at * <ptrdiff_t>sizeof(real))
        shift(&part.first, at * <ptrdiff_t>sizeof(real))
        shift(&part.second, at * <ptrdiff_t>sizeof(real))
        shift(&part.third, at * <ptrdiff_t>sizeof(real))
        part.P, part.powers = n, powers
        part.seen = a.seen + 5 * i if a.seen else NULL
        part.moved = a.moved + 2 * i
        if a.looks and usual(part.moved[0]) and usual(part.moved[1]):
            (<Run>a.run)(&part, &alone, NULL)
            continue
        part.moved = NULL
        memcpy(scratch, part.p, <size_t>n * sizeof(real))
        (<Run>a.run)(&part, &alone, NULL)
        if part.seen != NULL:
            see_gradient_of(<const real *>part.g, n, part.seen)
        see_update_of(<const real *>part.p, scratch, n, a.moved + 2 * i)
