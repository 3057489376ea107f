# Gated recurrent unit: blocks r, z, n of the weight, n, r, z, m of gates.

cdef extern from "fg_cells.h" nogil:
    const int GRU_ALL "FG_GRU_ALL"
    const int GRU_RESET "FG_GRU_RESET"
    const int GRU_NEW "FG_GRU_NEW"
    void fg_gru_row_f32(int part, ptrdiff_t n, ptrdiff_t stride, float *gates,
                        const float *before, float *h)
    void fg_gru_row_f64(int part, ptrdiff_t n, ptrdiff_t stride, double *gates,
                        const double *before, double *h)
    void fg_gru_back_row_f32(int part, ptrdiff_t n, ptrdiff_t stride, float *gates,
                             const float *before, float *carried, const float *dy, float *dh)
    void fg_gru_back_row_f64(int part, ptrdiff_t n, ptrdiff_t stride, double *gates,
                             const double *before, double *carried, const double *dy, double *dh)


cdef void gru_rows(const Recurrence *a, const Share *s, int part, ptrdiff_t rows, real *z,
                   const real *before, real *h) noexcept nogil:
    """A part of a step of the sequences and units of this thread."""
    cdef ptrdiff_t i, H = a.H, n = s.u1 - s.u0
    for i in range(rows):
        if real is float:
            fg_gru_row_f32(part, n, H, z + i * 4 * H + s.u0, before + i * H + s.u0,
                           h + i * H + s.u0)
        else:
            fg_gru_row_f64(part, n, H, z + i * 4 * H + s.u0, before + i * H + s.u0,
                           h + i * H + s.u0)


