# What goes over rows or flat vectors once, in one module: each module costs 12 KB of the wheel.
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
