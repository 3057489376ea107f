# Recording of layerwise.pxi.
from calls.layerwise cimport Layers


def lamb(Level level, g, hyper, step, blocks, groups, p, mean, square, update, squares, ratios):
    cdef Layers a = Layers(
        data(g), data(p), data(mean), data(square), data(update), <const double *>data(hyper),
        <const int64_t *>data(step), <const int64_t *>data(blocks), <const int64_t *>data(groups),
        <double *>data(squares), <double *>data(ratios), blocks.size - 1, groups.size - 1,
    )
    return record_real(g, level.runs.lamb, &a, sizeof(a), 10.0 * g.size)


def lars(Level level, g, hyper, blocks, groups, p, velocity, update, squares, ratios):
    cdef Layers a = Layers(
        data(g), data(p), data(velocity), NULL, data(update), <const double *>data(hyper), NULL,
        <const int64_t *>data(blocks), <const int64_t *>data(groups), <double *>data(squares),
        <double *>data(ratios), blocks.size - 1, groups.size - 1,
    )
    return record_real(g, level.runs.lars, &a, sizeof(a), 6.0 * g.size)
