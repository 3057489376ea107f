# What the calls of batch.pxi hold.
from _core cimport int64_t, ptrdiff_t


cdef struct Gather:
    const char *source
    const int64_t *order
    const int64_t *cursor
    char *out
    ptrdiff_t N, row_bytes


cdef struct Weights:
    const int64_t *lengths
    const void *sample_weight
    void *weight
    ptrdiff_t N, T


cdef struct End:
    const double *loss
    const int64_t *lengths
    double *total
    int64_t *cursor
    int64_t *batches
    ptrdiff_t rows, sequences


cdef struct Step:
    int64_t *step


cdef struct Schedule:
    const double *table
    const int64_t *places
    const int64_t *first
    const int64_t *step
    double *values
    ptrdiff_t K, C
