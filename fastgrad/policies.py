"""What a trainer does when a loss or gradient is not finite.

Whatever it does, such a step changes nothing: the parameters are those of the last good step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from fastgrad import checks, configs
from fastgrad.arena import Array

Arrays: TypeAlias = "Callable[[], dict[str, Array]]"  # called where they are needed


class Policy:
    """The base of all policies, and the strictest one: the first such step ends the training.

    Attributes
    ----------
    limit : int
        Such steps in a row that are put up with.
    """

    limit: int

    def config(self) -> dict[str, Any]:
        """Name and arguments, as JSON can hold them; see `policies.from_config`."""
        return configs.described(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in vars(self).items())})"


class Raise(Policy):
    """`GradientError` at the first loss or gradient that is not finite; the default."""

    limit = 0


class Skip(Policy):
    """Leave out the step and go on with the next minibatch.

    Parameters
    ----------
    limit : int
        Steps in a row that are left out; one more is a `GradientError`.
    """

    def __init__(self, limit: int = 10) -> None:
        self.limit = checks.count("limit", limit)


class RollBack(Policy):
    """Go back to an earlier state with a smaller learning rate, and on with the next minibatch.

    What came before a gradient that is not finite is often bad already: weights that have grown
    for many steps. So a state is kept only while the loss has not grown. Everything that training
    changes is put back (parameters, running statistics, optimizer, clips, average, count of
    steps), but not the position in the data.

    Parameters
    ----------
    every : int
        Steps after which the state replaces the one that is kept, if their mean loss was at most
        `worse` times that before the kept one. Fewer than lie between two bad minibatches, or each
        of them takes back all training: where single rows are bad, use `Skip`.
    lr_factor : float
        In (0, 1]; what all later learning rates are multiplied with, once more each time.
    limit : int
        How often in a row, without `every` good steps in between; one more is a `GradientError`.
    worse : float
        At least 1.
    """

    def __init__(
        self, every: int = 100, lr_factor: float = 0.5, limit: int = 10, worse: float = 2.0
    ) -> None:
        self.every = checks.count("every", every)
        self.lr_factor = checks.number("lr_factor", lr_factor, 0, 1, open_low=True)
        self.limit = checks.count("limit", limit)
        self.worse = checks.number("worse", worse, 1)


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
    kept : dict of str to ndarray
        The state to go back to.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.bad = self.in_a_row = self.good = 0
        self.kept: dict[str, Array] = {}
        self._loss: float | None = None  # before the kept state
        self._sum = 0.0  # of the losses since
        self._age = 0  # good steps since the last look at the loss

    def stretch(self, count: int) -> int:
        """How many of the next `count` steps may be taken in one go."""
        if not isinstance(self.policy, RollBack):
            return count
        if self._loss is None:  # the first loss says how good the first state is
            return 1
        return min(count, self.policy.every - self._age)

    def before(self, arrays: Arrays) -> None:
        """Keep what there is at first."""
        if isinstance(self.policy, RollBack) and not self.kept:
            self.kept = {name: array.copy() for name, array in arrays().items()}

    def passed(self, count: int, loss: float, arrays: Arrays) -> None:
        """Good steps have been done, of this mean loss."""
        self.good += count
        if not isinstance(self.policy, RollBack):
            self.in_a_row = 0 if count else self.in_a_row
            return
        if self.good >= self.policy.every:
            self.in_a_row = 0
        if not count:
            return
        if self._loss is None:
            self._loss = loss
        self._age += count
        self._sum += count * loss
        if self._age >= self.policy.every:
            mean = self._sum / self._age
            if mean <= self.policy.worse * self._loss or self._loss == 0:
                self._loss = mean
                self.kept = {name: array.copy() for name, array in arrays().items()}
            self._age, self._sum = 0, 0.0

    def met(self, arrays: Arrays) -> float | None:
        """A step was not finite: the factor for the learning rate, or None to give up."""
        self.bad += 1
        self.in_a_row += 1
        self.good = 0
        if self.in_a_row > self.policy.limit:
            return None
        if not isinstance(self.policy, RollBack):
            return 1.0
        for name, array in arrays().items():
            if not name.endswith(".report"):  # accounts, as this one, count all that was done
                array[...] = self.kept.get(name, 0)  # states of other rows, which were zeros then
        self._age, self._sum = 0, 0.0
        return self.policy.lr_factor

    def numbers(self) -> dict[str, Any]:
        """All but `kept`, ready for JSON."""
        return {name: vars(self)[name] for name in _NUMBERS}

    def set_numbers(self, numbers: Mapping[str, Any], kept: dict[str, Array]) -> None:
        """Go on from there."""
        for name in _NUMBERS:
            setattr(self, name, numbers[name])
        self.kept = kept


_NUMBERS = ("bad", "in_a_row", "good", "_loss", "_sum", "_age")

_BY_NAME: dict[str, type[Policy]] = {"raise": Raise, "skip": Skip, "roll_back": RollBack}


def get(policy: Any) -> Policy:
    """The policy "raise", "skip" or "roll_back" with its defaults, or the policy itself."""
    if isinstance(policy, Policy):
        return policy
    if not isinstance(policy, str) or policy not in _BY_NAME:
        names = ", ".join(_BY_NAME)
        raise ValueError(f"on_nonfinite: expected one of {names} or a Policy, got {policy!r}")
    return _BY_NAME[policy]()


def from_config(config: Mapping[str, Any]) -> Policy:
    """Make the policy that `Policy.config` described."""
    return configs.rebuilt("on_nonfinite", {k.__name__: k for k in _BY_NAME.values()}, config)
