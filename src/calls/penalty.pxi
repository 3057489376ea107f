# Recording of penalty.pxi.
from calls.penalty cimport Penalty


def penalty(Level level, w, blocks, l1, l2, g, sums, loss, status):
    cdef Penalty a = Penalty(data(w), data(g), <const int64_t *>data(blocks),
                             <const double *>data(l1), <const double *>data(l2),
                             <double *>data(sums), <double *>data(loss),
                             <long long *>data(status), w.size, l1.size)
    return record_real(w, level.runs.penalty, &a, sizeof(a), 4.0 * a.P)
