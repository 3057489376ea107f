# What the calls of gate_inputs.pxi hold.
from _core cimport int64_t, ptrdiff_t


cdef struct GateInputs:
    const void *x
    const void *w
    const void *bias
    void *z  # backward: its gradient
    void *dx
    void *dw
    const int64_t *offsets
    long long *status
    ptrdiff_t T, rows, inputs, outputs, wide, turned


cdef struct GateBias:
    void *b_ih  # backward: their gradients
    void *b_hh
    void *bias  # backward: the gradient of gates
    const int64_t *offsets
    long long *status
    ptrdiff_t T, outputs, wide, turned
    bint apart


cdef struct GateTable:
    void *w
    const void *bias
    void *table
    long long *status
    ptrdiff_t count, outputs, wide, turned
