"""What a trainer does when a loss or gradient is not finite.

Whatever it does, such a step changes nothing: the parameters are those of the last good step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastgrad import checks
from fastgrad.arena import Array


class Policy:
    """The base of all policies, and the strictest one: the first such step ends the training.

    Attributes
    ----------
    limit : int
        Such steps in a row that are put up with.
    """

    limit = 0

    def config(self) -> dict[str, Any]:
        """The arguments that make this policy again."""
        return {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in self.config().items())})"


class Raise(Policy):
    """`GradientError` at the first loss or gradient that is not finite; the default."""


class Skip(Policy):
    """Leave out the step and go on with the next minibatch.

    Parameters
    ----------
    limit : int
        Steps in a row that are left out; one more is a `GradientError`.
    """

    def __init__(self, limit: int = 10) -> None:
        self.limit = checks.count("limit", limit)

    def config(self) -> dict[str, Any]:
        """The arguments that make this policy again."""
        return {"limit": self.limit}


class RollBack(Policy):
    """Go back to an earlier state with a smaller learning rate, and on with the next minibatch.

    What came before a gradient that is not finite is often bad already: weights that have grown
    for many steps. Everything that training changes is put back (parameters, running statistics,
    optimizer, clips, average, count of steps), but not the position in the data.

    Parameters
    ----------
    every : int
        Steps between two states that are kept; only the last one is.
    lr_factor : float
        In (0, 1]; what all later learning rates are multiplied with, once more each time.
    limit : int
        How often in a row, without `every` good steps in between; one more is a `GradientError`.
    """

    def __init__(self, every: int = 100, lr_factor: float = 0.5, limit: int = 10) -> None:
        self.every = checks.count("every", every)
        self.lr_factor = checks.number("lr_factor", lr_factor, 0, 1, open_low=True)
        self.limit = checks.count("limit", limit)

    def config(self) -> dict[str, Any]:
        """The arguments that make this policy again."""
        return {"every": self.every, "lr_factor": self.lr_factor, "limit": self.limit}


class Guard:
    """A policy at work: the kept state, and the account.

    Attributes
    ----------
    bad : int
        Steps that were not finite.
    in_a_row : int
        Those since the last stretch of good ones.
    good : int
        Good steps since the last bad one.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.bad = self.in_a_row = self.good = 0
        self._kept: dict[str, Array] = {}
        self._age = 0

    def stretch(self, count: int) -> int:
        """How many of the next `count` steps may be taken in one go."""
        if isinstance(self.policy, RollBack):
            return min(count, self.policy.every - self._age)
        return count

    def before(self, arrays: dict[str, Array]) -> None:
        """Keep what there is, if it is time for that."""
        if not isinstance(self.policy, RollBack) or (self._kept and self._age):
            return
        if not self._kept:
            self._kept = {name: np.empty_like(array) for name, array in arrays.items()}
        for name, array in arrays.items():
            self._kept[name][...] = array

    def passed(self, count: int) -> None:
        """Good steps have been done."""
        self.good += count
        if isinstance(self.policy, RollBack):
            self._age = (self._age + count) % self.policy.every
            if self.good >= self.policy.every:
                self.in_a_row = 0
        elif count:
            self.in_a_row = 0

    def met(self, arrays: dict[str, Array]) -> float | None:
        """A step was not finite: the factor for the learning rate, or None to give up."""
        self.bad += 1
        self.in_a_row += 1
        self.good = 0
        if self.in_a_row > self.policy.limit:
            return None
        if not isinstance(self.policy, RollBack):
            return 1.0
        for name, array in arrays.items():
            array[...] = self._kept[name]
        self._age = 0
        return self.policy.lr_factor


_BY_NAME: dict[str, type[Policy]] = {"raise": Raise, "skip": Skip, "roll_back": RollBack}


def get(policy: Any) -> Policy:
    """The policy "raise", "skip" or "roll_back" with its defaults, or the policy itself."""
    if isinstance(policy, Policy):
        return policy
    if not isinstance(policy, str) or policy not in _BY_NAME:
        names = ", ".join(_BY_NAME)
        raise ValueError(f"on_nonfinite: expected one of {names} or a Policy, got {policy!r}")
    return _BY_NAME[policy]()


def from_config(name: str, arguments: dict[str, Any]) -> Policy:
    """The policy of this class name and these arguments."""
    by_class: dict[str, Callable[..., Policy]] = {k.__name__: k for k in _BY_NAME.values()}
    return by_class[name](**arguments)
