# Long short-term memory: blocks i, f, g, o.

cdef extern from "fg_cells.h" nogil:
    void fg_lstm_row_f32(ptrdiff_t n, ptrdiff_t stride, float *gates, const float *before,
                         float *c, float *h, const float *p_i, const float *p_f,
                         const float *p_o)
    void fg_lstm_row_f64(ptrdiff_t n, ptrdiff_t stride, double *gates, const double *before,
                         double *c, double *h, const double *p_i, const double *p_f,
                         const double *p_o)
    void fg_lstm_back_row_f32(ptrdiff_t n, ptrdiff_t stride, float *gates, const float *before,
                              const float *c, const float *carried, const float *dy, float *dc,
                              float *dh, float *dc_all, const float *p_i, const float *p_f,
                              const float *p_o)
    void fg_lstm_back_row_f64(ptrdiff_t n, ptrdiff_t stride, double *gates, const double *before,
                              const double *c, const double *carried, const double *dy,
                              double *dc, double *dh, double *dc_all, const double *p_i,
                              const double *p_f, const double *p_o)


cdef inline const real *of_units(const void *p, ptrdiff_t start, const real *like) noexcept nogil:
    return <const real *>p + start if p else NULL


cdef void run_lstm_forward(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Recurrence *a = <const Recurrence *>args
    cdef Share s = share_steps(a, team)
    cdef real *h = <real *>a.h
    cdef real *c = <real *>a.c
    cdef real *panels = <real *>a.panels
    cdef real *z
    cdef const real *p_i = of_units(a.p_i, s.u0, scratch)
    cdef const real *p_f = of_units(a.p_f, s.u0, scratch)
    cdef const real *p_o = of_units(a.p_o, s.u0, scratch)
    cdef ptrdiff_t H = a.H, n = s.u1 - s.u0, t, i, low, high, before = 0, now, then
    if must_pack(a, &s):
        pack_inputs(a, &s, team, scratch)
        pack_forward(a, &s, <const real *>a.w, H, 4, team, panels)
    team_wait(team)
    packed_now(a, &s, team)
    for t in range(a.T):
        low, high = min(s.r0, rows_of(a, t)), min(s.r1, rows_of(a, t))
        if low < high:
            z = <real *>a.gates + (a.offsets[t] + low) * 4 * H
            add_inputs(a, &s, a.offsets[t] + low, high - low, z, scratch)
            multiply_forward(a, &s, high - low, h + (before + low) * H, H, H, panels, 4, NULL, z,
                             scratch)
            for i in range(low, high):
                now, then = (a.N + a.offsets[t] + i) * H + s.u0, (before + i) * H + s.u0
                if real is float:
                    fg_lstm_row_f32(n, H, z + (i - low) * 4 * H + s.u0, c + then, c + now, h + now,
                                    p_i, p_f, p_o)
                else:
                    fg_lstm_row_f64(n, H, z + (i - low) * 4 * H + s.u0, c + then, c + now, h + now,
                                    p_i, p_f, p_o)
        before = a.N + a.offsets[t]
        if s.parts > 1:
            team_wait(team)


cdef void run_lstm_backward(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Recurrence *a = <const Recurrence *>args
    cdef Share s = share_steps(a, team)
    cdef const real *c = <const real *>a.c
    cdef const real *dy = <const real *>a.dy
    cdef real *carried = <real *>a.dh0
    cdef real *dc = <real *>a.dc0
    cdef real *panels = <real *>a.panels
    cdef real *z
    cdef real *dh = scratch
    cdef real *dc_all = scratch + a.H
    cdef const real *p_i = of_units(a.p_i, s.u0, scratch)
    cdef const real *p_f = of_units(a.p_f, s.u0, scratch)
    cdef const real *p_o = of_units(a.p_o, s.u0, scratch)
    cdef const real *given
    cdef ptrdiff_t H = a.H, n = s.u1 - s.u0, t, i, low, high, then, row, u, size = n * sizeof(real)
    start_back(a, &s, a.dh_last, a.dh0, scratch)
    start_back(a, &s, a.dc_last, a.dc0, scratch)
    pack_backward(a, &s, 0, 4, team, panels)
    team_wait(team)
    for t in range(a.T - 1, -1, -1):
        low, high = min(s.r0, rows_of(a, t)), min(s.r1, rows_of(a, t))
        then = a.N + a.offsets[t - 1] if t else 0
        for i in range(low, high):
            row, u = a.offsets[t] + i, i * H + s.u0
            z = <real *>a.gates + row * 4 * H + s.u0
            given = dy + row * H + s.u0 if dy else NULL
            if s.parts > 1:
                dh = spare_rows(a, t, scratch) + i * H
                dc_all = dh + a.N * H
                memcpy(dh + 2 * a.N * H + s.u0, carried + u, size)
            if real is float:
                fg_lstm_back_row_f32(n, H, z, c + (then + i) * H + s.u0,
                                     c + (a.N + row) * H + s.u0, carried + u, given, dc + u,
                                     dh + s.u0, dc_all + s.u0, p_i, p_f, p_o)
            else:
                fg_lstm_back_row_f64(n, H, z, c + (then + i) * H + s.u0,
                                     c + (a.N + row) * H + s.u0, carried + u, given, dc + u,
                                     dh + s.u0, dc_all + s.u0, p_i, p_f, p_o)
            if s.parts > 1:
                memcpy(dh + 3 * a.N * H + s.u0, dc + u, size)
            else:
                note(a, t, i, dh, dc_all, carried + i * H, dc + i * H)
        if s.parts > 1:
            team_wait(team)
            note_rows(a, &s, t, low, high, scratch)
        if low < high and (t or a.initial):
            multiply_backward(a, &s, high - low,
                              <const real *>a.gates + (a.offsets[t] + low) * 4 * H, panels, 4,
                              carried + low * H, False, scratch)
    team_wait(team)
    if team.rank == 0:
        finish_flow(a, scratch)
    peephole_gradient(a, team, a.dp_i, 0, False, scratch)
    peephole_gradient(a, team, a.dp_f, 1, False, scratch)
    peephole_gradient(a, team, a.dp_o, 3, True, scratch)
    weight_gradient(a, team, 0, 4, <real *>a.dw, scratch)


cdef void peephole_gradient(const Recurrence *a, Team *team, void *gradient, int block,
                            bint of_now, real *like) noexcept nogil:
    """The sum over all steps of a gate's gradient times the state that it sees."""
    cdef real *dp = <real *>gradient
    cdef const real *z
    cdef const real *c
    cdef double sums[UNITS]
    cdef ptrdiff_t H = a.H, u0, u1, u, n, t, i, j, before
    if dp == NULL:
        return
    team_share(team, H, UNITS, &u0, &u1)
    u = u0
    while u < u1:
        n, before = min(<ptrdiff_t>UNITS, u1 - u), 0
        for j in range(n):
            sums[j] = 0
        for t in range(a.T):
            for i in range(rows_of(a, t)):
                z = <const real *>a.gates + ((a.offsets[t] + i) * 4 + block) * H + u
                c = <const real *>a.c + (a.N + a.offsets[t] + i if of_now else before + i) * H + u
                for j in range(n):
                    sums[j] += <double>z[j] * c[j]
            before = a.N + a.offsets[t]
        for j in range(n):
            dp[u + j] = <real>sums[j]
        u += n
    if a.status and not all_finite(dp + u0, u1 - u0):
        raise_flag(a.status)
