# Each column less its mean, divided by its scale. Threads share rows.
from _core cimport Team, ptrdiff_t, real, team_rows
from calls.standardize cimport Columns


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
