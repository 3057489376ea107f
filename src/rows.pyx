# All other kernels.
from cpython.bytes cimport PyBytes_FromStringAndSize

from _core cimport memset
from calls.runs cimport Both, Runs

include "arena.pxi"
include "columns.pxi"
include "flat.pxi"
include "residual.pxi"
include "sequences.pxi"
include "standardize.pxi"
include "penalty.pxi"
include "noise.pxi"
include "dropout.pxi"
include "embedding.pxi"
include "batch.pxi"
include "probe.pxi"
include "elementwise.pxi"
include "batch_norm.pxi"
include "layer_norm.pxi"
include "losses.pxi"
include "clipping.pxi"
include "optimizers.pxi"
include "adam.pxi"
include "layerwise.pxi"


cdef bytes table():
    cdef Runs runs
    memset(&runs, 0, sizeof(runs))
    runs.check_finite = Both(<void *>run_check_finite[float], <void *>run_check_finite[double])
    runs.copy = <void *>run_copy
    runs.blend = Both(<void *>run_blend[float], <void *>run_blend[double])
    runs.average = Both(<void *>run_average[float], <void *>run_average[double])
    runs.around = Both(<void *>run_around[float], <void *>run_around[double])
    runs.around_back = Both(<void *>run_around_back[float], <void *>run_around_back[double])
    runs.add = Both(<void *>run_add[float], <void *>run_add[double])
    runs.plan = <void *>run_plan
    runs.to_steps = Both(<void *>run_to_steps[float], <void *>run_to_steps[double])
    runs.from_steps = Both(<void *>run_from_steps[float], <void *>run_from_steps[double])
    runs.indices = <void *>run_indices
    runs.last = Both(<void *>run_last[float], <void *>run_last[double])
    runs.take = Both(<void *>run_take[float], <void *>run_take[double])
    runs.put = Both(<void *>run_put[float], <void *>run_put[double])
    runs.fill = Both(<void *>run_fill[float], <void *>run_fill[double])
    runs.sum = Both(<void *>run_sum[float], <void *>run_sum[double])
    runs.standardize = Both(<void *>run_standardize[float], <void *>run_standardize[double])
    runs.standardize_back = Both(<void *>run_standardize_back[float],
                                 <void *>run_standardize_back[double])
    runs.penalty = Both(<void *>run_penalty[float], <void *>run_penalty[double])
    runs.noise = Both(<void *>run_noise[float], <void *>run_noise[double])
    runs.dropout = Both(<void *>run_dropout[float], <void *>run_dropout[double])
    runs.lookup = Both(<void *>run_lookup[float], <void *>run_lookup[double])
    runs.scatter = Both(<void *>run_scatter[float], <void *>run_scatter[double])
    runs.gather = <void *>run_gather
    runs.sequence_weights = Both(<void *>run_sequence_weights[float],
                                 <void *>run_sequence_weights[double])
    runs.end_batch = <void *>run_end_batch
    runs.end_step = <void *>run_end_step
    runs.schedule = <void *>run_schedule
    runs.see_gradient = Both(<void *>run_see_gradient[float], <void *>run_see_gradient[double])
    runs.see_update = Both(<void *>run_see_update[float], <void *>run_see_update[double])
    runs.note_update = <void *>run_note_update
    runs.see_output = Both(<void *>run_see_output[float], <void *>run_see_output[double])
    runs.see_delta = Both(<void *>run_see_delta[float], <void *>run_see_delta[double])
    runs.note_outputs = Both(<void *>run_note_outputs[float], <void *>run_note_outputs[double])
    runs.note_flow = <void *>run_note_flow
    runs.elementwise = Both(<void *>run_elementwise[float], <void *>run_elementwise[double])
    runs.bn_forward = Both(<void *>run_bn_forward[float], <void *>run_bn_forward[double])
    runs.bn_backward = Both(<void *>run_bn_backward[float], <void *>run_bn_backward[double])
    runs.bn_update = Both(<void *>run_bn_update[float], <void *>run_bn_update[double])
    runs.bn_predict = Both(<void *>run_bn_predict[float], <void *>run_bn_predict[double])
    runs.ln_forward = Both(<void *>run_ln_forward[float], <void *>run_ln_forward[double])
    runs.ln_backward = Both(<void *>run_ln_backward[float], <void *>run_ln_backward[double])
    runs.regression = Both(<void *>run_regression[float], <void *>run_regression[double])
    runs.softmax = Both(<void *>run_softmax[float], <void *>run_softmax[double])
    runs.group_norms = Both(<void *>run_group_norms[float], <void *>run_group_norms[double])
    runs.rescale = Both(<void *>run_rescale[float], <void *>run_rescale[double])
    runs.relative_bounds = <void *>run_relative_bounds
    runs.percentile_bounds = <void *>run_percentile_bounds
    runs.z_score_bounds = <void *>run_z_score_bounds
    runs.clip_value = Both(<void *>run_clip_value[float], <void *>run_clip_value[double])
    runs.sgd = Both(<void *>run_sgd[float], <void *>run_sgd[double])
    runs.rmsprop = Both(<void *>run_rmsprop[float], <void *>run_rmsprop[double])
    runs.adagrad = Both(<void *>run_adagrad[float], <void *>run_adagrad[double])
    runs.adadelta = Both(<void *>run_adadelta[float], <void *>run_adadelta[double])
    runs.rprop = Both(<void *>run_rprop[float], <void *>run_rprop[double])
    runs.lion = Both(<void *>run_lion[float], <void *>run_lion[double])
    runs.watched = Both(<void *>run_watched[float], <void *>run_watched[double])
    runs.adam = Both(<void *>run_adam[float], <void *>run_adam[double])
    runs.amsgrad = Both(<void *>run_amsgrad[float], <void *>run_amsgrad[double])
    runs.adamax = Both(<void *>run_adamax[float], <void *>run_adamax[double])
    runs.nadam = Both(<void *>run_nadam[float], <void *>run_nadam[double])
    runs.radam = Both(<void *>run_radam[float], <void *>run_radam[double])
    runs.lamb = Both(<void *>run_lamb[float], <void *>run_lamb[double])
    runs.lars = Both(<void *>run_lars[float], <void *>run_lars[double])
    return PyBytes_FromStringAndSize(<const char *>&runs, sizeof(runs))


TABLE = table()
