# What the optimizers that treat every element alike share.
from libc.math cimport pow

from _core cimport Team, cnp, data, int64_t, memcpy, ptrdiff_t, real, record_real, team_share
from _probe cimport see_gradient_of, see_update_of

cdef enum:
    BLOCK = 4096  # elements: threads share whole blocks


cdef struct Pass:
    const void *g
    void *p
    void *first  # the state vectors; NULL where there is none
    void *second
    void *third
    const double *hyper
    const int64_t *step
    ptrdiff_t P
    # of a pass that is watched
    const int64_t *blocks
    double *seen
    double *moved
    void *run
    bint looks  # itself, where it is given one block with `moved`
    ptrdiff_t B
    double *powers  # which blocks share, and what follows from them; negative until it is known


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


cdef inline bytes recorded(void *run_float, void *run_double, double work, g, hyper, step, p,
                           first, second, third, blocks, seen, moved, bint looks=False):
    """One pass, of so much work for an element; watched where there are blocks."""
    cdef Pass a = Pass(data(g), data(p), data(first), data(second), data(third),
                       <const double *>data(hyper), <const int64_t *>data(step), g.size,
                       <const int64_t *>data(blocks), <double *>data(seen), <double *>data(moved),
                       NULL, looks, 0, NULL)
    if moved is None or blocks is None:
        return record_real(<cnp.ndarray>g, run_float, run_double, &a, sizeof(a), work * a.P)
    a.B = blocks.size - 1
    a.run = run_double if cnp.PyArray_TYPE(<cnp.ndarray>g) == cnp.NPY_FLOAT64 else run_float
    return record_real(<cnp.ndarray>g, <void *>run_watched[float], <void *>run_watched[double],
                       &a, sizeof(a), (work + 4) * a.P)
