# Recording of dense.pxi.
from calls.dense cimport DenseBackward, DenseForward


cdef bint tall(ptrdiff_t rows, ptrdiff_t fan_in, ptrdiff_t fan_out) noexcept:
    """Whether moving activations between cores costs more than packing the weights in each."""
    return rows * (fan_in + fan_out) >= fan_in * fan_out


def dense_forward(Level level, x, w, b, activation, alpha, y, slope):
    cdef DenseForward a = DenseForward(data(x), data(w), data(b), data(y), data(slope), x.shape[0],
                                       x.shape[1], w.shape[0],
                                       tall(x.shape[0], x.shape[1], w.shape[0]),
                                       activation_code(activation, x), alpha)
    cdef ptrdiff_t own = a.rows if a.by_rows else 0
    return record_real(x, level.runs.dense_forward, &a, sizeof(a),
                       <double>a.rows * a.fan_in * a.fan_out, own, own)


def dense_backward(Level level, x, w, y, slope, activation, alpha, dy, dx, dw, db, status):
    cdef DenseBackward a = DenseBackward(data(x), data(w), data(y), data(slope), data(dy), data(dx),
                                         data(dw), data(db), <long long *>data(status), x.shape[0],
                                         x.shape[1], w.shape[0],
                                         tall(x.shape[0], x.shape[1], w.shape[0]),
                                         activation_code(activation, x), alpha)
    cdef ptrdiff_t own = a.rows if a.by_rows else 0
    return record_real(x, level.runs.dense_backward, &a, sizeof(a),
                       <double>a.rows * a.fan_in * a.fan_out, own, own if a.dx else 0)
