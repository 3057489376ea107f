# What the calls of dense.pxi hold.
from _core cimport int64_t, ptrdiff_t


cdef struct DenseForward:
    const void *x
    const void *w
    const void *b
    void *y
    void *slope
    ptrdiff_t rows, fan_in, fan_out
    bint by_rows
    int64_t activation
    double alpha


cdef struct DenseBackward:
    const void *x
    const void *w
    const void *y
    const void *slope
    void *dy
    void *dx
    void *dw
    void *db
    long long *status
    ptrdiff_t rows, fan_in, fan_out
    bint by_rows
    int64_t activation
    double alpha
