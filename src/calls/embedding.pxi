# Recording of embedding.pxi.
from calls.embedding cimport Lookup, Scatter


def embedding_forward(Level level, w, x, y):
    cdef Lookup a = Lookup(data(w), <const int64_t *>data(x), data(y), x.shape[0], w.shape[1])
    return record_real(w, level.runs.lookup, &a, sizeof(a), <double>a.N * a.F, a.N, a.N)


def embedding_backward(Level level, x, dy, padding, dw, place, chains, count, status):
    cdef ptrdiff_t N = x.shape[0]
    cdef int64_t *rows = <int64_t *>data(chains)
    cdef Scatter a = Scatter(<const int64_t *>data(x), data(dy), data(dw),
                             <int64_t *>data(place), rows, rows + N, rows + 2 * N, rows + 3 * N,
                             <int64_t *>data(count), <long long *>data(status), N, dw.shape[0],
                             dw.shape[1], padding)
    return record_real(dy, level.runs.scatter, &a, sizeof(a), (<double>a.N + a.V / 4) * a.F)
