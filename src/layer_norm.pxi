# Rows normalized over their features: layer norm, and without centering RMS norm.
#
# design:
#  a) Forward, threads share rows. Backward, they share columns first, for the gradients of weight
#     and bias, so that no sum is split, then rows for dx. Nobody writes dx before all have met: it
#     may lie where dy does, which the columns are summed from.
#  b) One thread takes the few rows that are in its cache through both before it goes on: what
#     is read twice comes from memory once.
#  c) The backward kernel is met with a barrier (rows_in is 0): its columns read all rows. So are
#     both with offsets: how many rows there are is known to the replay alone.
from _core cimport (
    Team, int64_t, memset, ptrdiff_t, raise_flag, real, team_rows, team_share, team_wait,
)
from _reduce cimport all_finite
from calls.layer_norm cimport LayerNorm, LayerNormBackward


cdef extern from "fg_norm.h" nogil:
    enum: FG_NORM_ROWS
    void fg_norm_forward_f32(const float *x, const float *w, const float *b, ptrdiff_t n,
                             bint center, double eps, float *y, double *mean, double *scale)
    void fg_norm_forward_f64(const double *x, const double *w, const double *b, ptrdiff_t n,
                             bint center, double eps, double *y, double *mean, double *scale)
    void fg_norm_backward_f32(const float *x, const float *w, const float *dy, ptrdiff_t n,
                              bint center, double mean, double scale, float *dx)
    void fg_norm_backward_f64(const double *x, const double *w, const double *dy, ptrdiff_t n,
                              bint center, double mean, double scale, double *dx)
    void fg_norm_columns_f32(const float *x, const float *dy, ptrdiff_t rows, ptrdiff_t row,
                             ptrdiff_t columns, const double *mean, const double *scale,
                             float *dweight, float *dbias)
    void fg_norm_columns_f64(const double *x, const double *dy, ptrdiff_t rows, ptrdiff_t row,
                             ptrdiff_t columns, const double *mean, const double *scale,
                             double *dweight, double *dbias)

cdef enum:
    SHARE_COLUMNS = 32  # a share of columns is a whole number of cache lines


cdef inline ptrdiff_t count(const int64_t *offsets, ptrdiff_t T, ptrdiff_t N) noexcept nogil:
    """Rows that mean something."""
    return offsets[T] if offsets else N


cdef void run_ln_forward(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const LayerNorm *a = <const LayerNorm *>args
    cdef const real *x = <const real *>a.x
    cdef const real *weight = <const real *>a.weight
    cdef const real *bias = <const real *>a.bias
    cdef real *y = <real *>a.y
    cdef ptrdiff_t low, high, i
    team_rows(team, count(a.offsets, a.T, a.N), &low, &high)
    for i in range(low, high):
        if real is float:
            fg_norm_forward_f32(x + i * a.F, weight, bias, a.F, a.center, a.eps, y + i * a.F,
                                a.mean + i, a.scale + i)
        else:
            fg_norm_forward_f64(x + i * a.F, weight, bias, a.F, a.center, a.eps, y + i * a.F,
                                a.mean + i, a.scale + i)


cdef void add_columns(const LayerNormBackward *a, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t c0,
                      ptrdiff_t c1, const real *x, const real *dy, real *dweight,
                      real *dbias) noexcept nogil:
    """What these rows add to columns [c0, c1) of the gradients of weight and bias."""
    x += row * a.F + c0
    dy += row * a.F + c0
    dweight = dweight + c0 if dweight else NULL
    dbias = dbias + c0 if dbias else NULL
    if real is float:
        fg_norm_columns_f32(x, dy, rows, a.F, c1 - c0, a.mean + row, a.scale + row, dweight, dbias)
    else:
        fg_norm_columns_f64(x, dy, rows, a.F, c1 - c0, a.mean + row, a.scale + row, dweight, dbias)


cdef void rows_back(const LayerNormBackward *a, ptrdiff_t low, ptrdiff_t high, const real *x,
                    const real *weight, const real *dy, real *dx) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(low, high):
        if real is float:
            fg_norm_backward_f32(x + i * a.F, weight, dy + i * a.F, a.F, a.center, a.mean[i],
                                 a.scale[i], dx + i * a.F)
        else:
            fg_norm_backward_f64(x + i * a.F, weight, dy + i * a.F, a.F, a.center, a.mean[i],
                                 a.scale[i], dx + i * a.F)


cdef void start_sum(real *sums, ptrdiff_t c0, ptrdiff_t c1) noexcept nogil:
    if sums and c0 < c1:
        memset(sums + c0, 0, <size_t>(c1 - c0) * sizeof(real))


cdef void run_ln_backward(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const LayerNormBackward *a = <const LayerNormBackward *>args
    cdef const real *x = <const real *>a.x
    cdef const real *weight = <const real *>a.weight
    cdef const real *dy = <const real *>a.dy
    cdef real *dx = <real *>a.dx
    cdef real *dweight = <real *>a.dweight
    cdef real *dbias = <real *>a.dbias
    cdef bint sums = dweight or dbias, alone = team.used == 1
    cdef ptrdiff_t N = count(a.offsets, a.T, a.N), low, high, c0, c1, r = 0, rows
    if sums:
        team_share(team, a.F, SHARE_COLUMNS, &c0, &c1)
        start_sum(dweight, c0, c1)
        start_sum(dbias, c0, c1)
        while r < N and c0 < c1:
            rows = min(<ptrdiff_t>FG_NORM_ROWS, N - r)
            add_columns(a, r, rows, c0, c1, x, dy, dweight, dbias)
            if alone and dx:
                rows_back(a, r, r + rows, x, weight, dy, dx)
            r += rows
        if a.status:
            if dweight and not all_finite(dweight + c0, c1 - c0):
                raise_flag(a.status)
            if dbias and not all_finite(dbias + c0, c1 - c0):
                raise_flag(a.status)
        if alone:
            return
        team_wait(team)
    if dx:
        team_rows(team, N, &low, &high)
        rows_back(a, low, high, x, weight, dy, dx)
