# Recording of columns.pxi.
from calls.columns cimport Copy


def put_columns(Level level, x, start, y):
    cdef ptrdiff_t size = x.itemsize, N = x.shape[0], F = x.shape[1], G = y.shape[1]
    cdef ptrdiff_t skipped = start * size
    cdef Copy a = Copy(<const char *>data(x), <char *>data(y) + skipped, N, F * size, F * size,
                       G * size)
    return record(level.runs.copy, &a, sizeof(a), <double>N * F, N, N)


def take_columns(Level level, y, start, x):
    cdef ptrdiff_t size = x.itemsize, N = x.shape[0], F = x.shape[1], G = y.shape[1]
    cdef ptrdiff_t skipped = start * size
    cdef Copy a = Copy(<const char *>data(y) + skipped, <char *>data(x), N, F * size, G * size,
                       F * size)
    return record(level.runs.copy, &a, sizeof(a), <double>N * F, 0, N)
