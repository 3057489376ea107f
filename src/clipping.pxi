# Clipping: norms of groups of elements, bounds for them, and the rescaling into these bounds.
#
# design:
#  a) A norm is a pair, scale and root, whose product it is. scale is 1 unless squares leave
#     float64, 0 where all elements are, and infinite where one of them is not finite.
#  b) Work is shared in whole blocks, so that every sum is the same whatever the number of threads.
#     Histories and accounts are written by the first thread alone.
from libc.float cimport DBL_MAX
from libc.math cimport INFINITY, floor, hypot, isfinite, sqrt

from _core cimport (
    Mode, Team, int64_t, keep_denormals, ptrdiff_t, real, set_mode, team_share, team_wait,
)
from _math cimport absolute
from _reduce cimport all_finite, sum_of_squares
from calls.clipping cimport Norms, Percentile, Relative, Rescale, Value, ZScore


cdef void sum_block(const real *x, ptrdiff_t n, double *sum) noexcept nogil:
    """The sum of squares of x[n] is sum[0]^2 sum[1]; sum[0] is the scale of a)."""
    cdef double top = 0
    cdef ptrdiff_t i
    sum[0], sum[1] = 1, sum_of_squares(x, n)
    if 1e-280 < sum[1] < 1e280:
        return
    if not all_finite(x, n):
        sum[0] = INFINITY
        return
    for i in range(n):
        top = max(top, <double>absolute(x[i]))
    sum[0], sum[1] = top, 0
    if top > 0:
        for i in range(n):
            sum[1] += (x[i] / top) * (x[i] / top)


cdef void add_blocks(const double *sums, ptrdiff_t stride, ptrdiff_t n,
                     double *norm) noexcept nogil:
    """The norm of n blocks, whose sums lie `stride` apart."""
    cdef double top = 0, square = 0, ratio
    cdef ptrdiff_t i
    for i in range(n):
        top = max(top, sums[i * stride])
    norm[0], norm[1] = top, 1
    if top == 0 or not isfinite(top):
        return
    for i in range(n):
        ratio = sums[i * stride] / top
        square += ratio * ratio * sums[i * stride + 1]
    norm[1] = sqrt(square)


