# Some columns of a wider array: into it, and out of it.
#
# design: threads share rows. What is taken out may go into memory whose last reader was all
# threads, so that call is met with a barrier (rows_in is 0); the other one runs in forward passes,
# which hand out no such memory.
from libc.string cimport memcpy

from _core cimport Team, ptrdiff_t, team_rows
from calls.columns cimport Copy


cdef void run_copy(const void *args, Team *team, void *scratch) noexcept nogil:
    cdef const Copy *a = <const Copy *>args
    cdef ptrdiff_t low, high, i
    team_rows(team, a.N, &low, &high)
    for i in range(low, high):
        memcpy(a.target + i * a.target_row, a.source + i * a.source_row, a.row)