cdef void run_gru_forward(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Recurrence *a = <const Recurrence *>args
    cdef Share s = share_steps(a, team)
    cdef real *h = <real *>a.h
    cdef real *panels = <real *>a.panels
    cdef real *of_n = panels + piece(a, &s, 2, a.H, panels)
    cdef const real *w = <const real *>a.w
    cdef real *z
    cdef real *now
    cdef const real *then
    cdef ptrdiff_t H = a.H, t, low, high, rows, before = 0
    if must_pack(a, &s):
        pack_inputs(a, &s, team, scratch)
        if a.before:
            pack_forward(a, &s, w, H, 2, team, panels)
            pack_forward(a, &s, w + 2 * H * H, H, 1, team, of_n)
        else:
            pack_forward(a, &s, w, H, 3, team, panels)
    team_wait(team)
    packed_now(a, &s, team)
    for t in range(a.T):
        low, high = min(s.r0, rows_of(a, t)), min(s.r1, rows_of(a, t))
        rows = high - low
        z = <real *>a.gates + (a.offsets[t] + low) * 4 * H
        now, then = h + (a.N + a.offsets[t] + low) * H, h + (before + low) * H
        if rows:
            add_inputs(a, &s, a.offsets[t] + low, rows, z, scratch)
        if rows and not a.before:
            multiply_forward(a, &s, rows, then, H, H, panels, 3, NULL, z + H, scratch)
            gru_rows(a, &s, GRU_ALL, rows, z, then, now)
        elif a.before:
            if rows:
                multiply_forward(a, &s, rows, then, H, H, panels, 2, NULL, z + H, scratch)
                gru_rows(a, &s, GRU_RESET, rows, z, then, now)
            if s.parts > 1:
                team_wait(team)
            if rows:
                multiply_forward(a, &s, rows, z + 3 * H, 4 * H, H, of_n, 1, NULL, z, scratch)
                gru_rows(a, &s, GRU_NEW, rows, z, then, now)
        before = a.N + a.offsets[t]
        if s.parts > 1:
            team_wait(team)


cdef void gru_back_rows(const Recurrence *a, const Share *s, int part, ptrdiff_t t, ptrdiff_t low,
                        ptrdiff_t high, const real *dy, real *scratch) noexcept nogil:
    """The same backward; dy are rows from `low` on, or NULL."""
    cdef const real *h = <const real *>a.h
    cdef real *carried = <real *>a.dh0
    cdef real *z
    cdef real *dh = scratch
    cdef const real *given
    cdef ptrdiff_t i, H = a.H, n = s.u1 - s.u0, u, then = a.N + a.offsets[t - 1] if t else 0
    for i in range(low, high):
        u = i * H + s.u0
        z = <real *>a.gates + (a.offsets[t] + i) * 4 * H + s.u0
        given = dy + (i - low) * H + s.u0 if dy else NULL
        if part != GRU_RESET:  # carried is about to become something else
            if s.parts > 1:
                dh = spare_rows(a, t, scratch) + i * H
                memcpy(dh + 2 * a.N * H + s.u0, carried + u, n * sizeof(real))
            elif i < rows_of(a, t + 1):
                a.squares[4 * (a.offsets[t + 1] + i) + 2] = squares_of(carried + i * H, H)
        if real is float:
            fg_gru_back_row_f32(part, n, H, z, h + (then + i) * H + s.u0, carried + u, given,
                                dh + s.u0)
        else:
            fg_gru_back_row_f64(part, n, H, z, h + (then + i) * H + s.u0, carried + u, given,
                                dh + s.u0)
        if part != GRU_RESET and s.parts == 1:
            note_alone(a, t, i, dh)


cdef inline void note_alone(const Recurrence *a, ptrdiff_t t, ptrdiff_t i,
                            const real *dh) noexcept nogil:
    cdef double *here = a.squares + 4 * (a.offsets[t] + i)
    here[0], here[1], here[3] = squares_of(dh, a.H), 0, 0


cdef void run_gru_backward(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Recurrence *a = <const Recurrence *>args
    cdef Share s = share_steps(a, team)
    cdef const real *dy = <const real *>a.dy
    cdef const real *given
    cdef real *carried = <real *>a.dh0
    cdef real *dm = <real *>a.dc0
    cdef real *dw = <real *>a.dw
    cdef real *panels = <real *>a.panels
    cdef real *of_n = panels + packed_size(a.H, 2 * a.H, panels)
    cdef real *z
    cdef bint before = a.before
    cdef ptrdiff_t H = a.H, t, low, high, rows
    start_back(a, &s, a.dh_last, a.dh0, scratch)
    if before:
        pack_backward(a, &s, 0, 2, team, panels)
        pack_backward(a, &s, 2, 1, team, of_n)
    else:
        pack_backward(a, &s, 0, 3, team, panels)
    team_wait(team)
    for t in range(a.T - 1, -1, -1):
        low, high = min(s.r0, rows_of(a, t)), min(s.r1, rows_of(a, t))
        rows = high - low
        given = dy + (a.offsets[t] + low) * H if dy else NULL
        z = <real *>a.gates + (a.offsets[t] + low) * 4 * H
        gru_back_rows(a, &s, GRU_NEW if before else GRU_ALL, t, low, high, given,
                      scratch)
        if s.parts > 1:
            team_wait(team)
            note_rows(a, &s, t, low, high, scratch)
        if before:
            if rows:
                multiply_backward(a, &s, rows, z, of_n, 1, dm + low * H, False, scratch)
                gru_back_rows(a, &s, GRU_RESET, t, low, high, dm + low * H, scratch)
            if s.parts > 1:
                team_wait(team)
        if rows and (t or a.initial):
            multiply_backward(a, &s, rows, z + H, panels, 2 if before else 3, carried + low * H,
                              True, scratch)
    team_wait(team)
    if team.rank == 0:
        finish_flow(a, scratch)
    if before:
        weight_gradient(a, team, 1, 2, dw, scratch)
        new_gradient(a, team, dw + 2 * H * H, scratch)
    else:
        weight_gradient(a, team, 1, 3, dw, scratch)


cdef void new_gradient(const Recurrence *a, Team *team, real *dw, real *scratch) noexcept nogil:
    """dw[H, H] of the block n, whose product is with m."""
    cdef const real *gates = <const real *>a.gates
    cdef ptrdiff_t H = a.H, r0, r1, c0, c1
    cdef int not_finite = 0
    share_output(team, H, H, &r0, &r1, &c0, &c1)
    if r0 < r1 and c0 < c1:
        multiply(r1 - r0, c1 - c0, a.offsets[a.T], gates + r0, 1, 4 * H, gates + 3 * H + c0,
                 4 * H, 1, dw + r0 * H + c0, H, NULL, False, H, &not_finite, scratch)
    if a.status and not_finite:
        raise_flag(a.status)
