# What the calls of lstm_norm.pxi hold.
from calls.recurrent cimport Recurrence


cdef struct NormSteps:
    Recurrence steps  # whose gates are the sums of w; backward the gradient of these
    void *gates
    const void *sums
    void *seen
    double *mean_h
    double *scale_h
    double *mean_c
    double *scale_c
    const void *norm_h
    const void *norm_c
    const void *bias_c
    double eps
