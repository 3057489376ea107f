"""Constraints: after every update, weights are brought back to where they are allowed to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastgrad import checks, configs
from fastgrad.arena import Array
from fastgrad.groups import Groups
from fastgrad.model import Sequential
from fastgrad.naming import checked, of_weights
from fastgrad.program import Tape


class Constraint:
    """The base of the constraints on weights, which may be lifted for some layers."""

    def __init__(self, per_layer: Mapping[str, bool] | None = None) -> None:
        self.per_layer = checked(per_layer, _flag)

    def limits(self, params: Mapping[str, Array]) -> dict[str, Any]:
        """What holds for each parameter that is constrained; ValueError for a key without one."""
        found = of_weights(True, self.per_layer, params)
        return {name: value for name, value in found.items() if value}

    def record(self, tape: Tape, model: Sequential) -> None:
        """Record the constraint on the parameters of the model."""
        for name, limit in self.limits(model.params).items():
            self.record_one(tape, model.params[name], limit)

    def record_one(self, tape: Tape, weight: Array, limit: Any) -> None:
        """Record the constraint on one parameter."""
        raise NotImplementedError

    def config(self) -> dict[str, Any]:
        """Name and arguments, as JSON can hold them; see `constraints.from_config`."""
        return configs.described(self)

    def __repr__(self) -> str:
        values = ", ".join(f"{key}={value!r}" for key, value in vars(self).items() if value)
        return f"{type(self).__name__}({values})"


class MaxNorm(Constraint):
    """The weights that come into a unit, as a vector, have a norm of at most `limit`.

    Rows of larger norm are scaled down to it after each update (Srebro & Shraibman 2005; Srivastava
    et al. 2014, section 5.1, together with dropout). The norm is exact, computed in float64; what
    comes out differs from it by the rounding of the weights. Of a recurrent layer, the rows of
    ``weight_ih`` and ``weight_hh`` count separately; of an embedding, each vector.

    Parameters
    ----------
    limit : float
        Above 0; 3 to 4 are typical.
    per_layer : mapping of str to float or None, optional
        Other limits, or None for no limit, for layers (``"2"``) or single parameters
        (``"0.weight"``); the longest name decides. Constrained are weights, the parameters of two
        or more axes: the ``weight`` of `Dense`, not biases nor the scales of norms, unless they are
        named in full (``"0.bias"``), as one vector each.
    """

    def __init__(self, limit: float, per_layer: Mapping[str, float | None] | None = None) -> None:
        self.limit = _limit("limit", limit)
        self.per_layer: dict[str, Any] = checked(
            per_layer, lambda name, value: None if value is None else _limit(name, value)
        )

    def limits(self, params: Mapping[str, Array]) -> dict[str, Any]:
        """The limit for each parameter that has one."""
        found = of_weights(self.limit, self.per_layer, params)
        return {name: value for name, value in found.items() if value is not None}

    def record_one(self, tape: Tape, weight: Array, limit: Any) -> None:
        """Record it for the rows."""
        _record_row_norms(tape, weight, 0.0, limit)


class UnitNorm(Constraint):
    """The weights that come into a unit, as a vector, have norm 1; a row of zeros stays as it is.

    Parameters
    ----------
    per_layer : mapping of str to bool, optional
        Whether it holds, for layers or single parameters, by names as for `MaxNorm`.
    """

    def record_one(self, tape: Tape, weight: Array, limit: Any) -> None:
        """Record it for the rows, from both sides."""
        _record_row_norms(tape, weight, 1.0, 1.0)


class NonNegative(Constraint):
    """Negative weights become 0.

    Parameters
    ----------
    per_layer : mapping of str to bool, optional
        Whether it holds, for layers or single parameters, by names as for `MaxNorm`.
    """

    def record_one(self, tape: Tape, weight: Array, limit: Any) -> None:
        """Record the function max(w, 0), which is that of relu."""
        flat = weight.reshape(-1)
        tape.call("activation_forward", flat, "relu", 0.0, flat, None)


def _limit(name: str, value: Any) -> float:
    return checks.number(name, value, 0, open_low=True)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def _record_row_norms(tape: Tape, weight: Array, low: float, high: float) -> None:
    """Record what brings the norm of each row into [low, high]: what clips do to groups."""
    columns = weight.size if weight.ndim == 1 else weight[0].size
    groups = Groups(range(0, weight.size + 1, columns))
    flat = weight.reshape(-1)
    groups.rescale(tape, flat, groups.norms(tape, flat), groups.bounds(low, high), np.zeros(6))


def get(constraints: Any, model: Sequential) -> tuple[Constraint, ...]:
    """None, a constraint or a sequence of them, as a tuple; the layers they name are there."""
    several = isinstance(constraints, (list, tuple))
    found = () if constraints is None else tuple(constraints) if several else (constraints,)
    for one in found:
        if not isinstance(one, Constraint):
            raise TypeError(
                f"constraints must be a constraint such as MaxNorm(3.0), or a list of them, "
                f"got {one!r}"
            )
        one.limits(model.params)
    return found


def from_config(config: Mapping[str, Any]) -> Constraint:
    """Make the constraint that `Constraint.config` described."""
    kinds = {kind.__name__: kind for kind in (MaxNorm, UnitNorm, NonNegative)}
    return configs.rebuilt("constraint", kinds, config)
