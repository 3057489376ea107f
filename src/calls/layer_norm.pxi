# Recording of layer_norm.pxi.
from calls.layer_norm cimport LayerNorm, LayerNormBackward

cdef enum:
    ROW_WORK = 20  # multiply-adds that one element is worth


cdef inline ptrdiff_t steps_of(offsets):
    return 0 if offsets is None else offsets.shape[0] - 1


def layer_norm_forward(Level level, x, weight, bias, center, eps, offsets, y, mean, scale):
    cdef LayerNorm a = LayerNorm(data(x), data(weight), data(bias), data(y), <double *>data(mean),
                                 <double *>data(scale), <const int64_t *>data(offsets),
                                 x.shape[0], steps_of(offsets), x.shape[1], center != 0, eps)
    cdef ptrdiff_t linked = 0 if a.offsets else a.N
    return record_real(x, level.runs.ln_forward, &a, sizeof(a), <double>a.N * a.F * ROW_WORK,
                       linked, linked)


def layer_norm_backward(Level level, x, weight, center, mean, scale, dy, offsets, dx, dweight,
                        dbias, status):
    cdef LayerNormBackward a = LayerNormBackward(data(x), data(weight), <double *>data(mean),
                                                 <double *>data(scale), data(dy), data(dx),
                                                 data(dweight), data(dbias),
                                                 <long long *>data(status),
                                                 <const int64_t *>data(offsets), x.shape[0],
                                                 steps_of(offsets), x.shape[1], center != 0)
    return record_real(x, level.runs.ln_backward, &a, sizeof(a), <double>a.N * a.F * ROW_WORK, 0,
                       a.N if a.dx and not a.offsets else 0)
