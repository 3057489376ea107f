# Recording of lstm.pxi.


def lstm_forward(Level level, offsets, x, w_ih, bias, w, p_i, p_f, p_o, gates, h, c, panels, ready):
    cdef Recurrence a = recurrence(offsets, w, gates, h, panels, 4)
    a.p_i, a.p_f, a.p_o, a.c = data(p_i), data(p_f), data(p_o), data(c)
    take_inputs(&a, x, w_ih, bias)
    a.ready = <int64_t *>data(ready)
    return record_steps(w, level.runs.lstm_forward, &a)


def lstm_backward(Level level, offsets, w, p_i, p_f, p_o, h, c, dy, dh_last, dc_last, initial,
                  gates, dw, dp_i, dp_f, dp_o, dh0, dc0, flow, squares, panels, status):
    cdef Recurrence a = recurrence(offsets, w, gates, h, panels, 4)
    a.p_i, a.p_f, a.p_o, a.c = data(p_i), data(p_f), data(p_o), data(c)
    a.dy, a.dh_last, a.dc_last, a.initial = data(dy), data(dh_last), data(dc_last), initial
    a.dw, a.dp_i, a.dp_f, a.dp_o = data(dw), data(dp_i), data(dp_f), data(dp_o)
    a.dh0, a.dc0 = data(dh0), data(dc0)
    a.flow, a.squares = <double *>data(flow), <double *>data(squares)
    a.status = <long long *>data(status)
    return record_steps(w, level.runs.lstm_backward, &a)
