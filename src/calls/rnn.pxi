# Recording of rnn.pxi.


def rnn_forward(Level level, offsets, x, w_ih, bias, w, activation, alpha, gates, h, panels, ready):
    cdef Recurrence a = recurrence(offsets, w, gates, h, panels, 1)
    a.activation, a.alpha = activation_code(activation, w), alpha
    take_inputs(&a, x, w_ih, bias)
    a.ready = <int64_t *>data(ready)
    return record_steps(w, level.runs.rnn_forward, &a)


def rnn_backward(Level level, offsets, w, activation, alpha, h, dy, dh_last, initial, gates, dw,
                 dh0, flow, squares, panels, status):
    cdef Recurrence a = recurrence(offsets, w, gates, h, panels, 1)
    a.activation, a.alpha = activation_code(activation, w), alpha
    a.dy, a.dh_last, a.initial = data(dy), data(dh_last), initial
    a.dw, a.dh0 = data(dw), data(dh0)
    a.flow, a.squares = <double *>data(flow), <double *>data(squares)
    a.status = <long long *>data(status)
    return record_steps(w, level.runs.rnn_backward, &a)
