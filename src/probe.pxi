# What the probe sees: gradients, updates, outputs and their gradients, and its notes of each step.
#
# design:
#  a) Kernels that see write sums of whole blocks, whatever the number of threads; kernels that note
#     add these in one order, write a row of a ring, and belong to one thread.
#  b) Row step % K of a ring is that of the step.
from libc.math cimport INFINITY, NAN, isfinite, sqrt

from _core cimport Team, int64_t, memcpy, ptrdiff_t, real, team_rows, team_share
from _probe cimport PROBE_ROWS, see_gradient_of, see_rows, see_squares, see_update_of
from calls.probe cimport Delta, Flow, Noted, Output, Seen, Updated


cdef void run_see_gradient(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Seen *a = <const Seen *>args
    cdef const real *g = <const real *>a.x
    cdef ptrdiff_t i, low, high
    team_share(team, a.B, 1, &low, &high)
    for i in range(low, high):
        see_gradient_of(g + a.blocks[i], a.blocks[i + 1] - a.blocks[i], a.seen + 5 * i)


cdef void run_see_update(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Seen *a = <const Seen *>args
    cdef const real *p = <const real *>a.x
    cdef const real *before = <const real *>a.before
    cdef ptrdiff_t i, at, low, high
    team_share(team, a.B, 1, &low, &high)
    for i in range(low, high):
        at = a.blocks[i]
        see_update_of(p + at, before + at, a.blocks[i + 1] - at, a.seen + 2 * i)


cdef double norm_of(const double *norms, ptrdiff_t stride, ptrdiff_t n) noexcept nogil:
    """The norm of n blocks, whose norms lie `stride` apart; their squares may leave float64."""
    cdef double top = 0, sum = 0, ratio
    cdef ptrdiff_t i
    if n == 1:
        return norms[0]
    for i in range(n):
        if not isfinite(norms[i * stride]):
            return norms[i * stride]
        top = max(top, norms[i * stride])
    if top == 0:
        return 0
    for i in range(n):
        ratio = norms[i * stride] / top
        sum += ratio * ratio
    return top * sqrt(sum)


cdef void run_note_update(const void *args, Team *team, void *scratch) noexcept nogil:
    cdef const Updated *a = <const Updated *>args
    cdef ptrdiff_t row = <ptrdiff_t>(a.step[0] % a.K), s, i, first, n
    cdef double *out
    for s in range(a.S):
        out = a.tensors + 7 * (row * a.S + s)
        first = a.groups[s]
        n = a.groups[s + 1] - first
        out[0] = norm_of(a.seen + 5 * first, 5, n)
        for i in range(1, 5):
            out[i] = 0
        for i in range(first, first + n):
            out[1] = max(out[1], a.seen[5 * i + 1])
            out[2] += a.seen[5 * i + 2]
            out[3] += a.seen[5 * i + 3]
            out[4] += a.seen[5 * i + 4]
        out[2] -= <double>a.spare[s]
        if out[4] > 0:
            out[1] = INFINITY
        out[5] = norm_of(a.moved + 2 * first, 2, n)
        out[6] = norm_of(a.moved + 2 * first + 1, 2, n)
    a.losses[2 * row], a.losses[2 * row + 1] = a.loss[0], a.rate[0]


cdef void run_see_output(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Output *a = <const Output *>args
    cdef const real *y = <const real *>a.y
    cdef const real *slope = <const real *>a.slope
    cdef ptrdiff_t low, high, at
    team_rows(team, a.N, &low, &high)
    at = low * a.F
    see_rows(y + at, slope + at if slope else NULL, high - low, a.F, <real>a.low, <real>a.high,
             a.parts + 3 * (low // PROBE_ROWS), <real *>a.alive)


cdef void run_see_delta(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Delta *a = <const Delta *>args
    cdef const real *dy = <const real *>a.dy
    cdef ptrdiff_t low, high
    team_rows(team, a.N, &low, &high)
    see_squares(dy + low * a.F, (high - low) * a.F, <ptrdiff_t>PROBE_ROWS * a.F,
                a.sums + low // PROBE_ROWS)


cdef void note_layer(const Noted *a, ptrdiff_t p, real *alive, real *lived,
                     double *out) noexcept nogil:
    cdef double[4] total
    cdef double elements = a.elements[p]
    cdef ptrdiff_t i, j, living = 0, count = a.units[2 * p + 1] - a.units[2 * p]
    total[0] = total[1] = total[2] = total[3] = 0
    for i in range(a.rows[2 * p], a.rows[2 * p + 1]):
        for j in range(3):
            total[j] += a.parts[3 * i + j]
        total[3] += a.sums[i]
    out[0] = total[0] / elements
    out[1] = sqrt(max(total[1] / elements - out[0] * out[0], 0.0))
    if not isfinite(out[0]) or not isfinite(total[1]):
        out[1] = INFINITY
    out[2] = out[3] = NAN
    out[4] = sqrt(total[3])
    if count == 0:
        return
    for i in range(a.units[2 * p], a.units[2 * p + 1]):
        living += alive[i] != 0
        lived[i] = 1 if alive[i] != 0 else lived[i]
        alive[i] = 0
    out[2] = 1 - total[2] / elements
    out[3] = 1 - <double>living / <double>count


cdef void run_note_outputs(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Noted *a = <const Noted *>args
    cdef double *row = a.ring + 5 * (a.step[0] % a.K) * a.L
    cdef ptrdiff_t p
    for p in range(a.D):
        note_layer(a, p, <real *>a.alive, <real *>a.lived, row + 5 * a.places[p])


cdef void run_note_flow(const void *args, Team *team, void *scratch) noexcept nogil:
    cdef const Flow *a = <const Flow *>args
    cdef ptrdiff_t row = <ptrdiff_t>(a.step[0] % a.K)
    memcpy(a.ring + row * a.size, a.flow, <size_t>a.size * sizeof(double))
    a.stamps[row] = a.step[0]
