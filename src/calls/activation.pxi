# Recording of activation.pxi.
from calls.activation cimport Activated, activation_code

cdef enum:
    ACTIVATION_WORK = 20  # multiply-adds that one element is worth


def activation_forward(Level level, x, activation, alpha, y, slope):
    cdef Activated a = Activated(data(x), data(y), data(slope), NULL, x.size,
                                 activation_code(activation, y), alpha)
    return record_real(x, level.runs.activation, &a, sizeof(a), <double>a.n * ACTIVATION_WORK)


def activation_backward(Level level, y, slope, dy, activation, alpha, dx):
    cdef Activated a = Activated(data(y), data(dx), data(slope), data(dy), y.size,
                                 activation_code(activation, y), alpha)
    return record_real(y, level.runs.activation_backward, &a, sizeof(a),
                       <double>a.n * ACTIVATION_WORK)
