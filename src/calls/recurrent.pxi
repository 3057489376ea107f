# Recording of recurrent.pxi.
from calls.recurrent cimport STEP_WORTH, TILE_ROWS, Recurrence


cdef Recurrence recurrence(offsets, w, gates, h, panels, int wide):
    cdef ptrdiff_t H = w.shape[1]
    cdef Recurrence a
    memset(&a, 0, sizeof(a))
    a.offsets, a.w, a.gates, a.h = <const int64_t *>data(offsets), data(w), data(gates), data(h)
    a.panels = data(panels)
    a.T, a.N, a.H = offsets.shape[0] - 1, h.shape[0] - gates.shape[0], H
    a.blocks, a.wide = w.shape[0] // H if H else 1, wide
    return a


cdef void take_inputs(Recurrence *a, x, w_ih, bias) except *:
    a.x, a.w_ih, a.bias = data(x), data(w_ih), data(bias)
    a.inputs = 0 if x is None else x.shape[1]


cdef bytes record_steps(like, Both run, const Recurrence *a):
    """A call with as much work as can be shared."""
    cdef double step = <double>a.N * a.blocks * a.H * a.H
    cdef double work = a.T * (step + <double>a.N * a.blocks * a.H * a.inputs)
    if a.N < 2 * TILE_ROWS and step < 2 * STEP_WORTH:
        work = 0
    return record_real(like, run, a, sizeof(a[0]), work)
