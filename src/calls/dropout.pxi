# Recording of dropout.pxi.
from libc.stdint cimport uint32_t

from calls.dropout cimport Drop

cdef enum:
    DROP_WORK = 20  # multiply-adds that one element is worth


def dropout(Level level, x, p, seed, layer, count, y):
    cdef uint32_t threshold = min(round(p * 2.0**32), 2**32 - 1)
    cdef Drop a = Drop(data(x), data(y), <const int64_t *>data(count), seed, layer, x.shape[0],
                       x.shape[1], threshold, p)
    return record_real(x, level.runs.dropout, &a, sizeof(a), <double>a.N * a.F * DROP_WORK, a.N,
                       a.N)
