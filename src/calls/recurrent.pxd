# What the calls of recurrent.pxi hold.
from _core cimport int64_t, ptrdiff_t

cdef enum:
    TILE_ROWS = 8  # a thread's sequences are whole register tiles
    STEP_WORTH = 16384  # multiply-adds of a step for which a thread is worth a barrier


cdef struct Recurrence:
    const int64_t *offsets
    const void *x
    const void *w_ih
    const void *bias
    const void *w
    const void *p_i
    const void *p_f
    const void *p_o
    void *h
    void *c
    const void *dy
    const void *dh_last
    const void *dc_last
    void *gates
    void *dw
    void *dp_i
    void *dp_f
    void *dp_o
    void *dh0
    void *dc0
    double *flow
    double *squares
    void *panels
    long long *status
    int64_t *ready
    ptrdiff_t T, N, H, inputs
    double alpha
    int64_t activation
    int blocks  # of the weight's rows
    int wide  # blocks of columns of gates
    bint initial  # whether the gradient of the initial states is wanted
    bint before  # of a GRU: whether r acts before the product
