# What the calls of optimizers.pxi and adam.pxi hold.
from _core cimport int64_t, ptrdiff_t


cdef struct Pass:
    const void *g
    void *p
    void *first  # the state vectors; NULL where there is none
    void *second
    void *third
    const double *hyper
    const int64_t *step
    ptrdiff_t P
    # of a pass that is watched
    const int64_t *blocks
    double *seen
    double *moved
    void *run
    bint looks  # itself, where it is given one block with `moved`
    ptrdiff_t B
    double *powers  # which blocks share, and what follows from them; negative until it is known
