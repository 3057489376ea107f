# Recording of optimizers.pxi.
from calls.optimizers cimport Pass


cdef bytes record_pass(Level level, Both run, double work, cnp.ndarray g, hyper, step, p, first,
                       second, third, blocks, seen, moved, bint looks=False):
    """One pass, of so much work for an element; watched where there are blocks."""
    cdef Pass a = Pass(data(g), data(p), data(first), data(second), data(third),
                       <const double *>data(hyper), <const int64_t *>data(step), g.size,
                       <const int64_t *>data(blocks), <double *>data(seen), <double *>data(moved),
                       NULL, looks, 0, NULL)
    if moved is None or blocks is None:
        return record_real(g, run, &a, sizeof(a), work * a.P)
    a.B = blocks.size - 1
    a.run = run.of_double if cnp.PyArray_TYPE(g) == cnp.NPY_FLOAT64 else run.of_float
    return record_real(g, level.runs.watched, &a, sizeof(a), (work + 4) * a.P)


def sgd(Level level, g, hyper, step, blocks, p, velocity, seen, moved):
    return record_pass(level, level.runs.sgd, 4, g, hyper, step, p, velocity, None, None, blocks,
                       seen, moved, True)


def rmsprop(Level level, g, hyper, step, blocks, p, square, velocity, mean, seen, moved):
    return record_pass(level, level.runs.rmsprop, 8, g, hyper, step, p, square, velocity, mean,
                       blocks, seen, moved)


def adagrad(Level level, g, hyper, step, blocks, p, square, seen, moved):
    return record_pass(level, level.runs.adagrad, 8, g, hyper, step, p, square, None, None, blocks,
                       seen, moved)


def adadelta(Level level, g, hyper, step, blocks, p, square, square_delta, seen, moved):
    return record_pass(level, level.runs.adadelta, 8, g, hyper, step, p, square, square_delta, None,
                       blocks, seen, moved)


def rprop(Level level, g, hyper, step, blocks, p, previous, step_size, seen, moved):
    return record_pass(level, level.runs.rprop, 4, g, hyper, step, p, previous, step_size, None,
                       blocks, seen, moved)


def lion(Level level, g, hyper, step, blocks, p, mean, seen, moved):
    return record_pass(level, level.runs.lion, 4, g, hyper, step, p, mean, None, None, blocks, seen,
                       moved)
