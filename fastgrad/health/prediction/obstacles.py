"""What keeps a network from learning anything, whatever the sizes of its gradients are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from fastgrad.arena import Array
from fastgrad.layers import Activation, Dense
from fastgrad.model import Sequential


def obstacle(model: Sequential, x: Array | None, norms: Mapping[str, float]) -> str:
    """The first one that is found, in words; "" if there is none.

    Parameters
    ----------
    model : Sequential
    x : ndarray or None
        Its inputs, where they are known.
    norms : mapping of str to float
        Predicted norms of the parameters' gradients.
    """
    if x is not None and x.dtype.kind == "f" and not x.any():
        return "nothing can be learnt from inputs that are all 0"
    learnt = [norm for name, norm in norms.items() if "weight" in name.rpartition(".")[2]]
    if learnt and not any(learnt):  # NaN is not known to be 0
        zero = zeros(model)
        why = f" because {' and '.join(zero[:2])} {_are(zero[:2])} all 0" if zero else ""
        return f"nothing can be learnt, as no weight has a gradient{why}; draw random weights"
    for first, second in _pairs(model):
        if _alike(model, first, second):
            return (
                f"all units of layer {first} have the same weights, in it and in layer {second}, "
                "and stay the same whatever is learnt; draw random weights"
            )
    return ""


def zeros(model: Sequential) -> list[str]:
    """Weights of dense layers in a row that are all 0."""
    names = (f"{i}.weight" for i, layer in enumerate(model.layers) if isinstance(layer, Dense))
    return [name for name in names if not model.params[name].any()]


def passing(model: Sequential, log_gain: float) -> str:
    """What no gradient passes at the first step, and many do after it; "" if it is not that."""
    last = len(model.layers) - 1
    zero = zeros(model)
    if zero != [f"{last}.weight"] or log_gain > -np.inf:
        return ""
    return f"{zero[0]} is all 0, and no gradient passes it before the first step has changed it"


def _pairs(model: Sequential) -> Iterator[tuple[str, str]]:
    """Dense layers that follow each other with nothing but activations between them."""
    before = ""
    for i, layer in enumerate(model.layers):
        if isinstance(layer, Dense):
            if before:
                yield before, str(i)
            before = str(i)
        elif not isinstance(layer, Activation):
            before = ""


def _alike(model: Sequential, first: str, second: str) -> bool:
    """Whether units have the same rows and biases, and hand on the same: by symmetry for good."""
    rows, columns = model.params[f"{first}.weight"], model.params[f"{second}.weight"]
    bias = model.params.get(f"{first}.bias")
    return bool(
        len(rows) > 1
        and (rows == rows[0]).all()
        and (columns == columns[:, :1]).all()
        and (bias is None or (bias == bias[0]).all())
    )


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
