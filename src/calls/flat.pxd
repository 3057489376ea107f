# What the calls of flat.pxi hold.
from _core cimport int64_t, ptrdiff_t


cdef struct Blend:
    const void *x
    void *y
    ptrdiff_t P
    double keep, add


cdef struct Average:
    const void *p
    const int64_t *step
    void *mean
    ptrdiff_t P
    double decay
