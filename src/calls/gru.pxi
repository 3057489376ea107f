# Recording of gru.pxi.


def gru_forward(Level level, offsets, x, w_ih, bias, w, before, gates, h, panels, ready):
    cdef Recurrence a = recurrence(offsets, w, gates, h, panels, 4)
    a.before = before
    take_inputs(&a, x, w_ih, bias)
    a.ready = <int64_t *>data(ready)
    return record_steps(w, level.runs.gru_forward, &a)


def gru_backward(Level level, offsets, w, before, h, dy, dh_last, initial, gates, dw, dh0, spare,
                 flow, squares, panels, status):
    cdef Recurrence a = recurrence(offsets, w, gates, h, panels, 4)
    a.before, a.initial = before, initial
    a.dy, a.dh_last = data(dy), data(dh_last)
    a.dw, a.dh0, a.dc0 = data(dw), data(dh0), data(spare)
    a.flow, a.squares = <double *>data(flow), <double *>data(squares)
    a.status = <long long *>data(status)
    return record_steps(w, level.runs.gru_backward, &a)
