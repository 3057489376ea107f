# The layer-normalized LSTM (Ba et al. 2016), blocks i, f, g, o.
#
# design:
#  a) A row is normalized over the sums of all units, so that threads share sequences only.
#  b) Gradients of the norms' own parameters are sums over all steps, which layer_norm_backward
#     makes of what these kernels leave.
from calls.lstm_norm cimport NormSteps

cdef extern from "fg_lstm_norm.h" nogil:
    void fg_norm_row_f32(const float *x, const float *w, const float *b, ptrdiff_t n, double eps,
                         float *y, double *mean, double *scale)
    void fg_norm_row_f64(const double *x, const double *w, const double *b, ptrdiff_t n,
                         double eps, double *y, double *mean, double *scale)
    void fg_norm_row_back_f32(const float *x, const float *w, const float *dy, ptrdiff_t n,
                              double mean, double scale, float *dx)
    void fg_norm_row_back_f64(const double *x, const double *w, const double *dy, ptrdiff_t n,
                              double mean, double scale, double *dx)
    void fg_lstm_norm_row_f32(ptrdiff_t n, const float *o, float *seen, float *h)
    void fg_lstm_norm_row_f64(ptrdiff_t n, const double *o, double *seen, double *h)
    void fg_lstm_norm_out_back_f32(ptrdiff_t n, const float *carried, const float *dy, float *o,
                                   float *seen, float *dh)
    void fg_lstm_norm_out_back_f64(ptrdiff_t n, const double *carried, const double *dy, double *o,
                                   double *seen, double *dh)
    void fg_lstm_norm_cell_back_f32(ptrdiff_t n, float *gates, const float *before, float *dc,
                                    float *dc_all)
    void fg_lstm_norm_cell_back_f64(ptrdiff_t n, double *gates, const double *before, double *dc,
                                    double *dc_all)


