# All that multiplies matrices or activates, in one module, which holds register tiles and
# activations once.
from cpython.bytes cimport PyBytes_FromStringAndSize

from _core cimport memset
from calls.runs cimport Both, Runs

include "peak.pxi"
include "product.pxi"
include "dense.pxi"
include "activation.pxi"
include "muon.pxi"
include "recurrent.pxi"
include "gate_inputs.pxi"
include "rnn.pxi"
include "lstm.pxi"
include "lstm_norm.pxi"
include "gru.pxi"


cdef bytes table():
    cdef Runs runs
    memset(&runs, 0, sizeof(runs))
    runs.scratch_bytes = max(SCRATCH_FLOATS * sizeof(float), SCRATCH_DOUBLES * sizeof(double))
    runs.run_peak, runs.run_trial = run_peak, run_trial
    runs.product = Both(<void *>run_product[float], <void *>run_product[double])
    runs.dense_forward = Both(<void *>run_dense_forward[float], <void *>run_dense_forward[double])
    runs.dense_backward = Both(<void *>run_dense_backward[float],
                               <void *>run_dense_backward[double])
    runs.activation = Both(<void *>run_activation[float], <void *>run_activation[double])
    runs.activation_backward = Both(<void *>run_activation_backward[float],
                                    <void *>run_activation_backward[double])
    runs.muon = Both(<void *>run_muon[float], <void *>run_muon[double])
    runs.inputs_forward = Both(<void *>run_inputs_forward[float],
                               <void *>run_inputs_forward[double])
    runs.inputs_backward = Both(<void *>run_inputs_backward[float],
                                <void *>run_inputs_backward[double])
    runs.bias = Both(<void *>run_bias[float], <void *>run_bias[double])
    runs.bias_backward = Both(<void *>run_bias_backward[float], <void *>run_bias_backward[double])
    runs.table = Both(<void *>run_table[float], <void *>run_table[double])
    runs.table_backward = Both(<void *>run_table_backward[float],
                               <void *>run_table_backward[double])
    runs.rnn_forward = Both(<void *>run_rnn_forward[float], <void *>run_rnn_forward[double])
    runs.rnn_backward = Both(<void *>run_rnn_backward[float], <void *>run_rnn_backward[double])
    runs.lstm_forward = Both(<void *>run_lstm_forward[float], <void *>run_lstm_forward[double])
    runs.lstm_backward = Both(<void *>run_lstm_backward[float], <void *>run_lstm_backward[double])
    runs.lstm_norm_forward = Both(<void *>run_lstm_norm_forward[float],
                                  <void *>run_lstm_norm_forward[double])
    runs.lstm_norm_backward = Both(<void *>run_lstm_norm_backward[float],
                                   <void *>run_lstm_norm_backward[double])
    runs.gru_forward = Both(<void *>run_gru_forward[float], <void *>run_gru_forward[double])
    runs.gru_backward = Both(<void *>run_gru_backward[float], <void *>run_gru_backward[double])
    return PyBytes_FromStringAndSize(<const char *>&runs, sizeof(runs))


TABLE = table()
