# Batch normalization over the rows of a batch.
#
# design:
#  a) Statistics are those of a column, in float64, from first row to last, the mean before the
#     squares: nothing cancels, and no number of threads changes a bit.
#  b) Threads share columns, in both passes: what a column needs is a column's own, so they never
#     wait for each other. A block of columns goes through all its passes while it is in cache.
#  c) The running statistics move in a call of their own, which a trainer runs only once the step
#     is known to be good.
from libc.math cimport isfinite, sqrt

from _core cimport Team, ptrdiff_t, raise_flag, real, team_rows, team_share
from calls.batch_norm cimport BatchNorm, Predict, Running


cdef enum:
    NORM_BLOCK = 64  # columns


cdef void run_bn_forward(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const BatchNorm *a = <const BatchNorm *>args
    cdef const real *weight = <const real *>a.weight
    cdef const real *bias = <const real *>a.bias
    cdef const real *x
    cdef real *y
    cdef double mean[NORM_BLOCK]
    cdef double var[NORM_BLOCK]
    cdef real center[NORM_BLOCK]
    cdef real scale[NORM_BLOCK]
    cdef real shift[NORM_BLOCK]
    cdef double d
    cdef ptrdiff_t low, high, c, n, i, j, F = a.F
    team_share(team, F, NORM_BLOCK, &low, &high)
    c = low - NORM_BLOCK
    while c + NORM_BLOCK < high:
        c += NORM_BLOCK
        n = min(<ptrdiff_t>NORM_BLOCK, high - c)
        for j in range(n):
            mean[j] = var[j] = 0
        for i in range(a.N):
            x = <const real *>a.x + i * F + c
            for j in range(n):
                mean[j] += x[j]
        for j in range(n):
            mean[j] /= <double>a.N
        for i in range(a.N):
            x = <const real *>a.x + i * F + c
            for j in range(n):
                d = x[j] - mean[j]
                var[j] += d * d
        for j in range(n):
            var[j] /= <double>a.N
            center[j] = <real>mean[j]
            scale[j] = <real>((weight[c + j] if weight else 1) / sqrt(var[j] + a.eps))
            shift[j] = bias[c + j] if bias else 0
            a.mean[c + j], a.var[c + j] = mean[j], var[j]
        for i in range(a.N):
            x, y = <const real *>a.x + i * F + c, <real *>a.y + i * F + c
            for j in range(n):
                y[j] = (x[j] - center[j]) * scale[j] + shift[j]


cdef void run_bn_backward(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const BatchNorm *a = <const BatchNorm *>args
    cdef const real *weight = <const real *>a.weight
    cdef real *dweight = <real *>a.dweight
    cdef real *dbias = <real *>a.dbias
    cdef const real *x
    cdef const real *dy
    cdef real *dx
    cdef double sums[NORM_BLOCK]
    cdef double products[NORM_BLOCK]
    cdef real center[NORM_BLOCK]
    cdef real root[NORM_BLOCK]  # 1 / sqrt(var + eps)
    cdef real scale[NORM_BLOCK]
    cdef real shift[NORM_BLOCK]
    cdef real slope[NORM_BLOCK]
    cdef double inverse
    cdef bint good = True
    cdef ptrdiff_t low, high, c, n, i, j, F = a.F
    team_share(team, F, NORM_BLOCK, &low, &high)
    c = low - NORM_BLOCK
    while c + NORM_BLOCK < high:
        c += NORM_BLOCK
        n = min(<ptrdiff_t>NORM_BLOCK, high - c)
        for j in range(n):
            sums[j] = products[j] = 0
            center[j] = <real>a.mean[c + j]
            root[j] = <real>(1 / sqrt(a.var[c + j] + a.eps))
        for i in range(a.N):
            x = <const real *>a.x + i * F + c
            dy = <const real *>a.dy + i * F + c
            for j in range(n):
                sums[j] += dy[j]
                products[j] += dy[j] * ((x[j] - center[j]) * root[j])
        if dweight:
            for j in range(n):
                dweight[c + j] = <real>products[j]
                good &= isfinite(dweight[c + j])
        if dbias:
            for j in range(n):
                dbias[c + j] = <real>sums[j]
                good &= isfinite(dbias[c + j])
        if not a.y:
            continue
        for j in range(n):
            inverse = 1 / sqrt(a.var[c + j] + a.eps)
            scale[j] = <real>((weight[c + j] if weight else 1) * inverse)
            shift[j] = <real>(sums[j] / a.N)
            slope[j] = <real>(products[j] / a.N * inverse)
        for i in range(a.N):
            x = <const real *>a.x + i * F + c
            dy = <const real *>a.dy + i * F + c
            dx = <real *>a.y + i * F + c
            for j in range(n):
                dx[j] = scale[j] * (dy[j] - shift[j] - (x[j] - center[j]) * slope[j])
    if a.status and not good:
        raise_flag(a.status)


cdef void run_bn_update(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Running *a = <const Running *>args
    cdef real *mean = <real *>a.running_mean
    cdef real *var = <real *>a.running_var
    cdef ptrdiff_t j
    for j in range(a.F):
        mean[j] = <real>((1 - a.momentum) * mean[j] + a.momentum * a.mean[j])
        var[j] = <real>((1 - a.momentum) * var[j] + a.momentum * a.unbiased * a.var[j])


cdef void run_bn_predict(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Predict *a = <const Predict *>args
    cdef const real *weight = <const real *>a.weight
    cdef const real *bias = <const real *>a.bias
    cdef const real *mean = <const real *>a.running_mean
    cdef const real *var = <const real *>a.running_var
    cdef const real *x
    cdef real *y
    cdef real scale[NORM_BLOCK]
    cdef real shift[NORM_BLOCK]
    cdef ptrdiff_t low, high, c, n, i, j, F = a.F
    team_rows(team, a.N, &low, &high)
    c = -NORM_BLOCK
    while c + NORM_BLOCK < F:
        c += NORM_BLOCK
        n = min(<ptrdiff_t>NORM_BLOCK, F - c)
        for j in range(n):
            scale[j] = <real>((weight[c + j] if weight else 1) / sqrt(var[c + j] + a.eps))
            shift[j] = bias[c + j] if bias else 0
        for i in range(low, high):
            x, y = <const real *>a.x + i * F + c, <real *>a.y + i * F + c
            for j in range(n):
                y[j] = (x[j] - mean[c + j]) * scale[j] + shift[j]
