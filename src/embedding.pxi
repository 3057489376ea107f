# Rows of a table by their indices, and the gradient of that table.
#
# design:
#  a) Occurrences of an index are chained in the order of the batch, and the sum over a chain runs
#     in float64; threads share columns, so that a frequent index keeps none of them waiting.
#  b) Of a large table a step uses few rows. What an earlier step left in the others is looked for
#     and cleared row by row: whoever writes into gradients between two steps (clips, sums over
#     machines, users) does no harm, and rows that are clear are read, not written.
#  c) Membership in the list of used rows is tested as in Briggs & Torczon, "An efficient
#     representation for sparse sets", 1993: `place` needs no clearing.
from libc.math cimport isfinite
from libc.string cimport memcpy, memset

from _core cimport Team, int64_t, ptrdiff_t, raise_flag, real, team_rows, team_share, team_wait
from calls.embedding cimport Lookup, Scatter

cdef extern from *:
    """
    static inline int fg_any_bit(const void *p, ptrdiff_t bytes)
    {
        typedef unsigned int word __attribute__((may_alias));
        const word *x = (const word *)p;
        word any = 0;
        for (ptrdiff_t i = 0; i < bytes / 4; i++) any |= x[i];
        return any != 0;
    }
    """
    bint any_bit "fg_any_bit"(const void *p, ptrdiff_t size) noexcept nogil

cdef enum:
    TABLE_COLUMNS = 16  # a thread's least share: a cache line of float32
    TABLE_BLOCK = 64  # columns
    TABLE_ROWS = 64  # of the table


cdef void run_lookup(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Lookup *a = <const Lookup *>args
    cdef const real *w = <const real *>a.w
    cdef real *y = <real *>a.y
    cdef ptrdiff_t low, high, i, F = a.F
    team_rows(team, a.N, &low, &high)
    for i in range(low, high):
        if a.x[i] >= 0:  # not behind the last step of a batch of sequences
            memcpy(y + i * F, w + a.x[i] * F, F * sizeof(real))


cdef void chain(const Scatter *a) noexcept nogil:
    cdef int64_t i, r, u, count = 0
    for i in range(a.N):
        r = a.x[i]
        if r == a.padding:
            continue
        u = a.place[r]
        if 0 <= u < count and a.row[u] == r:
            a.following[a.last[u]] = i
        else:
            u = count
            count += 1
            a.place[r], a.row[u], a.first[u] = u, r, i
        a.last[u] = i
    a.count[0] = count


cdef void run_scatter(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Scatter *a = <const Scatter *>args
    cdef real *dw = <real *>a.dw
    cdef const real *dy
    cdef double sums[TABLE_BLOCK]
    cdef bint good = True
    cdef ptrdiff_t low, high, c, n, j, r, u, i, F = a.F
    if team.rank == 0:
        chain(a)
    team_share(team, a.V, TABLE_ROWS, &low, &high)
    for r in range(low, high):
        if any_bit(dw + r * F, F * sizeof(real)):
            memset(dw + r * F, 0, F * sizeof(real))
    team_wait(team)
    team_share(team, F, TABLE_COLUMNS, &low, &high)
    for u in range(a.count[0]):
        c = low - TABLE_BLOCK
        while c + TABLE_BLOCK < high:
            c += TABLE_BLOCK
            n = min(<ptrdiff_t>TABLE_BLOCK, high - c)
            for j in range(n):
                sums[j] = 0
            i = a.first[u]
            while True:
                dy = <const real *>a.dy + i * F + c
                for j in range(n):
                    sums[j] += dy[j]
                if i == a.last[u]:
                    break
                i = a.following[i]
            r = a.row[u] * F + c
            for j in range(n):
                dw[r + j] = <real>sums[j]
                good &= isfinite(dw[r + j])
    if a.status and not good:
        raise_flag(a.status)
