# What the calls of elementwise.pxi hold.
from _core cimport ptrdiff_t

cdef enum Function:
    EXP, EXPM1, TANH, SIGMOID, ERF, LOG1P, LOG


cdef struct Map:
    const void *x
    void *y
    ptrdiff_t n
    int function
