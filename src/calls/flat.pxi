# Recording of flat.pxi.
from calls.flat cimport Average, Blend


def blend(Level level, x, keep, add, y):
    cdef Blend a = Blend(data(x), data(y), x.size, keep, add)
    return record_real(x, level.runs.blend, &a, sizeof(a), 2.0 * a.P)


def average(Level level, p, decay, step, mean):
    cdef Average a = Average(data(p), <const int64_t *>data(step), data(mean), p.size, decay)
    return record_real(p, level.runs.average, &a, sizeof(a), 3.0 * a.P)
