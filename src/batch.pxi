# Cutting a minibatch out of the data, its weights, its end and a step's, scheduled values.
from libc.string cimport memcpy

from _core cimport Team, int64_t, ptrdiff_t, real, team_rows
from calls.batch cimport End, Gather, Schedule, Step, Weights

cdef extern from *:
    """
    static inline void fg_fetch(const char *p, ptrdiff_t n)
    {
        for (ptrdiff_t i = 0; i < n; i += 64) __builtin_prefetch(p + i);
    }
    """
    void fetch "fg_fetch"(const char *p, ptrdiff_t n) noexcept nogil

cdef enum:
    AHEAD = 2048  # bytes between the row that is copied and the row that is fetched


cdef void run_gather(const void *args, Team *team, void *scratch) noexcept nogil:
    cdef const Gather *a = <const Gather *>args
    cdef const int64_t *order = a.order + a.cursor[0]
    cdef ptrdiff_t i, low, high, ahead
    team_rows(team, a.N, &low, &high)
    if a.row_bytes == 8:
        for i in range(low, high):
            memcpy(a.out + 8 * i, a.source + 8 * order[i], 8)
        return
    # Rows come from anywhere in the data: fetch those to come while this one is copied.
    ahead = 1 + AHEAD // (a.row_bytes + 1)
    for i in range(low, high):
        if i + ahead < high:
            fetch(a.source + order[i + ahead] * a.row_bytes, a.row_bytes)
        memcpy(a.out + i * a.row_bytes, a.source + order[i] * a.row_bytes, a.row_bytes)


cdef void run_sequence_weights(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Weights *a = <const Weights *>args
    cdef const real *own = <const real *>a.sample_weight
    cdef real *weight
    cdef ptrdiff_t i, t, low, high, length = a.T
    cdef real value = 1
    team_rows(team, a.N, &low, &high)
    for i in range(low, high):
        weight = <real *>a.weight + i * a.T
        if own != NULL:
            value = own[i]
        if a.lengths != NULL:
            length = min(max(<ptrdiff_t>a.lengths[i], 0), a.T)
        for t in range(length):
            weight[t] = value
        for t in range(length, a.T):
            weight[t] = 0


cdef void run_end_batch(const void *args, Team *team, void *scratch) noexcept nogil:
    cdef const End *a = <const End *>args
    cdef int64_t count = a.rows
    cdef ptrdiff_t i
    if a.lengths != NULL:
        count = 0
        for i in range(a.sequences):
            count += a.lengths[i]
    a.total[0] += <double>count * a.loss[0]
    a.total[1] += <double>count
    a.cursor[0] += a.rows
    a.batches[0] += 1


cdef void run_end_step(const void *args, Team *team, void *scratch) noexcept nogil:
    (<const Step *>args).step[0] += 1


cdef void run_schedule(const void *args, Team *team, void *scratch) noexcept nogil:
    cdef const Schedule *a = <const Schedule *>args
    cdef ptrdiff_t row = min(max(<ptrdiff_t>(a.step[0] - a.first[0]), 0), a.K - 1), c
    for c in range(a.C):
        a.values[a.places[c]] = a.table[row * a.C + c]
