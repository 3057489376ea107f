# What the calls of layerwise.pxi hold.
from _core cimport int64_t, ptrdiff_t


cdef struct Layers:
    const void *g
    void *p
    void *first  # mean (lamb) or velocity (lars)
    void *second  # square
    void *update
    const double *hyper
    const int64_t *step
    const int64_t *blocks
    const int64_t *groups
    double *squares
    double *ratios
    ptrdiff_t B, S
