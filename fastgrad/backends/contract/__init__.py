"""The kernel contract: every kernel's name, arguments and shapes, checked at one door.

A line of `CONTRACT` is a kernel's signature. Arguments before ``->`` are read, those after it are
written. ``x[N,I]`` is a C-contiguous array of the call's one float dtype, ``target[N]:i8`` and
``loss[1]:f8`` are int64 and float64 arrays, ``b[O]?`` may be None, ``alpha:float`` is a number, an
``activation`` is a name or a `custom.UserActivation`, a ``loss`` is a `custom.LossFunction`.
A name stands for one size in the whole call, ``T+1`` for one more than T, ``4H`` for four times H.
``dy[N,O]!`` is read first and then overwritten. Buffers must not overlap, except that an output
marked ``~x`` may be the very array given as x. ``status[0]`` becomes 1 where a gradient of a
parameter, or the loss, is not finite; the replay then stops after the call.
"""

from fastgrad.backends.contract.door import check, room
from fastgrad.backends.contract.kernels import CONTRACT
from fastgrad.backends.contract.names import ACTIVATIONS, FUNCTIONS, NEED_SLOPE, needs_slope
from fastgrad.backends.contract.signature import Argument, arguments, size_of

__all__ = [
    "ACTIVATIONS",
    "CONTRACT",
    "FUNCTIONS",
    "NEED_SLOPE",
    "Argument",
    "arguments",
    "check",
    "needs_slope",
    "room",
    "size_of",
]
