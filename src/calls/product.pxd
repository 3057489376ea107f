# What the calls of product.pxi hold.
from _core cimport ptrdiff_t


cdef struct Product:
    const void *a
    const void *b
    const void *bias
    void *c
    ptrdiff_t M, N, K, a_row, a_col, b_row, b_col
    bint accumulate
