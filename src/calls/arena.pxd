# What the calls of arena.pxi hold.
from _core cimport ptrdiff_t


cdef struct Finite:
    const void *g
    long long *status
    ptrdiff_t P
