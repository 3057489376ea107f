# Recording of muon.pxi.
from calls.muon cimport Matrix


def muon(Level level, g, hyper, p, mean, x, y, gram, polynomial, squares):
    cdef Matrix a = Matrix(data(g), data(p), data(mean), data(x), data(y), data(gram),
                           data(polynomial), <double *>data(squares), <const double *>data(hyper),
                           g.shape[0], g.shape[1])
    cdef double m = min(a.rows, a.columns), n = max(a.rows, a.columns)
    return record_real(g, level.runs.muon, &a, sizeof(a), 5 * m * m * (m + 2 * n))
