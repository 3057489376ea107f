# Recording of clipping.pxi.
from calls.clipping cimport Norms, Percentile, Relative, Rescale, Value, ZScore


def group_norms(Level level, x, blocks, groups, sums, norms):
    cdef Norms a = Norms(data(x), <const int64_t *>data(blocks), <const int64_t *>data(groups),
                         <double *>data(sums), <double *>data(norms), blocks.size - 1,
                         groups.size - 1)
    return record_real(x, level.runs.group_norms, &a, sizeof(a), <double>x.size)


def rescale(Level level, norms, bounds, blocks, groups, g, report):
    cdef Rescale a = Rescale(<const double *>data(norms), <const double *>data(bounds),
                             <const int64_t *>data(blocks), <const int64_t *>data(groups),
                             data(g), <double *>data(report), blocks.size - 1, groups.size - 1)
    return record_real(g, level.runs.rescale, &a, sizeof(a), <double>g.size)


def relative_bounds(Level level, norms, factor, eps, bounds):
    cdef Relative a = Relative(<const double *>data(norms), <double *>data(bounds),
                               norms.shape[0], factor, eps)
    return record(level.runs.relative_bounds, &a, sizeof(a), 0)


def percentile_bounds(Level level, norms, percentile, bounds, arrived, ordered, count):
    cdef Percentile a = Percentile(
        <const double *>data(norms), <double *>data(bounds), <double *>data(arrived),
        <double *>data(ordered), <int64_t *>data(count), arrived.size, percentile)
    return record(level.runs.percentile_bounds, &a, sizeof(a), 0)


def z_score_bounds(Level level, norms, threshold, alpha, warmup, min_std, max_norm, bounds,
                   moments):
    cdef ZScore a = ZScore(<const double *>data(norms), <double *>data(bounds),
                           <double *>data(moments), threshold, alpha, min_std, max_norm, warmup)
    return record(level.runs.z_score_bounds, &a, sizeof(a), 0)


def clip_value(Level level, limit, blocks, g, sums, report):
    cdef Value a = Value(<const int64_t *>data(blocks), data(g), <double *>data(sums),
                         <double *>data(report), blocks.size - 1, limit)
    return record_real(g, level.runs.clip_value, &a, sizeof(a), 2.0 * g.size)
