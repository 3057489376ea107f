# Cutting a minibatch out of the data, and the end of a step.
from libc.string cimport memcpy

from _core cimport (
    Team, cnp, data, int64_t, ptrdiff_t, record, team_rows,
)

cnp.import_array()

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


cdef struct Gather:
    const char *source
    const int64_t *order
    const int64_t *cursor
    char *out
    ptrdiff_t N, row_bytes


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


cdef bytes gather(source, order, cursor, out):
    cdef ptrdiff_t rows = out.shape[0]
    cdef Gather a = Gather(<const char *>data(source), <const int64_t *>data(order),
                           <const int64_t *>data(cursor), <char *>data(out), rows,
                           out.nbytes // max(rows, 1))
    return record(<void *>run_gather, &a, sizeof(a), <double>a.N * a.row_bytes, rows, rows)


def gather_rows(source, order, cursor, out):
    return gather(source, order, cursor, out)


def gather_labels(source, order, cursor, out):
    return gather(source, order, cursor, out)


cdef struct End:
    const double *loss
    double *total
    int64_t *cursor
    int64_t *step
    ptrdiff_t rows


cdef void run_end_step(const void *args, Team *team, void *scratch) noexcept nogil:
    cdef const End *a = <const End *>args
    a.total[0] += <double>a.rows * a.loss[0]
    a.cursor[0] += a.rows
    a.step[0] += 1


def end_step(loss, rows, total, cursor, step):
    cdef End a = End(<const double *>data(loss), <double *>data(total), <int64_t *>data(cursor),
                     <int64_t *>data(step), rows)
    return record(<void *>run_end_step, &a, sizeof(a), 0)
