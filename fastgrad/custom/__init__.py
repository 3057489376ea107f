"""Functions that users write in Python, for a number at a time, and that kernels call.

`dual` says what their derivatives are; `compiling` makes C functions of them, by Numba, which is
imported only then.
"""

from fastgrad.custom.activation import UserActivation, activation
from fastgrad.custom.loss import LossFunction

__all__ = ["LossFunction", "UserActivation", "activation"]
