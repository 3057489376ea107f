# Matrix products as kernels of their own, and the probe that holds them against the peak.
from _core cimport (
    Team, data, ptrdiff_t, real, record_real, seconds, team_share,
)
from _product cimport (
    GemmFloat, SCRATCH_FLOATS, fg_multiply_f32, fg_pack_f32, multiply,
)

import numpy as np

cdef extern from "fg_peak.h" nogil:
    double fg_peak_f32(long rounds)
    double fg_peak_f64(long rounds)


cdef struct Product:
    const void *a
    const void *b
    const void *bias
    void *c
    ptrdiff_t M, N, K, a_row, a_col, b_row, b_col
    bint accumulate


cdef void run_product(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Product *p = <const Product *>args
    cdef ptrdiff_t low, high
    team_share(team, p.M, 12, &low, &high)
    if low < high:
        multiply(high - low, p.N, p.K, <const real *>p.a + low * p.a_row, p.a_row, p.a_col,
                 <const real *>p.b, p.b_row, p.b_col, <real *>p.c + low * p.N, p.N,
                 <const real *>p.bias, p.accumulate, p.M, NULL, scratch)


cdef Product product(a, bint a_turned, b, bint b_turned, bias, c, bint accumulate) except *:
    cdef ptrdiff_t M = c.shape[0], N = c.shape[1], K = a.shape[0] if a_turned else a.shape[1]
    return Product(data(a), data(b), data(bias), data(c), M, N, K,
                   1 if a_turned else K, M if a_turned else 1,
                   1 if b_turned else N, K if b_turned else 1, accumulate)


cdef bytes recorded(like, Product p):
    return record_real(like, <void *>run_product[float], <void *>run_product[double], &p, sizeof(p),
                       <double>p.M * p.N * p.K)


def product_nn(a, b, bias, accumulate, c):
    return recorded(a, product(a, False, b, False, bias, c, accumulate))


def product_nt(a, b, bias, accumulate, c):
    return recorded(a, product(a, False, b, True, bias, c, accumulate))


def product_tn(a, b, bias, accumulate, c):
    return recorded(a, product(a, True, b, False, bias, c, accumulate))


def fma_peak(dtype="float32", double for_seconds=0.05):
    """The best rate of multiply-adds of one core, in GFLOP/s, over several short runs."""
    cdef double best = 0, end = seconds() + for_seconds, start, flops
    cdef bint double_precision = dtype == "float64"
    while seconds() < end:
        start = seconds()
        flops = fg_peak_f64(20000) if double_precision else fg_peak_f32(20000)
        best = max(best, flops / (seconds() - start))
    return best / 1e9


def product_rate(kind, ptrdiff_t M, ptrdiff_t N, ptrdiff_t K, double for_seconds=0.05):
    """The best rate of one float32 product on one core, in GFLOP/s, over several short runs.

    kind is "nn", "nt" or "tn", as in the kernels, or "packed" for nt with B packed beforehand.
    """
    a, b, c = (np.random.default_rng(0).random(n, dtype=np.float32) for n in (M * K, K * N, M * N))
    cdef bint a_turned = kind == "tn", b_turned = kind in ("nt", "packed")
    panels = np.empty(K * (N + 64) + 16, np.float32)
    scratch = np.empty(SCRATCH_FLOATS + 16, np.float32)
    cdef float *s = <float *>((<size_t>data(scratch) + 63) & ~<size_t>63)
    cdef float *q = <float *>((<size_t>data(panels) + 63) & ~<size_t>63)
    cdef GemmFloat g = GemmFloat(
        M, N, K, <float *>data(a), 1 if a_turned else K, M if a_turned else 1,
        <float *>data(b), 1 if b_turned else N, K if b_turned else 1, <float *>data(c), N,
        NULL, False, M, False, NULL,
    )
    cdef double best = 0, end = seconds() + for_seconds, start, flops = 2.0 * M * N * K
    cdef ptrdiff_t _, repeats = max(1, <ptrdiff_t>(2e7 / flops))
    if kind == "packed":
        fg_pack_f32(&g, q, 0, 1)
        g.b, g.packed = q, True
    while seconds() < end or best == 0:
        start = seconds()
        for _ in range(repeats):
            fg_multiply_f32(&g, s)
        best = max(best, flops * repeats / (seconds() - start))
    return best / 1e9
