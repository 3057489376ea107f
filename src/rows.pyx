# All kernels but those that multiply matrices, in one module: each costs 12 KB of the wheel.
from _core cimport cnp

cnp.import_array()

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
