# A call as bytes, out of arrays and numbers.
from cpython.bytes cimport PyBytes_FromStringAndSize

cimport numpy as cnp

from _core cimport Call, Kernel, memcpy, memset, ptrdiff_t
from calls.runs cimport Both


cdef inline void *data(object array) except? NULL:
    """The first element of an array that the contract has already checked; NULL for None."""
    if array is None:
        return NULL
    return cnp.PyArray_DATA(<cnp.ndarray?>array)


cdef inline bytes record(void *run, const void *args, size_t size, double work,
                         ptrdiff_t rows_in=0, ptrdiff_t rows_out=0):
    """A call as bytes, for the replay to copy into its list; see fg_team.h for work and rows."""
    cdef Call call
    assert size <= sizeof(call.args)
    memset(&call, 0, sizeof(call))
    call.run = <Kernel>run
    call.work = work
    call.rows_in, call.rows_out = rows_in, rows_out
    memcpy(call.args, args, size)
    return PyBytes_FromStringAndSize(<const char *>&call, sizeof(call))


cdef inline bytes record_real(cnp.ndarray like, Both run, const void *args, size_t size,
                              double work, ptrdiff_t rows_in=0, ptrdiff_t rows_out=0):
    """The same, for the dtype that `like` has."""
    cdef bint wide = cnp.PyArray_TYPE(like) == cnp.NPY_FLOAT64
    return record(run.of_double if wide else run.of_float, args, size, work, rows_in, rows_out)
