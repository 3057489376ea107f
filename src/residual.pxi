# The way around some layers, y = x + s f(x).
#
# design:
#  a) Threads share rows; the gradient of s is one sum over rows, in one order.
#  b) The backward kernel may be given memory whose last reader was all threads, so it is met with
#     a barrier (rows_in is 0); the other two touch a thread's own rows alone.
from libc.math cimport isfinite

from _core cimport Team, ptrdiff_t, raise_flag, real, team_rows, team_wait
from _reduce cimport dot
from calls.residual cimport Around


cdef real scale_of(const Around *a, const real *tag) noexcept nogil:
    return (<const real *>a.scale)[0] if a.scale else <real>a.factor


cdef void run_around(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Around *a = <const Around *>args
    cdef const real *x = <const real *>a.x
    cdef const real *f = <const real *>a.f
    cdef real *y = <real *>a.y
    cdef real scale = scale_of(a, x)
    cdef ptrdiff_t low, high, i
    team_rows(team, a.N, &low, &high)
    for i in range(low * a.F, high * a.F):
        y[i] = x[i] + scale * f[i]


cdef void run_around_back(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Around *a = <const Around *>args
    cdef const real *f = <const real *>a.f
    cdef const real *dy = <const real *>a.x
    cdef real *df = <real *>a.y
    cdef real *dscale = <real *>a.dscale
    cdef real scale = scale_of(a, dy)
    cdef double total = 0
    cdef ptrdiff_t low, high, i
    team_rows(team, a.N, &low, &high)
    for i in range(low * a.F, high * a.F):
        df[i] = scale * dy[i]
    if not dscale:
        return
    for i in range(low, high):
        a.rows[i] = dot(f + i * a.F, dy + i * a.F, a.F)
    team_wait(team)
    if team.rank == 0:
        for i in range(a.N):
            total += a.rows[i]
        dscale[0] = <real>total
        if a.status and not isfinite(dscale[0]):
            raise_flag(a.status)


cdef void run_add(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Around *a = <const Around *>args
    cdef const real *x = <const real *>a.x
    cdef real *y = <real *>a.y
    cdef ptrdiff_t low, high, i
    team_rows(team, a.N, &low, &high)
    for i in range(low * a.F, high * a.F):
        y[i] += x[i]
