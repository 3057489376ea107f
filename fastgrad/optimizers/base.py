"""What all optimizers share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from fastgrad import checks, configs
from fastgrad.arena import Array, Part, aligned
from fastgrad.program import Tape

Hyper = tuple[float, ...]
Check = Callable[[str, Any], Any]


def positive(name: str, value: Any) -> float:
    """A number above 0."""
    return checks.number(name, value, 0, open_low=True)


def not_negative(name: str, value: Any) -> float:
    """A number of at least 0."""
    return checks.number(name, value, 0)


def fraction(name: str, value: Any) -> float:
    """A number in [0, 1)."""
    return checks.number(name, value, 0, 1, open_high=True)


def normal(name: str, value: Any) -> float:
    """A number that is not 0 in float32 either, where denormal ones are."""
    return checks.number(name, value, float(np.finfo(np.float32).tiny))


def flag(name: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def pair(name: str, value: Any) -> tuple[Any, Any]:
    """Two of something."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError(f"{name} must be a pair of numbers, got {value!r}")
    return value[0], value[1]


def _betas(name: str, value: Any) -> tuple[float, float]:
    first, second = pair(name, value)
    return fraction(f"{name}[0]", first), fraction(f"{name}[1]", second)


class Optimizer:
    """What all optimizers share: hyperparameters by name, state as flat vectors.

    The state belongs to the trainer that uses the optimizer, so that one optimizer object may
    serve several trainers.

    Attributes are the arguments of the constructor, under the same names.
    """

    kernel: ClassVar[str]
    slots: ClassVar[tuple[str, ...]]  # the kernel's state vectors, in its order
    checks: ClassVar[dict[str, Check]] = {  # what most optimizers mean by these names
        "lr": positive,
        "eps": normal,
        "weight_decay": not_negative,
        "momentum": fraction,
        "betas": _betas,
        "nesterov": flag,
        "decoupled_weight_decay": flag,
    }
    decisive: ClassVar[tuple[str, ...]] = ()  # slots by whose presence the kernel's formula differs
    momentum_place: ClassVar[int | None] = None  # of momentum or beta1 in `hyper`
    _couples: ClassVar[bool] = False  # whether weight decay adds to g, unless told otherwise
    lr: float

    def __setattr__(self, name: str, value: Any) -> None:
        check = self.checks.get(name)  # in the constructor and whenever it is changed
        if check is None and type(self).__module__.startswith("fastgrad."):
            known = ", ".join(vars(self)) or "nothing yet"
            raise AttributeError(f"{type(self).__name__} has no {name!r}; it has {known}")
        super().__setattr__(name, check(name, value) if check else value)

    @property
    def coupled_decay(self) -> bool:
        """Whether `weight_decay` adds to g; if not, weights shrink beside the step that g makes."""
        return self._couples and not getattr(self, "decoupled_weight_decay", False)

    def hyper(self) -> Hyper:
        """The numbers that the kernel reads at every step, in its order; the first one is lr."""
        raise NotImplementedError

    def needed(self) -> tuple[str, ...]:
        """Which of the slots this configuration uses."""
        return self.slots

    def state(self, params: Array, parts: Sequence[Part]) -> dict[str, Array]:
        """Fresh state for all parameters, or for those in a slice of all vectors.

        Parameters
        ----------
        params : ndarray, (P,)
        parts : sequence of Part
            The tensors that lie in it.

        Returns
        -------
        dict of str to ndarray, (P,)
            Vectors laid out as `params`, all that an update depends on beside the step count.
        """
        found = {}
        for slot in self.needed():
            found[slot] = aligned(params.size, params.dtype)
            found[slot][...] = 0
        return found

    def record(
        self,
        tape: Tape,
        grads: Array,
        params: Array,
        state: dict[str, Array],
        hyper: Array,
        step: Array,
        parts: Sequence[Part],
    ) -> None:
        """Record one update of all parameters, or of those in a slice of all vectors.

        Parameters
        ----------
        tape : Tape
        grads, params : ndarray, (P,)
        state : dict of str to ndarray, (P,)
        hyper : float64
            As `hyper` gives it, read anew at every replay.
        step : int64 (1,)
            Steps done before.
        parts : sequence of Part
            The tensors that lie in these vectors. Between them all is 0, and stays so.
        """
        slots = (state.get(slot) for slot in self.slots)
        tape.call(self.kernel, grads, hyper, step, None, params, *slots, None, None)

    def config(self) -> dict[str, Any]:
        """The name of the class and its arguments, ready for JSON; see `from_config`."""
        return configs.described(self)

    def __repr__(self) -> str:
        values = ", ".join(f"{k}={v}" for k, v in vars(self).items())
        return f"{type(self).__name__}({values})"
