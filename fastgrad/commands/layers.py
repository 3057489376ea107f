"""How training moves each layer: its gradient norms over the epochs, and its last update."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastgrad as fg
from fastgrad.commands.text import aligned
from fastgrad.norms import by_layer, layer_norms

__all__ = ["GradientFlow", "layer_table"]


class GradientFlow:
    """A callback that records the norm of each layer's cross-entropy gradient after every epoch.

    It is taken over all rows at once: that of a minibatch says more about the minibatch.

    Parameters
    ----------
    X : ndarray, shape (rows, features)
    y : ndarray of int, shape (rows,)
        The class of each row.

    Attributes
    ----------
    norms : dict of str to list of float
        For each layer, the gradient norm after each epoch.
    """

    def __init__(self, X: NDArray[Any], y: NDArray[np.int64]) -> None:
        self._X, self._y = X, y
        self.norms: dict[str, list[float]] = {}

    def __call__(self, run: fg.Run) -> None:
        """Record the gradients of the model as it is."""
        logits = run.model.forward(self._X)
        terms = np.exp(logits - logits.max(axis=1, keepdims=True))
        dy = terms / terms.sum(axis=1, keepdims=True)
        dy[np.arange(len(dy)), self._y] -= 1
        run.model.backward(dy / len(dy), input_grad=False)
        for layer, norm in layer_norms(run.model.grads).items():
            self.norms.setdefault(layer, []).append(norm)


def layer_table(run: fg.Run, x: NDArray[Any], y: NDArray[Any]) -> str:
    """Measure one more update of each layer, take it back, and return a table of it.

    Parameters
    ----------
    run : Run
        A finished run; its optimizer moves on by one step, its model is left as it is.
    x, y : ndarray
        The batch to step on, as in training.

    Returns
    -------
    str
        A line for each layer: its name, the shape of its weight, its number of
        parameters, the norm of its gradient, and the ratio of the norm of its update to
        that of its parameters.
    """
    params = run.model.params
    before = {name: values.copy() for name, values in params.items()}
    run.trainer.step(x, y)
    updates = {name: values - before[name] for name, values in params.items()}
    for name, values in params.items():
        values[...] = before[name]
    gradients, moved, weights = map(layer_norms, (run.model.grads, updates, before))
    rows = [["layer", "shape", "parameters", "gradient norm", "update/weight"]]
    for layer, arrays in by_layer(before).items():
        rows.append(
            [
                layer,
                " x ".join(map(str, arrays[0].shape)),
                f"{sum(array.size for array in arrays):,}",
                f"{gradients[layer]:.2e}",
                f"{moved[layer] / weights[layer]:.2e}",
            ]
        )
    total = sum(array.size for array in before.values())
    return aligned([*rows, ["total", "", f"{total:,}", "", ""]])
