# The probe of a level, for benches.
import numpy as np

from _core cimport seconds
from calls.peak cimport Trial


def fma_peak(Level level, dtype="float32", double for_seconds=0.05):
    """The best rate of multiply-adds of one core, in GFLOP/s, over several short runs."""
    cdef double best = 0, end = seconds() + for_seconds, start, flops
    cdef bint wide = dtype == "float64"
    while seconds() < end:
        start = seconds()
        flops = level.runs.run_peak(wide, 20000)
        best = max(best, flops / (seconds() - start))
    return best / 1e9


def product_rate(Level level, kind, ptrdiff_t M, ptrdiff_t N, ptrdiff_t K, double for_seconds=0.05):
    """The best rate of one float32 product on one core, in GFLOP/s, over several short runs.

    kind is "nn", "nt" or "tn", as in the kernels, or "packed" for nt with B packed beforehand.
    """
    a, b, c = (np.random.default_rng(0).random(n, dtype=np.float32) for n in (M * K, K * N, M * N))
    panels, scratch = aligned(K * (N + 64)), aligned(level.scratch_bytes // sizeof(float))
    cdef double best = 0, end = seconds() + for_seconds, flops = 2.0 * M * N * K
    cdef Trial t = Trial(
        M, N, K, max(1, <ptrdiff_t>(2e7 / flops)), <const float *>data(a), <const float *>data(b),
        <float *>data(c), <float *>data(panels), <float *>data(scratch), kind == "tn",
        kind in ("nt", "packed"), kind == "packed",
    )
    while seconds() < end or best == 0:
        best = max(best, flops * t.repeats / level.runs.run_trial(&t))
    return best / 1e9


cdef aligned(ptrdiff_t size):
    """As many float32, from a cache line on."""
    room = np.empty(size + 16, np.float32)
    cdef size_t over = <size_t>data(room) % 64 // sizeof(float)
    return room[(16 - over) % 16:][:size]
