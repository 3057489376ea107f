# The recording of every kernel, once for all levels: arrays and numbers become a call, as bytes.
#
# design: the first argument is the level; fastgrad/backends/cython.py binds it.
from _core cimport int64_t, memset, ptrdiff_t
from _record cimport cnp, data, record, record_real
from calls.runs cimport Both, Runs

cnp.import_array()


cdef class Level:
    """The kernels of one level, out of the tables of its modules."""
    cdef Runs runs

    def __cinit__(self, *tables):
        cdef void **runs = <void **>&self.runs
        cdef void **part
        cdef size_t i
        for table in tables:
            if len(table) != sizeof(Runs):
                raise ImportError("fastgrad: compiled modules are of different versions")
            part = <void **><char *>(<bytes>table)
            for i in range(sizeof(Runs) // sizeof(void *)):
                if part[i] != NULL:
                    runs[i] = part[i]
        for i in range(sizeof(Runs) // sizeof(void *)):
            if runs[i] == NULL:
                raise ImportError(f"fastgrad: no compiled module has filled in kernel {i}")

    @property
    def scratch_bytes(self):
        """What the kernels need for each thread."""
        return self.runs.scratch_bytes


include "calls/peak.pxi"
include "calls/product.pxi"
include "calls/dense.pxi"
include "calls/activation.pxi"
include "calls/muon.pxi"
include "calls/recurrent.pxi"
include "calls/gate_inputs.pxi"
include "calls/rnn.pxi"
include "calls/lstm.pxi"
include "calls/lstm_norm.pxi"
include "calls/gru.pxi"
include "calls/arena.pxi"
include "calls/columns.pxi"
include "calls/flat.pxi"
include "calls/residual.pxi"
include "calls/sequences.pxi"
include "calls/standardize.pxi"
include "calls/penalty.pxi"
include "calls/noise.pxi"
include "calls/dropout.pxi"
include "calls/embedding.pxi"
include "calls/batch.pxi"
include "calls/probe.pxi"
include "calls/elementwise.pxi"
include "calls/batch_norm.pxi"
include "calls/layer_norm.pxi"
include "calls/losses.pxi"
include "calls/clipping.pxi"
include "calls/optimizers.pxi"
include "calls/adam.pxi"
include "calls/layerwise.pxi"
