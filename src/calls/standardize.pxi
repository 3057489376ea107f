# Recording of standardize.pxi.
from calls.standardize cimport Columns


def standardize_forward(Level level, x, mean, scale, y):
    cdef Columns a = Columns(data(x), data(mean), data(scale), data(y), x.shape[0], x.shape[1])
    return record_real(x, level.runs.standardize, &a, sizeof(a), <double>a.N * a.F, a.N, a.N)


def standardize_backward(Level level, dy, scale, dx):
    cdef Columns a = Columns(data(dy), NULL, data(scale), data(dx), dy.shape[0], dy.shape[1])
    return record_real(dy, level.runs.standardize_back, &a, sizeof(a), <double>a.N * a.F, 0, a.N)
