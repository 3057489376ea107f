# Recording of residual.pxi.
from calls.residual cimport Around


def residual_forward(Level level, x, f, scale, factor, y):
    cdef Around a = Around(data(x), data(f), data(scale), data(y), NULL, NULL, NULL, x.shape[0],
                           x.shape[1], factor)
    return record_real(x, level.runs.around, &a, sizeof(a), <double>a.N * a.F, a.N, a.N)


def residual_backward(Level level, f, dy, scale, factor, df, dscale, rows, status):
    cdef Around a = Around(data(dy), data(f), data(scale), data(df), data(dscale),
                           <double *>data(rows), <long long *>data(status), f.shape[0],
                           f.shape[1], factor)
    return record_real(f, level.runs.around_back, &a, sizeof(a), <double>a.N * a.F, 0, a.N)


def add(Level level, x, y):
    cdef Around a = Around(data(x), NULL, NULL, data(y), NULL, NULL, NULL, x.shape[0], x.shape[1],
                           1)
    return record_real(x, level.runs.add, &a, sizeof(a), <double>a.N * a.F, a.N, a.N)
