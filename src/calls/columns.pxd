# What the calls of columns.pxi hold.
from _core cimport ptrdiff_t


cdef struct Copy:
    const char *source
    char *target
    ptrdiff_t N, row, source_row, target_row  # in bytes, but for N
