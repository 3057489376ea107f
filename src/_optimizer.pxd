# What the optimizers that treat every element alike share.
from _core cimport cnp, data, int64_t, ptrdiff_t, record_real

cdef enum:
    BLOCK = 4096  # elements: threads share whole blocks


cdef struct Pass:
    const void *g
    void *p
    void *first  # the state vectors; NULL where there is none
    void *second
    void *third
    const double *hyper
    const int64_t *step
    ptrdiff_t P


cdef inline bytes recorded(void *run_float, void *run_double, double work, g, hyper, step, p,
                           first=None, second=None, third=None):
    """One pass, of so much work for an element."""
    cdef Pass a = Pass(data(g), data(p), data(first), data(second), data(third),
                       <const double *>data(hyper), <const int64_t *>data(step), g.size)
    return record_real(<cnp.ndarray>g, run_float, run_double, &a, sizeof(a), work * a.P)
