# Each column less its mean, divided by its scale. Threads share rows.
from _core cimport (
    Team, data, ptrdiff_t, real, record_real, team_rows,
)


cdef struct Columns:
    const void *x
    const void *mean
    const void *scale
    void *y
    ptrdiff_t N, F


cdef void run_standardize(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Columns *a = <const Columns *>args
    cdef const real *mean = <const real *>a.mean
    cdef const real *scale = <const real *>a.scale
    cdef const real *x
    cdef real *y
    cdef ptrdiff_t low, high, i, j
    team_rows(team, a.N, &low, &high)
    for i in range(low, high):
        x, y = <const real *>a.x + i * a.F, <real *>a.y + i * a.F
        for j in range(a.F):
            y[j] = (x[j] - mean[j]) / scale[j]


def standardize_forward(x, mean, scale, y):
    cdef Columns a = Columns(data(x), data(mean), data(scale), data(y), x.shape[0], x.shape[1])
    return record_real(x, <void *>run_standardize[float], <void *>run_standardize[double], &a,
                       sizeof(a), <double>a.N * a.F, a.N, a.N)


cdef void run_standardize_back(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Columns *a = <const Columns *>args
    cdef const real *scale = <const real *>a.scale
    cdef const real *dy
    cdef real *dx
    cdef ptrdiff_t low, high, i, j
    team_rows(team, a.N, &low, &high)
    for i in range(low, high):
        dy, dx = <const real *>a.x + i * a.F, <real *>a.y + i * a.F
        for j in range(a.F):
            dx[j] = dy[j] / scale[j]


def standardize_backward(dy, scale, dx):
    cdef Columns a = Columns(data(dy), NULL, data(scale), data(dx), dy.shape[0], dy.shape[1])
    return record_real(dy, <void *>run_standardize_back[float],
                       <void *>run_standardize_back[double], &a,
                       sizeof(a), <double>a.N * a.F, 0, a.N)
