# All that multiplies matrices, in one module, which holds the register tiles once.
from _core cimport cnp

cnp.import_array()

include "product.pxi"
include "dense.pxi"
include "muon.pxi"
include "recurrent.pxi"
include "gate_inputs.pxi"
include "rnn.pxi"
include "lstm.pxi"
include "lstm_norm.pxi"
include "gru.pxi"
