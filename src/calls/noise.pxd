# What the calls of noise.pxi hold.
from _core cimport int64_t, ptrdiff_t


cdef struct Noise:
    void *g
    const int64_t *count
    const int64_t *blocks
    const double *scale
    double *report
    int64_t seed, layer
    ptrdiff_t P, B
    double eta, gamma
