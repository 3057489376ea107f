# Recording of lstm_norm.pxi.
from calls.lstm_norm cimport NormSteps


cdef NormSteps norm_steps(offsets, w, products, h, c, panels, gates, seen, norm_h, norm_c, mean_h,
                          scale_h, mean_c, scale_c):
    cdef NormSteps a
    memset(&a, 0, sizeof(a))
    a.steps = recurrence(offsets, w, products, h, panels, 4)
    a.steps.c, a.gates, a.seen = data(c), data(gates), data(seen)
    a.norm_h, a.norm_c = data(norm_h), data(norm_c)
    a.mean_h, a.scale_h = <double *>data(mean_h), <double *>data(scale_h)
    a.mean_c, a.scale_c = <double *>data(mean_c), <double *>data(scale_c)
    return a


cdef double norm_work(const NormSteps *a):
    return <double>a.steps.T * a.steps.N * 4 * a.steps.H * a.steps.H


def lstm_norm_forward(Level level, offsets, w, norm_h, norm_c, bias_c, eps, gates, h, c, sums, seen,
                      mean_h, scale_h, mean_c, scale_c, panels, ready):
    cdef NormSteps a = norm_steps(offsets, w, sums, h, c, panels, gates, seen, norm_h, norm_c,
                                  mean_h, scale_h, mean_c, scale_c)
    a.bias_c, a.eps, a.steps.ready = data(bias_c), eps, <int64_t *>data(ready)
    return record_real(w, level.runs.lstm_norm_forward, &a, sizeof(a), norm_work(&a))


def lstm_norm_backward(Level level, offsets, w, norm_h, norm_c, h, c, sums, mean_h, scale_h, mean_c,
                       scale_c, dy, dh_last, dc_last, initial, gates, seen, d_sums, dw, dh0, dc0,
                       flow, squares, panels, status):
    cdef NormSteps a = norm_steps(offsets, w, d_sums, h, c, panels, gates, seen, norm_h, norm_c,
                                  mean_h, scale_h, mean_c, scale_c)
    cdef Recurrence *r = &a.steps
    a.sums = data(sums)
    r.dy, r.dh_last, r.dc_last, r.initial = data(dy), data(dh_last), data(dc_last), initial
    r.dw, r.dh0, r.dc0 = data(dw), data(dh0), data(dc0)
    r.flow, r.squares = <double *>data(flow), <double *>data(squares)
    r.status = <long long *>data(status)
    return record_real(w, level.runs.lstm_norm_backward, &a, sizeof(a), norm_work(&a))
