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

from _core cimport (
    Team, data, int64_t, ptrdiff_t, raise_flag, real, record_real, team_rows, team_share,
    team_wait,
)

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


cdef struct Lookup:
    const void *w
    const int64_t *x
    void *y
    ptrdiff_t N, F


cdef void run_lookup(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Lookup *a = <const Lookup *>args
    cdef const real *w = <const real *>a.w
    cdef real *y = <real *>a.y
    cdef ptrdiff_t low, high, i, F = a.F
    team_rows(team, a.N, &low, &high)
    for i in range(low, high):
        if a.x[i] >= 0:  # not behind the last step of a batch of sequences
            memcpy(y + i * F, w + a.x[i] * F, F * sizeof(real))


def embedding_forward(w, x, y):
    cdef Lookup a = Lookup(data(w), <const int64_t *>data(x), data(y), x.shape[0], w.shape[1])
    return record_real(w, <void *>run_lookup[float], <void *>run_lookup[double], &a, sizeof(a),
                       <double>a.N * a.F, a.N, a.N)


cdef struct Scatter:
    const int64_t *x
    const void *dy
    void *dw
    int64_t *place  # of a row of the table among the used ones
    int64_t *row  # used rows of the table, the place in the batch where each is first and last
    int64_t *first
    int64_t *last
    int64_t *following  # the next place with the same index
    int64_t *count  # of used rows
    long long *status
    ptrdiff_t N, V, F
    int64_t padding


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


def embedding_backward(x, dy, padding, dw, place, chains, count, status):
    cdef ptrdiff_t N = x.shape[0]
    cdef int64_t *rows = <int64_t *>data(chains)
    cdef Scatter a = Scatter(<const int64_t *>data(x), data(dy), data(dw),
                             <int64_t *>data(place), rows, rows + N, rows + 2 * N, rows + 3 * N,
                             <int64_t *>data(count), <long long *>data(status), N, dw.shape[0],
                             dw.shape[1], padding)
    return record_real(dy, <void *>run_scatter[float], <void *>run_scatter[double], &a,
                       sizeof(a), (<double>a.N + a.V / 4) * a.F)
