# The losses, each with its gradient in the same pass.
#
# design:
#  a) Terms are computed in the call's dtype, sums over a row and over the batch in float64.
#  b) Exponentials run over rows laid end to end: with 10 classes a loop along one row would leave
#     most of a vector idle.
#  c) Threads share rows; the mean over rows is one sum in one order.
#  d) A formula that users write comes as a C function, see calls/losses.pxd.
#  e) Smoothing mixes the targets with the uniform distribution where they are read. With class
#     weights every class of a row then counts with its own, so that they are part of the row's
#     loss, and only the sum of weights knows the row's own class (as in PyTorch).
from libc.math cimport INFINITY, isfinite

from _core cimport Team, int64_t, ptrdiff_t, raise_flag, real, team_rows, team_wait
from _math cimport absolute, exp, log, log1p, sigmoid
from _reduce cimport sum_of
from calls.losses cimport HUBER, MAE, MSE, FormulaDouble, FormulaFloat, Loss


cdef enum:
    CHUNK = 64  # rows worked on at a time
    PIECE = 512  # numbers that a user's formula is given at a time

cdef double row_weight(const Loss *a, ptrdiff_t i, const real *tag) noexcept nogil:
    """What the row counts in the sum of weights."""
    cdef double weight = 1
    if a.sample_weight:
        weight = (<const real *>a.sample_weight)[i]
    if a.class_weight:
        weight *= (<const real *>a.class_weight)[(<const int64_t *>a.target)[i]]
    return weight


cdef double row_factor(const Loss *a, ptrdiff_t i, const real *tag) noexcept nogil:
    """What the row's loss is multiplied with."""
    if a.class_weight and a.smoothing != 0:
        return (<const real *>a.sample_weight)[i] if a.sample_weight else 1
    return row_weight(a, i, tag)


cdef double total_weight(const Loss *a, const real *tag) noexcept nogil:
    cdef double total = 0
    cdef ptrdiff_t i
    if not a.sample_weight and not a.class_weight:
        return <double>a.N
    for i in range(a.N):
        total += row_weight(a, i, tag)
    return total if total != 0 else INFINITY  # rows without weight: no loss and no gradient


cdef void mean_loss(const Loss *a, double total, const real *tag) noexcept nogil:
    cdef double mean = 0
    cdef ptrdiff_t i
    for i in range(a.N):
        mean += row_factor(a, i, tag) * a.rows[i]
    a.loss[0] = mean / total if a.N else 0
    if a.status and not isfinite(a.loss[0]):
        raise_flag(a.status)


cdef void regression_row(int kind, real delta, real smoothing, const real *z, const real *t,
                         real *dz, double *loss, real scale, ptrdiff_t n) noexcept nogil:
    """One row: its mean loss, and scale * dloss/dz for the sum over its elements."""
    cdef ptrdiff_t j
    cdef real d, zero = 0, half = <real>0.5, two = 2
    # dz holds the terms of the sum first
    if kind == MSE:
        for j in range(n):
            d = z[j] - t[j]
            dz[j] = d * d
    elif kind == MAE:
        for j in range(n):
            dz[j] = absolute(z[j] - t[j])
    elif kind == HUBER:
        for j in range(n):
            d = absolute(z[j] - t[j])
            dz[j] = half * d * d if d <= delta else delta * (d - half * delta)
    else:
        for j in range(n):
            dz[j] = (zero if z[j] < zero else z[j]) - z[j] * t[j] + log1p(exp(-absolute(z[j])))
        if smoothing != 0:  # which moves a target by smoothing (1/2 - t)
            for j in range(n):
                dz[j] -= z[j] * (smoothing * (half - t[j]))
    loss[0] = sum_of(dz, n) / <double>n
    if kind == MSE:
        for j in range(n):
            dz[j] = two * scale * (z[j] - t[j])
    elif kind == MAE:
        for j in range(n):
            d = z[j] - t[j]
            dz[j] = scale * d if d != d else (scale if d > zero else (-scale if d < zero else zero))
    elif kind == HUBER:
        for j in range(n):
            d = z[j] - t[j]
            d = delta if d > delta else d
            dz[j] = scale * (-delta if d < -delta else d)
    else:
        for j in range(n):
            dz[j] = scale * (sigmoid(z[j]) - t[j])
        if smoothing != 0:
            for j in range(n):
                dz[j] -= scale * (smoothing * (half - t[j]))


cdef void formula_rows(const Loss *a, ptrdiff_t low, ptrdiff_t high, double total,
                       const real *tag) noexcept nogil:
    """The rows of a user's formula, in pieces of several, or of parts of one."""
    cdef real values[PIECE]
    cdef const real *z = <const real *>a.z
    cdef const real *t = <const real *>a.target
    cdef real *dz = <real *>a.dz
    cdef real scale
    cdef ptrdiff_t O = a.O, most = PIECE // O if 0 < O < PIECE else 1, i = low, rows, k, j, start, n
    while i < high:
        rows = min(most, high - i)
        for k in range(rows):
            a.rows[i + k] = 0
        start = 0
        while start < rows * O:
            n = min(<ptrdiff_t>PIECE, rows * O - start)
            j = i * O + start
            if real is float:
                (<FormulaFloat>a.formula)(z + j, t + j, values, dz + j, n)
            else:
                (<FormulaDouble>a.formula)(z + j, t + j, values, dz + j, n)
            for k in range(rows):
                a.rows[i + k] += sum_of(values + k * O, n if rows == 1 else O)
            start += n
        for k in range(rows):
            a.rows[i + k] /= <double>O
            scale = <real>(row_weight(a, i + k, tag) / (total * O))
            for j in range((i + k) * O, (i + k + 1) * O):
                dz[j] *= scale
        i += rows


