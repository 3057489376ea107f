# Some columns of a wider array: into it, and out of it.
#
# design: threads share rows. What is taken out may go into memory whose last reader was all
# threads, so that call is met with a barrier (rows_in is 0); the other one runs in forward passes,
# which hand out no such memory.
from libc.string cimport memcpy

from _core cimport (
    Team, data, ptrdiff_t, record, team_rows,
)


cdef struct Copy:
    const char *source
    char *target
    ptrdiff_t N, row, source_row, target_row  # in bytes, but for N


cdef void run_copy(const void *args, Team *team, void *scratch) noexcept nogil:
    cdef const Copy *a = <const Copy *>args
    cdef ptrdiff_t low, high, i
    team_rows(team, a.N, &low, &high)
    for i in range(low, high):
        memcpy(a.target + i * a.target_row, a.source + i * a.source_row, a.row)


def put_columns(x, start, y):
    cdef ptrdiff_t size = x.itemsize, N = x.shape[0], F = x.shape[1], G = y.shape[1]
    cdef ptrdiff_t skipped = start * size
    cdef Copy a = Copy(<const char *>data(x), <char *>data(y) + skipped, N, F * size, F * size,
                       G * size)
    return record(<void *>run_copy, &a, sizeof(a), <double>N * F, N, N)


def take_columns(y, start, x):
    cdef ptrdiff_t size = x.itemsize, N = x.shape[0], F = x.shape[1], G = y.shape[1]
    cdef ptrdiff_t skipped = start * size
    cdef Copy a = Copy(<const char *>data(y) + skipped, <char *>data(x), N, F * size, G * size,
                       F * size)
    return record(<void *>run_copy, &a, sizeof(a), <double>N * F, 0, N)
