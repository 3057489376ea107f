# Recording of elementwise.pxi.
from calls.elementwise cimport Map

cdef enum:
    FUNCTION_WORK = 20  # multiply-adds that one element is worth

FUNCTIONS = ("exp", "expm1", "tanh", "sigmoid", "erf", "log1p", "log")


def elementwise(Level level, function, x, out):
    cdef Map a = Map(data(x), data(out), x.size, FUNCTIONS.index(function))
    return record_real(x, level.runs.elementwise, &a, sizeof(a), <double>a.n * FUNCTION_WORK)
