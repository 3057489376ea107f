# What the calls of dropout.pxi hold.
from libc.stdint cimport uint32_t

from _core cimport int64_t, ptrdiff_t


cdef struct Drop:
    const void *x
    void *y
    const int64_t *count
    int64_t seed, layer
    ptrdiff_t N, F
    uint32_t threshold
    double p