cdef Share share_sequences(const Recurrence *a, const Team *team) noexcept nogil:
    cdef int groups = <int>max(1, min(<ptrdiff_t>team.used, a.N // TILE_ROWS))
    cdef Share s
    memset(&s, 0, sizeof(s))
    s.parts, s.u1 = 1, a.H
    if team.rank < groups:
        s.r0, s.r1 = first_of(a, team.rank, groups), first_of(a, team.rank + 1, groups)
    return s


cdef inline void norm_row(const real *x, const real *weight, const real *bias, ptrdiff_t n,
                          double eps, real *y, double *mean, double *scale) noexcept nogil:
    if real is float:
        fg_norm_row_f32(x, weight, bias, n, eps, y, mean, scale)
    else:
        fg_norm_row_f64(x, weight, bias, n, eps, y, mean, scale)


cdef inline void norm_row_back(const real *x, const real *weight, const real *dy, ptrdiff_t n,
                               double mean, double scale, real *dx) noexcept nogil:
    if real is float:
        fg_norm_row_back_f32(x, weight, dy, n, mean, scale, dx)
    else:
        fg_norm_row_back_f64(x, weight, dy, n, mean, scale, dx)


cdef void run_lstm_norm_forward(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const NormSteps *a = <const NormSteps *>args
    cdef const Recurrence *r = &a.steps
    cdef Share s = share_sequences(r, team)
    cdef const real *norm_h = <const real *>a.norm_h
    cdef const real *norm_c = <const real *>a.norm_c
    cdef const real *bias_c = <const real *>a.bias_c
    cdef real *sums = <real *>r.gates
    cdef real *panels = <real *>r.panels
    cdef real *h
    cdef real *c
    cdef real *z
    cdef real *seen
    cdef const real *c_before
    cdef ptrdiff_t H = r.H, t, i, low, high, row, before = 0
    if must_pack(r, &s):
        pack_forward(r, &s, <const real *>r.w, H, 4, team, panels)
    team_wait(team)
    packed_now(r, &s, team)
    for t in range(r.T):
        low, high = min(s.r0, rows_of(r, t)), min(s.r1, rows_of(r, t))
        if low < high:
            multiply_panels(high - low, 4 * H, H, <const real *>r.h + (before + low) * H, H,
                            panels, sums + (r.offsets[t] + low) * 4 * H, 4 * H, NULL, False,
                            scratch)
        for i in range(low, high):
            row = r.offsets[t] + i
            z, seen = <real *>a.gates + row * 4 * H, <real *>a.seen + row * H
            h, c = <real *>r.h + (r.N + row) * H, <real *>r.c + (r.N + row) * H
            c_before = <const real *>r.c + (before + i) * H
            norm_row(sums + row * 4 * H, norm_h, z, 4 * H, a.eps, z, a.mean_h + row,
                     a.scale_h + row)
            # of its results h alone is another one
            if real is float:
                fg_lstm_row_f32(H, H, z, c_before, c, h, NULL, NULL, NULL)
            else:
                fg_lstm_row_f64(H, H, z, c_before, c, h, NULL, NULL, NULL)
            norm_row(c, norm_c, bias_c, H, a.eps, seen, a.mean_c + row, a.scale_c + row)
            if real is float:
                fg_lstm_norm_row_f32(H, z + 3 * H, seen, h)
            else:
                fg_lstm_norm_row_f64(H, z + 3 * H, seen, h)
        before = r.N + r.offsets[t]


cdef void run_lstm_norm_backward(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const NormSteps *a = <const NormSteps *>args
    cdef const Recurrence *r = &a.steps
    cdef Share s = share_sequences(r, team)
    cdef const real *norm_h = <const real *>a.norm_h
    cdef const real *norm_c = <const real *>a.norm_c
    cdef const real *sums = <const real *>a.sums
    cdef const real *c = <const real *>r.c
    cdef const real *dy = <const real *>r.dy
    cdef const real *given
    cdef const real *c_before
    cdef real *d_sums = <real *>r.gates
    cdef real *carried = <real *>r.dh0
    cdef real *dc = <real *>r.dc0
    cdef real *panels = <real *>r.panels
    cdef real *dh = scratch
    cdef real *dc_all = scratch + r.H
    cdef real *z
    cdef real *seen
    cdef ptrdiff_t H = r.H, t, i, low, high, row, u, then
    start_back(r, &s, r.dh_last, r.dh0, scratch)
    start_back(r, &s, r.dc_last, r.dc0, scratch)
    pack_backward(r, &s, 0, 4, team, panels)
    team_wait(team)
    for t in range(r.T - 1, -1, -1):
        low, high = min(s.r0, rows_of(r, t)), min(s.r1, rows_of(r, t))
        then = r.N + r.offsets[t - 1] if t else 0
        for i in range(low, high):
            row, u = r.offsets[t] + i, i * H
            z, seen = <real *>a.gates + row * 4 * H, <real *>a.seen + row * H
            given = dy + row * H if dy else NULL
            c_before = c + (then + i) * H
            if real is float:
                fg_lstm_norm_out_back_f32(H, carried + u, given, z + 3 * H, seen, dh)
            else:
                fg_lstm_norm_out_back_f64(H, carried + u, given, z + 3 * H, seen, dh)
            norm_row_back(c + (r.N + row) * H, norm_c, seen, H, a.mean_c[row], a.scale_c[row],
                          dc_all)
            if real is float:
                fg_lstm_norm_cell_back_f32(H, z, c_before, dc + u, dc_all)
            else:
                fg_lstm_norm_cell_back_f64(H, z, c_before, dc + u, dc_all)
            norm_row_back(sums + row * 4 * H, norm_h, z, 4 * H, a.mean_h[row], a.scale_h[row],
                          d_sums + row * 4 * H)
            note(r, t, i, dh, dc_all, carried + u, dc + u)
        if low < high and (t or r.initial):
            multiply_backward(r, &s, high - low, d_sums + (r.offsets[t] + low) * 4 * H, panels, 4,
                              carried + low * H, False, scratch)
    team_wait(team)
    if team.rank == 0:
        finish_flow(r, scratch)
    weight_gradient(r, team, 0, 4, <real *>r.dw, scratch)
