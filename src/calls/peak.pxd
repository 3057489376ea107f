# What a trial of products holds.
from _core cimport ptrdiff_t


cdef struct Trial:
    ptrdiff_t M, N, K, repeats
    const float *a
    const float *b
    float *c
    float *panels
    float *scratch
    bint a_turned, b_turned, packed