cdef void run_group_norms(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Norms *a = <const Norms *>args
    cdef const real *x = <const real *>a.x
    cdef ptrdiff_t i, low, high
    cdef Mode mode = keep_denormals()
    team_share(team, a.B, 1, &low, &high)
    for i in range(low, high):
        sum_block(x + a.blocks[i], a.blocks[i + 1] - a.blocks[i], a.sums + 2 * i)
    team_wait(team)
    team_share(team, a.S, 1, &low, &high)
    for i in range(low, high):
        add_blocks(a.sums + 2 * a.groups[i], 2, a.groups[i + 1] - a.groups[i], a.norms + 2 * i)
    set_mode(mode)


cdef double away(double factor) noexcept nogil:
    """How far a factor is from 1, above or below."""
    return factor if factor > 1 else 1 / factor


cdef void note(double *report, bint acted, double norm, double factor,
               double kept) noexcept nogil:
    """One step more in the account of a clip."""
    if report[0] == 0 or away(factor) > away(report[5]):
        report[5] = factor
    report[0] += 1
    report[1] += acted
    report[2] = norm
    report[3] = factor
    report[4] += kept


cdef double find_factor(const double *norm, const double *bound, double *lift) noexcept nogil:
    """A group is multiplied with lift, then with what is returned; exact for every finite one."""
    cdef double scale = norm[0], size = norm[0] * norm[1], wanted
    lift[0] = 1
    if scale == 0 or not isfinite(scale):
        return 1
    if size > bound[1]:
        wanted = bound[1]
    elif size < bound[0]:
        wanted = bound[0]
    else:
        return 1
    if scale < 1e-290:  # one float64 may not reach from there to where the norm is wanted
        lift[0] = 2.0**600
        scale *= lift[0]
    return wanted / scale / norm[1]


cdef void account(const Rescale *a) noexcept nogil:
    """Largest norm, factor farthest from 1, and the norm of all groups together, after / before."""
    cdef double largest = 0, most = 0, farthest = 1, before = 0, after = 0, factor, lift, norm
    cdef bint acted = False
    cdef ptrdiff_t i
    for i in range(a.S):
        norm = a.norms[2 * i] * a.norms[2 * i + 1]
        largest = max(largest, norm)
        if isfinite(a.norms[2 * i]):
            most = max(most, norm)
        factor = find_factor(a.norms + 2 * i, a.bounds + 2 * i, &lift) * lift
        acted |= factor != 1
        if away(factor) > away(farthest):
            farthest = factor
    if a.S == 1 or not acted:
        note(a.report, acted, largest, farthest, farthest)
        return
    for i in range(a.S):
        if isfinite(a.norms[2 * i]):
            norm = a.norms[2 * i] / min(most, DBL_MAX) * a.norms[2 * i + 1]
            factor = find_factor(a.norms + 2 * i, a.bounds + 2 * i, &lift) * lift
            before, after = hypot(before, norm), hypot(after, factor * norm)
    note(a.report, acted, largest, farthest, after / before)


cdef void run_rescale(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Rescale *a = <const Rescale *>args
    cdef real *g = <real *>a.g
    cdef double lift, factor
    cdef ptrdiff_t group, i, low, high, first, last
    cdef Mode mode = keep_denormals()  # a gradient may be lifted from there, or need such a factor
    if team.rank == 0:
        account(a)
    team_share(team, a.B, 1, &low, &high)
    for group in range(a.S):
        first = max(low, <ptrdiff_t>a.groups[group])
        last = min(high, <ptrdiff_t>a.groups[group + 1])
        if first < last:
            factor = find_factor(a.norms + 2 * group, a.bounds + 2 * group, &lift)
            if lift * factor != 1:
                for i in range(a.blocks[first], a.blocks[last]):
                    g[i] = <real>(g[i] * lift * factor)
    set_mode(mode)


cdef void run_relative_bounds(const void *args, Team *team, void *scratch) noexcept nogil:
    cdef const Relative *a = <const Relative *>args
    cdef Mode mode = keep_denormals()
    cdef ptrdiff_t i
    for i in range(a.S):
        a.bounds[2 * i] = 0
        a.bounds[2 * i + 1] = a.factor * max(a.norms[2 * i] * a.norms[2 * i + 1], a.eps)
    set_mode(mode)


cdef void remember(const Percentile *a, double norm) noexcept nogil:
    """Put a norm into both lists; the oldest one leaves them when they are full."""
    cdef double *ordered = a.ordered
    cdef ptrdiff_t seen = max(a.count[0], 0), place = seen % a.W, n = min(seen, a.W), i = n
    if n < a.W:
        n += 1
    else:
        i = 0
        while i < n - 1 and ordered[i] < a.arrived[place]:
            i += 1
    while i > 0 and ordered[i - 1] > norm:
        ordered[i] = ordered[i - 1]
        i -= 1
    while i < n - 1 and ordered[i + 1] < norm:
        ordered[i] = ordered[i + 1]
        i += 1
    ordered[i] = a.arrived[place] = norm
    a.count[0] = seen + 1


cdef void run_percentile_bounds(const void *args, Team *team, void *scratch) noexcept nogil:
    cdef const Percentile *a = <const Percentile *>args
    cdef Mode mode = keep_denormals()
    cdef double norm = a.norm[0] * a.norm[1], place, low, high, part
    cdef ptrdiff_t n, i
    if norm > 0 and isfinite(norm):
        remember(a, norm)
    a.bound[0], a.bound[1] = 0, INFINITY
    n = min(a.count[0], a.W)
    if n > 0:
        place = a.percentile / 100 * (n - 1)
        i = min(<ptrdiff_t>floor(place), n - 1)
        low, high, part = a.ordered[i], a.ordered[min(i + 1, n - 1)], place - i
        a.bound[1] = low + (high - low) * part
    set_mode(mode)


cdef void run_z_score_bounds(const void *args, Team *team, void *scratch) noexcept nogil:
    cdef const ZScore *a = <const ZScore *>args
    cdef Mode mode = keep_denormals()
    cdef double norm = a.norm[0] * a.norm[1], limit = INFINITY, change
    cdef double seen = a.moments[0], mean = a.moments[1], std = a.moments[2]
    cdef double spread = max(std, a.min_std * mean)
    if seen >= a.warmup and spread > 0 and norm > mean + a.threshold * spread:
        limit = mean + a.threshold * spread * (a.threshold * spread / (norm - mean))
    if isfinite(norm):
        norm = min(norm, limit)
        change = norm - mean
        # neither form squares a norm, which may leave float64
        if seen < a.warmup:
            mean += change / (seen + 1)
            std = hypot(std * sqrt(seen / (seen + 1)), change * (sqrt(seen) / (seen + 1)))
        else:
            mean = a.alpha * mean + (1 - a.alpha) * norm
            std = hypot(sqrt(a.alpha) * std, sqrt(1 - a.alpha) * (norm - mean))
        a.moments[0], a.moments[1], a.moments[2] = seen + 1, mean, std
    a.bound[0], a.bound[1] = 0, min(limit, a.max_norm)
    set_mode(mode)


cdef void run_clip_value(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Value *a = <const Value *>args
    cdef Mode mode = keep_denormals()
    cdef real *g = <real *>a.g
    cdef real limit = <real>a.limit
    cdef double *sums
    cdef double[2] before, after
    cdef double kept = 1
    cdef ptrdiff_t block, i, low, high, first, last, outside
    cdef bint acted = False
    team_share(team, a.B, 1, &low, &high)
    for block in range(low, high):
        first, last, sums = a.blocks[block], a.blocks[block + 1], a.sums + 5 * block
        sum_block(g + first, last - first, sums)
        outside = 0
        for i in range(first, last):
            outside += absolute(g[i]) > limit
            g[i] = limit if g[i] > limit else (-limit if g[i] < -limit else g[i])
        sums[2], sums[3], sums[4] = sums[0], sums[1], <double>outside
        if outside:
            sum_block(g + first, last - first, sums + 2)
    team_wait(team)
    if team.rank == 0:
        add_blocks(a.sums, 5, a.B, before)
        add_blocks(a.sums + 2, 5, a.B, after)
        for block in range(a.B):
            acted |= a.sums[5 * block + 4] > 0
        if acted and isfinite(before[0]):
            kept = after[0] / before[0] * (after[1] / before[1])
        note(a.report, acted, before[0] * before[1], kept, kept)
    set_mode(mode)
