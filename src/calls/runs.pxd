# The table of a level: where its kernels are.
#
# design: linear.pyx and rows.pyx fill in what is theirs and hand it out as bytes. Level, in
# record.pyx, puts both together, and refuses a table with an empty place.
from _core cimport ptrdiff_t
from calls.peak cimport Trial

ctypedef void *Single  # a kernel that is the same for both dtypes


cdef struct Both:
    Single of_float
    Single of_double


cdef struct Runs:
    # linear.pyx
    ptrdiff_t scratch_bytes
    double (*run_peak)(bint wide, long rounds) noexcept nogil
    double (*run_trial)(const Trial *trial) noexcept nogil
    Both product
    Both dense_forward, dense_backward
    Both activation, activation_backward
    Both muon
    Both inputs_forward, inputs_backward, bias, bias_backward, table, table_backward
    Both rnn_forward, rnn_backward
    Both lstm_forward, lstm_backward
    Both lstm_norm_forward, lstm_norm_backward
    Both gru_forward, gru_backward
    # rows.pyx
    Both check_finite
    Single copy
    Both blend, average
    Both around, around_back, add
    Both to_steps, from_steps, last, take, put, fill, sum
    Single plan, indices
    Both standardize, standardize_back
    Both penalty
    Both noise
    Both dropout
    Both lookup, scatter
    Both sequence_weights
    Single gather, end_batch, end_step, schedule
    Both see_gradient, see_update, see_output, see_delta, note_outputs
    Single note_update, note_flow
    Both elementwise
    Both bn_forward, bn_backward, bn_update, bn_predict
    Both ln_forward, ln_backward
    Both regression, softmax
    Both group_norms, rescale, clip_value
    Single relative_bounds, percentile_bounds, z_score_bounds
    Both sgd, rmsprop, adagrad, adadelta, rprop, lion
    Both watched
    Both adam, amsgrad, adamax, nadam, radam
    Both lamb, lars
