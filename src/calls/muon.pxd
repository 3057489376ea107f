# What the calls of muon.pxi hold.
from _core cimport ptrdiff_t


cdef struct Matrix:
    const void *g
    void *p
    void *mean
    void *x
    void *y
    void *gram
    void *polynomial
    double *squares
    const double *hyper
    ptrdiff_t rows, columns
