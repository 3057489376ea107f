# Recording of product.pxi.
from calls.product cimport Product


cdef Product product(a, bint a_turned, b, bint b_turned, bias, c, bint accumulate) except *:
    cdef ptrdiff_t M = c.shape[0], N = c.shape[1], K = a.shape[0] if a_turned else a.shape[1]
    return Product(data(a), data(b), data(bias), data(c), M, N, K,
                   1 if a_turned else K, M if a_turned else 1,
                   1 if b_turned else N, K if b_turned else 1, accumulate)


cdef bytes record_product(Level level, like, Product p):
    return record_real(like, level.runs.product, &p, sizeof(p), <double>p.M * p.N * p.K)


def product_nn(Level level, a, b, bias, accumulate, c):
    return record_product(level, a, product(a, False, b, False, bias, c, accumulate))


def product_nt(Level level, a, b, bias, accumulate, c):
    return record_product(level, a, product(a, False, b, True, bias, c, accumulate))


def product_tn(Level level, a, b, bias, accumulate, c):
    return record_product(level, a, product(a, True, b, False, bias, c, accumulate))
