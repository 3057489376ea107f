# The plain recurrent layer, h = f(z + h w').

from _activation cimport keeps_slope


cdef void run_rnn_forward(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Recurrence *a = <const Recurrence *>args
    cdef Share s = share_steps(a, team)
    cdef real *gates = <real *>a.gates
    cdef real *h = <real *>a.h
    cdef real *panels = <real *>a.panels
    cdef real *z
    cdef real *y
    cdef ptrdiff_t H = a.H, n = s.u1 - s.u0, t, i, u, low, high, before = 0
    if must_pack(a, &s):
        pack_inputs(a, &s, team, scratch)
        pack_forward(a, &s, <const real *>a.w, H, 1, team, panels)
    team_wait(team)
    packed_now(a, &s, team)
    for t in range(a.T):
        low, high = min(s.r0, rows_of(a, t)), min(s.r1, rows_of(a, t))
        if low < high:
            z = gates + (a.offsets[t] + low) * H
            y = h + (a.N + a.offsets[t] + low) * H
            add_inputs(a, &s, a.offsets[t] + low, high - low, z, scratch)
            multiply_forward(a, &s, high - low, h + (before + low) * H, H, H, panels, 1, NULL, z,
                             scratch)
            for i in range(high - low):
                u = i * H + s.u0
                memcpy(y + u, z + u, n * sizeof(real))
                activate(a.activation, <real>a.alpha, y + u,
                         z + u if keeps_slope(a.activation) else NULL, n)
        before = a.N + a.offsets[t]
        if s.parts > 1:
            team_wait(team)


cdef void run_rnn_backward(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Recurrence *a = <const Recurrence *>args
    cdef Share s = share_steps(a, team)
    cdef real *gates = <real *>a.gates
    cdef const real *h = <const real *>a.h
    cdef const real *dy = <const real *>a.dy
    cdef real *carried = <real *>a.dh0
    cdef real *panels = <real *>a.panels
    cdef real *dh = scratch
    cdef ptrdiff_t H = a.H, n = s.u1 - s.u0, t, i, j, low, high, row
    start_back(a, &s, a.dh_last, a.dh0, scratch)
    pack_backward(a, &s, 0, 1, team, panels)
    team_wait(team)
    for t in range(a.T - 1, -1, -1):
        low, high = min(s.r0, rows_of(a, t)), min(s.r1, rows_of(a, t))
        for i in range(low, high):
            row = (a.offsets[t] + i) * H
            if s.parts > 1:
                dh = spare_rows(a, t, scratch) + i * H
                memcpy(dh + 2 * a.N * H + s.u0, carried + i * H + s.u0, n * sizeof(real))
            if dy:
                for j in range(s.u0, s.u1):
                    dh[j] = carried[i * H + j] + dy[row + j]
            else:
                memcpy(dh + s.u0, carried + i * H + s.u0, n * sizeof(real))
            if s.parts == 1:
                note(a, t, i, dh, <real *>NULL, carried + i * H, <real *>NULL)
            else:  # the row of dh is whole only after the others, too
                memcpy(scratch + s.u0, dh + s.u0, n * sizeof(real))
            times_slope(a.activation, <real>a.alpha, h + a.N * H + row + s.u0,
                        gates + row + s.u0, scratch + s.u0, n)
            memcpy(gates + row + s.u0, scratch + s.u0, n * sizeof(real))
        if s.parts > 1:
            team_wait(team)
            note_rows(a, &s, t, low, high, scratch)
        if low < high and (t or a.initial):
            multiply_backward(a, &s, high - low, gates + (a.offsets[t] + low) * H, panels, 1,
                              carried + low * H, False, scratch)
    team_wait(team)
    if team.rank == 0:
        finish_flow(a, scratch)
    weight_gradient(a, team, 0, 1, <real *>a.dw, scratch)
