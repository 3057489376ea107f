# What the calls of standardize.pxi hold.
from _core cimport ptrdiff_t


cdef struct Columns:
    const void *x
    const void *mean
    const void *scale
    void *y
    ptrdiff_t N, F
