# What every kernel shares: the two dtypes, the recorded call, shares of work, products.
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset

cimport numpy as cnp

ctypedef fused real:
    float
    double

cdef extern from "fg_team.h" nogil:
    ctypedef struct Barrier "fg_barrier":
        pass
    ctypedef struct Team "fg_team":
        int rank
        int size
        Barrier *barrier
    ctypedef void (*Kernel "fg_kernel")(const void *args, Team *team, void *scratch) noexcept
    ctypedef struct Call "fg_call":
        Kernel run
        long long args[31]
    void team_wait "fg_team_wait"(Team *team)
    int team_size_for "fg_team_size_for"(const Team *team, double work)
    void team_share "fg_team_share"(const Team *team, int used, ptrdiff_t n, ptrdiff_t grain,
                                    ptrdiff_t *low, ptrdiff_t *high)
    void raise_flag "fg_raise_flag"(long long *flag)
    long long read_flag "fg_read_flag"(const long long *flag)
    double seconds "fg_seconds"()


cdef inline bint is_double(cnp.ndarray array) noexcept:
    return cnp.PyArray_TYPE(array) == cnp.NPY_FLOAT64


cdef inline void *data(object array) except? NULL:
    """The first element of an array that the contract has already checked; NULL for None."""
    if array is None:
        return NULL
    return cnp.PyArray_DATA(<cnp.ndarray?>array)


cdef inline bytes record(void *run, const void *args, size_t size):
    """A call as bytes, for the replay to copy into its list."""
    cdef Call call
    assert size <= sizeof(call.args)
    memset(&call, 0, sizeof(call))
    call.run = <Kernel>run
    memcpy(call.args, args, size)
    return PyBytes_FromStringAndSize(<const char *>&call, sizeof(call))
