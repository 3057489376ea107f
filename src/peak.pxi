# The peak of multiply-adds, and products that are held against it.
from _core cimport ptrdiff_t, seconds
from _product cimport (
    GemmFloat, SCRATCH_DOUBLES, SCRATCH_FLOATS, fg_multiply_f32, fg_pack_f32,
)
from calls.peak cimport Trial

cdef extern from "fg_peak.h" nogil:
    double fg_peak_f32(long rounds)
    double fg_peak_f64(long rounds)


cdef double run_peak(bint wide, long rounds) noexcept nogil:
    """How many flops so many rounds are."""
    return fg_peak_f64(rounds) if wide else fg_peak_f32(rounds)


cdef double run_trial(const Trial *t) noexcept nogil:
    """Seconds that the products of a trial take."""
    cdef GemmFloat g = GemmFloat(
        t.M, t.N, t.K, t.a, 1 if t.a_turned else t.K, t.M if t.a_turned else 1,
        t.b, 1 if t.b_turned else t.N, t.K if t.b_turned else 1, t.c, t.N,
        NULL, False, t.M, False, NULL,
    )
    cdef double start
    cdef ptrdiff_t _
    if t.packed:
        fg_pack_f32(&g, t.panels, 0, 1)
        g.b, g.packed = t.panels, True
    start = seconds()
    for _ in range(t.repeats):
        fg_multiply_f32(&g, t.scratch)
    return seconds() - start