cdef void run_regression(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Loss *a = <const Loss *>args
    cdef const real *z = <const real *>a.z
    cdef const real *t = <const real *>a.target
    cdef real *dz = <real *>a.dz
    cdef ptrdiff_t i, low, high, O = a.O
    cdef double total = total_weight(a, z)
    team_rows(team, a.N, &low, &high)
    if a.formula:
        formula_rows(a, low, high, total, z)
    else:
        for i in range(low, high):
            regression_row(a.kind, <real>a.delta, <real>a.smoothing, z + i * O, t + i * O,
                           dz + i * O, a.rows + i, <real>(row_weight(a, i, z) / (total * O)), O)
    team_wait(team)
    if team.rank == 0:
        mean_loss(a, total, z)


cdef void even_sums(const real *d, const real *weight, ptrdiff_t C, double *mass,
                    double *score) noexcept nogil:
    """Sums over all classes of their weights, and of these times d."""
    cdef ptrdiff_t j
    if weight == NULL:
        mass[0], score[0] = <double>C, sum_of(d, C)
        return
    mass[0], score[0] = 0, 0
    for j in range(C):
        mass[0] += weight[j]
        score[0] += <double>weight[j] * d[j] if weight[j] != 0 else 0


cdef void softmax_chunk(const Loss *a, double total, ptrdiff_t first, ptrdiff_t count,
                        const real *tag) noexcept nogil:
    """Rows first to first + count: loss, and softmax minus target."""
    cdef ptrdiff_t C = a.O, i, j
    cdef const real *z = <const real *>a.z + first * C
    cdef real *dz = <real *>a.dz + first * C
    cdef const int64_t *label = NULL
    cdef const real *soft = NULL
    cdef const real *weight = <const real *>a.class_weight
    cdef const real *row
    cdef real top, scale, share, part
    cdef double keep = 1 - a.smoothing, even = a.smoothing / C, all_mass, all_score
    cdef double mass[CHUNK]
    cdef double score[CHUNK]
    cdef double sums[CHUNK]
    cdef double own[CHUNK]  # the target of the row's class, which smoothing adds to
    if a.kind:
        soft = <const real *>a.target + first * C
    else:
        label = <const int64_t *>a.target + first
    for i in range(count):
        row = z + i * C
        top = row[0]
        for j in range(1, C):
            top = row[j] if row[j] > top else top
        for j in range(C):
            dz[i * C + j] = row[j] - top
        if label != NULL:
            own[i] = keep * weight[label[i]] if even != 0 and weight != NULL else keep
            mass[i] = own[i]
            score[i] = own[i] * dz[i * C + label[i]] if own[i] != 0 else 0
        else:
            mass[i], score[i] = 0, 0
            for j in range(C):
                mass[i] += soft[i * C + j]
                # 0 * -inf is a class that neither is nor can be
                score[i] += soft[i * C + j] * dz[i * C + j] if soft[i * C + j] != 0 else 0
            mass[i], score[i] = keep * mass[i], keep * score[i]
        if even != 0:
            even_sums(dz + i * C, weight, C, &all_mass, &all_score)
            mass[i] += even * all_mass
            score[i] += even * all_score
    for j in range(count * C):
        dz[j] = exp(dz[j])
    for i in range(count):
        sums[i] = sum_of(dz + i * C, C)
        share = <real>(row_factor(a, first + i, tag) / total)
        scale = <real>(share * mass[i] / sums[i])
        for j in range(C):
            dz[i * C + j] *= scale
        if label != NULL:
            dz[i * C + label[i]] -= <real>(share * own[i])
        else:
            part = <real>(share * keep)
            for j in range(C):
                dz[i * C + j] -= part * soft[i * C + j]
        if even != 0:
            part = <real>(share * even)
            for j in range(C):
                dz[i * C + j] -= part if weight == NULL else part * weight[j]
    for i in range(count):
        a.rows[first + i] = mass[i] * log(sums[i]) - score[i]


cdef void run_softmax(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Loss *a = <const Loss *>args
    cdef const real *tag = <const real *>a.z
    cdef ptrdiff_t i, low, high
    cdef double total = total_weight(a, tag)
    team_rows(team, a.N, &low, &high)
    i = low
    while i < high:
        softmax_chunk(a, total, i, min(<ptrdiff_t>CHUNK, high - i), tag)
        i += CHUNK
    team_wait(team)
    if team.rank == 0:
        mean_loss(a, total, tag)
