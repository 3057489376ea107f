# What recurrent cells share: who does what, products of a step, the gradient of the weight, norms.
#
# design:
#  a) Threads share the sequences, each for all steps, with no barrier in between. Where there are
#     too few of them they share the units of a group of sequences as well, with a barrier at each
#     step. A step that is not worth one is left to one thread.
#  b) The recurrent weight is packed once a call, for all threads; its gradient is one product over
#     all steps after the last of them.
#  c) Step t has the rows of the sequences that are longer than t, which are the first ones, so that
#     padding is neither stored nor computed.
from _core cimport int64_t, memcpy
from libc.math cimport NAN, sqrt

from _product cimport multiply_panels, pack, packed_size
from calls.recurrent cimport STEP_WORTH, TILE_ROWS, Recurrence

cdef extern from "fg_cells.h" nogil:
    double fg_squares_f32(const float *x, ptrdiff_t n)
    double fg_squares_f64(const double *x, ptrdiff_t n)

cdef enum:
    UNITS = 16  # a thread's units are whole vectors, at every level

cdef struct Share:
    ptrdiff_t r0, r1  # sequences
    ptrdiff_t u0, u1  # units
    int part, parts  # of the units


cdef inline ptrdiff_t rows_of(const Recurrence *a, ptrdiff_t t) noexcept nogil:
    """Rows of step t; none before and after."""
    return a.offsets[t + 1] - a.offsets[t] if 0 <= t < a.T else 0


cdef ptrdiff_t first_of(const Recurrence *a, int group, int groups) noexcept nogil:
    """The first sequence of a group: those before it have their share of the steps."""
    cdef double wanted = <double>a.offsets[a.T] * group / groups, done = 0, some
    cdef ptrdiff_t row = 0, next, t, n
    if group == groups:
        return a.N
    while row < a.N and group:
        next = min(row + TILE_ROWS, a.N)
        some = 0
        if rows_of(a, a.T - 1) == a.N:
            some = <double>(next - row) * a.T
        else:
            for t in range(a.T):
                n = rows_of(a, t)
                some += min(n, next) - min(n, row)
        if done + some / 2 > wanted:
            break
        row = next
        done += some
    return row


