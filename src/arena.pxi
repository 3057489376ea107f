# Single passes over the flat arenas: the check for non-finite gradients.
#
# design:
#  a) Work is shared in whole blocks, so that an element is always met by the same code, whatever
#     the number of threads.
from _core cimport Team, ptrdiff_t, raise_flag, real, team_share
from _reduce cimport all_finite
from calls.arena cimport Finite

cdef enum:
    CHECK_BLOCK = 4096


cdef void run_check_finite(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Finite *a = <const Finite *>args
    cdef const real *g = <const real *>a.g
    cdef ptrdiff_t low, high
    team_share(team, a.P, CHECK_BLOCK, &low, &high)
    if not all_finite(g + low, high - low):
        raise_flag(a.status)
