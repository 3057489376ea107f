# Recording of arena.pxi.
from calls.arena cimport Finite


def check_finite(Level level, g, status):
    cdef Finite a = Finite(data(g), <long long *>data(status), g.size)
    return record_real(g, level.runs.check_finite, &a, sizeof(a), <double>a.P)