cdef Share share_steps(const Recurrence *a, const Team *team) noexcept nogil:
    cdef Share s
    cdef double step = <double>a.N * a.blocks * a.H * a.H
    cdef int groups = <int>max(1, min(<ptrdiff_t>team.used, a.N // TILE_ROWS)), group
    s.parts = min(team.used // groups, <int>(step / groups / STEP_WORTH))
    s.parts = max(1, <int>min(<ptrdiff_t>s.parts, (a.H + UNITS - 1) // UNITS))
    s.part, group = team.rank % s.parts, team.rank // s.parts
    s.r0 = s.r1 = s.u0 = s.u1 = 0
    if group < groups:
        s.r0, s.r1 = first_of(a, group, groups), first_of(a, group + 1, groups)
        units(a, s.part, s.parts, &s.u0, &s.u1)
    return s


cdef void units(const Recurrence *a, int part, int parts, ptrdiff_t *low,
                ptrdiff_t *high) noexcept nogil:
    cdef ptrdiff_t pieces = (a.H + UNITS - 1) // UNITS
    low[0] = pieces * part // parts * UNITS
    high[0] = min(a.H, pieces * (part + 1) // parts * UNITS)


cdef inline bint must_pack(const Recurrence *a, const Share *s) noexcept nogil:
    """Whether panels are not yet those of as many parts."""
    return a.ready == NULL or a.ready[0] != s.parts


cdef inline void packed_now(const Recurrence *a, const Share *s, const Team *team) noexcept nogil:
    """All threads have packed, and all have asked whether they must."""
    if a.ready and team.rank == 0:
        a.ready[0] = s.parts


# ---- products of a step ----------------------------------------------------------------------

cdef void pack_forward(const Recurrence *a, const Share *s, const real *w, ptrdiff_t inputs,
                       int count, Team *team, real *panels) noexcept nogil:
    """Panels of `count` blocks of rows of w[.., inputs]."""
    cdef ptrdiff_t H = a.H, u0, u1
    cdef int part, block
    if s.parts == 1:
        pack(count * H, inputs, w, 1, inputs, panels, team.rank, team.used)
        return
    for block in range(count):
        for part in range(s.parts):
            units(a, part, s.parts, &u0, &u1)
            pack(u1 - u0, inputs, w + (block * H + u0) * inputs, 1, inputs,
                 panels + block * packed_size(H, inputs, panels) + u0 * inputs, team.rank,
                 team.used)


cdef void multiply_forward(const Recurrence *a, const Share *s, ptrdiff_t rows, const real *x,
                           ptrdiff_t x_row, ptrdiff_t inputs, const real *panels, int count,
                           const real *bias, real *gates, real *scratch) noexcept nogil:
    """gates[rows, count blocks] = bias + x w', or without a bias += x w'; gates point to the first
    of these blocks."""
    cdef ptrdiff_t H = a.H, wide = a.wide * H, at
    cdef int block
    if s.parts == 1:
        multiply_panels(rows, count * H, inputs, x, x_row, panels, gates, wide, bias, bias == NULL,
                        scratch)
        return
    for block in range(count):
        at = block * H + s.u0
        multiply_panels(rows, s.u1 - s.u0, inputs, x, x_row,
                        panels + block * packed_size(H, inputs, panels) + s.u0 * inputs,
                        gates + at, wide, bias + at if bias else NULL, bias == NULL, scratch)


cdef inline real *input_panels(const Recurrence *a, const real *like) noexcept nogil:
    """Those of w_ih, behind those of w and the spare rows."""
    return spare_rows(a, 0, like) + 8 * a.N * a.H


cdef void pack_inputs(const Recurrence *a, const Share *s, Team *team, real *like) noexcept nogil:
    """Panels of w_ih, of a GRU (whose gates start with another block) in two pieces."""
    cdef const real *w = <const real *>a.w_ih
    cdef real *panels = input_panels(a, like)
    cdef int count = a.blocks - (a.blocks < a.wide)
    if a.x == NULL:
        return
    pack_forward(a, s, w, a.inputs, count, team, panels)
    if count < a.blocks:
        pack_forward(a, s, w + 2 * a.H * a.inputs, a.inputs, 1, team,
                     panels + piece(a, s, count, a.inputs, panels))


cdef inline ptrdiff_t piece(const Recurrence *a, const Share *s, int count, ptrdiff_t inputs,
                            const real *like) noexcept nogil:
    """Elements of the panels of `count` blocks."""
    if s.parts == 1:
        return packed_size(count * a.H, inputs, like)
    return count * packed_size(a.H, inputs, like)


cdef void add_inputs(const Recurrence *a, const Share *s, ptrdiff_t row, ptrdiff_t rows,
                     real *gates, real *scratch) noexcept nogil:
    """What the inputs of these rows give their gates."""
    cdef const real *x = <const real *>a.x + row * a.inputs
    cdef const real *bias = <const real *>a.bias
    cdef const real *panels = input_panels(a, scratch)
    cdef ptrdiff_t H = a.H, i
    cdef int count = a.blocks - (a.blocks < a.wide)
    if a.x == NULL:
        return
    if count == a.blocks:
        multiply_forward(a, s, rows, x, a.inputs, a.inputs, panels, count, bias, gates, scratch)
        return
    multiply_forward(a, s, rows, x, a.inputs, a.inputs, panels, count, bias + H, gates + H, scratch)
    multiply_forward(a, s, rows, x, a.inputs, a.inputs,
                     panels + piece(a, s, count, a.inputs, panels), 1, bias, gates, scratch)
    for i in range(rows):
        memcpy(gates + (i * 4 + 3) * H + s.u0, bias + 3 * H + s.u0, (s.u1 - s.u0) * sizeof(real))


cdef void pack_backward(const Recurrence *a, const Share *s, int first, int count, Team *team,
                        real *panels) noexcept nogil:
    cdef const real *w = <const real *>a.w + first * a.H * a.H
    cdef ptrdiff_t H = a.H, u0, u1
    cdef int part
    for part in range(s.parts):
        units(a, part, s.parts, &u0, &u1)
        pack(u1 - u0, count * H, w + u0, H, 1, panels + u0 * count * H, team.rank, team.used)


cdef void multiply_backward(const Recurrence *a, const Share *s, ptrdiff_t rows, const real *gates,
                            const real *panels, int count, real *dh, bint add,
                            real *scratch) noexcept nogil:
    """This thread's units of dh[rows, H] = gates w, or += gates w, for `count` blocks of gates."""
    multiply_panels(rows, s.u1 - s.u0, count * a.H, gates, a.wide * a.H,
                    panels + s.u0 * count * a.H, dh + s.u0, a.H, NULL, add, scratch)


# ---- the gradient through time ---------------------------------------------------------------

cdef inline double squares_of(const real *x, ptrdiff_t n) noexcept nogil:
    if real is float:
        return fg_squares_f32(x, n)
    else:
        return fg_squares_f64(x, n)


cdef inline real *spare_rows(const Recurrence *a, ptrdiff_t t, const real *like) noexcept nogil:
    """Where those who share units put their parts of rows of dh, dc, and what is handed on."""
    cdef ptrdiff_t wide = (a.H + UNITS - 1) // UNITS * UNITS
    return <real *>a.panels + a.blocks * a.H * wide + (t % 2) * 4 * a.N * a.H


cdef void start_back(const Recurrence *a, const Share *s, const void *last, void *carried,
                     real *like) noexcept nogil:
    """What comes from behind the last step: this thread's part of it."""
    cdef const real *given = <const real *>last
    cdef real *to = <real *>carried
    cdef ptrdiff_t i, size = (s.u1 - s.u0) * sizeof(real)
    for i in range(s.r0, s.r1):
        if given:
            memcpy(to + i * a.H + s.u0, given + i * a.H + s.u0, size)
        else:
            memset(to + i * a.H + s.u0, 0, size)


cdef void note_rows(const Recurrence *a, const Share *s, ptrdiff_t t, ptrdiff_t low,
                    ptrdiff_t high, real *like) noexcept nogil:
    """The squares of rows that several threads have put together."""
    cdef const real *rows = spare_rows(a, t, like)
    cdef ptrdiff_t i, plane = a.N * a.H
    for i in range(low, high):
        if i % s.parts == s.part:
            note(a, t, i, rows + i * a.H, rows + plane + i * a.H, rows + 2 * plane + i * a.H,
                 rows + 3 * plane + i * a.H)


cdef inline void note(const Recurrence *a, ptrdiff_t t, ptrdiff_t i, const real *dh,
                      const real *dc, const real *carried, const real *dc_on) noexcept nogil:
    """Squares of row i of step t; `carried` is what the step after hands on to this one."""
    cdef double *here = a.squares + 4 * (a.offsets[t] + i)
    here[0] = squares_of(dh, a.H)
    here[1] = squares_of(dc, a.H) if a.c else 0
    here[3] = squares_of(dc_on, a.H) if a.c else 0
    if i < rows_of(a, t + 1):
        a.squares[4 * (a.offsets[t + 1] + i) + 2] = squares_of(carried, a.H)


cdef void finish_flow(const Recurrence *a, real *like) noexcept nogil:
    """The norms of every step out of the squares of its rows; see the contract."""
    cdef const real *dc_last = <const real *>a.dc_last
    cdef double dh, dc, came, went
    cdef const double *here
    cdef ptrdiff_t t, i
    for i in range(rows_of(a, 0)):
        a.squares[4 * i + 2] = squares_of(<const real *>a.dh0 + i * a.H, a.H)
    for t in range(a.T):
        dh = dc = came = went = 0
        for i in range(rows_of(a, t)):
            here = a.squares + 4 * (a.offsets[t] + i)
            dh += here[0]
            dc += here[1]
            went += here[2] + here[3]
            if i < rows_of(a, t + 1):
                came += a.squares[4 * (a.offsets[t + 1] + i) + 3]
            elif dc_last:
                came += squares_of(dc_last + i * a.H, a.H)
        a.flow[3 * t], a.flow[3 * t + 1] = sqrt(dh), sqrt(dc)
        a.flow[3 * t + 2] = sqrt(went / (dh + came)) if t or a.initial else NAN


cdef void weight_gradient(const Recurrence *a, Team *team, int first, int count, real *dw,
                          real *scratch) noexcept nogil:
    """dw[count blocks, H] = the sum over all steps of gates' h; `first` is the first block."""
    cdef const real *dz = <const real *>a.gates + first * a.H
    cdef const real *h = <const real *>a.h
    cdef ptrdiff_t H = a.H, wide = a.wide * H, r0, r1, c0, c1, t = 0, row, shift, end
    cdef int not_finite = 0
    cdef bint add = False
    share_output(team, count * H, H, &r0, &r1, &c0, &c1)
    if r0 == r1 or c0 == c1:
        return
    if a.offsets[a.T] == 0:
        for row in range(r0, r1):
            memset(dw + row * H + c0, 0, (c1 - c0) * sizeof(real))
    while t < a.T:
        # steps whose states before lie equally far from their gates
        row, shift = a.offsets[t], a.N - rows_of(a, t - 1) if t else 0
        while t < a.T and shift == (a.N - rows_of(a, t - 1) if t else 0):
            t += 1
        end = a.offsets[t]
        if end > row:
            multiply(r1 - r0, c1 - c0, end - row, dz + row * wide + r0, 1, wide,
                     h + (row + shift) * H + c0, H, 1, dw + r0 * H + c0, H, NULL, add,
                     count * H, &not_finite, scratch)
            add = True
    if a.status and not_finite:
        raise_flag(a.status)
