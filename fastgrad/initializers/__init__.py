"""Initial values of parameters.

An initializer is a callable ``init(shape, rng, dtype)`` that returns a new C-contiguous array. A
dense weight has the shape ``(fan_out, fan_in)``, PyTorch's ``(out_features, in_features)``. Values
are drawn in float64 and rounded once, so that from one seed a float32 and a float64 model start at
the same point.

Whatever only sets a variance is one `variance_scaling`. Normals are plain, as in the papers and in
PyTorch; JAX and Keras truncate theirs, which is its distribution "truncated_normal": Keras's
GlorotNormal is ``variance_scaling(1, "fan_avg")``. `get` knows the names of all three; what they
have for convolution kernels alone (dirac, STFT) is left out.

A recurrent weight has the shape ``(gates * H, H)``, a matrix for each gate, and `per_gate` draws
them one by one; `forget_bias` and `chrono` make biases of gates in PyTorch's order.

`critical` follows from the activation, `lsuv` from data, `fixup` from residual blocks; the last two
act on a model. Every factory raises TypeError for an argument that is no
number and ValueError for one that is not finite or outside the range it states.
"""

from fastgrad.initializers.activations import for_activation, gain
from fastgrad.initializers.base import InitFunction, Initializer, fans
from fastgrad.initializers.checks import Array
from fastgrad.initializers.configs import from_config, get, to_config
from fastgrad.initializers.critical import (
    CriticalPoint,
    critical,
    critical_bias,
    critical_point,
)
from fastgrad.initializers.draws import constant, normal, ones, truncated_normal, uniform, zeros
from fastgrad.initializers.fixup import fixup
from fastgrad.initializers.lsuv import LSUVReport, lsuv
from fastgrad.initializers.matrices import identity, orthogonal, sparse
from fastgrad.initializers.mean_field import MeanField
from fastgrad.initializers.recurrent import chrono, forget_bias, irnn, per_gate, spectral
from fastgrad.initializers.scaling import (
    Distribution,
    Mode,
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
    torch_default,
    variance_scaling,
    xavier_normal,
    xavier_uniform,
)

__all__ = [
    "Array",
    "CriticalPoint",
    "Distribution",
    "InitFunction",
    "Initializer",
    "LSUVReport",
    "MeanField",
    "Mode",
    "chrono",
    "constant",
    "critical",
    "critical_bias",
    "critical_point",
    "fans",
    "fixup",
    "for_activation",
    "forget_bias",
    "from_config",
    "gain",
    "get",
    "he_normal",
    "he_uniform",
    "identity",
    "irnn",
    "lecun_normal",
    "lecun_uniform",
    "lsuv",
    "normal",
    "ones",
    "orthogonal",
    "per_gate",
    "sparse",
    "spectral",
    "to_config",
    "torch_default",
    "truncated_normal",
    "uniform",
    "variance_scaling",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]
