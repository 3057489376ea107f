"""Where a step that failed first met a number that is not finite."""

from __future__ import annotations

import numpy as np

from fastgrad.arena import Array
from fastgrad.errors import GradientError
from fastgrad.model import Sequential


def find_not_finite(
    model: Sequential, outputs: list[Array], loss: float, steps: int
) -> GradientError:
    """The error to raise: the first culprit in the order of computation.

    Parameters
    ----------
    model : Sequential
        Its gradients are those of the failed step, as far as that came.
    outputs : list of ndarray
        What each layer gave in the failed step.
    loss : float
        The failed step's loss.
    steps : int
        Good steps before it.
    """
    layer, tensor = len(model.layers) - 1, None
    what = f"the loss is {loss}, computed from the finite output of layer {layer}"
    for i, output in enumerate(outputs):
        if not np.isfinite(output).all():
            layer = i
            what = f"the output of layer {i} ({type(model.layers[i]).__name__}) is not finite"
            break
    else:
        for name, gradient in reversed(list(model.grads.items())):
            if not np.isfinite(gradient).all():
                layer, tensor = int(name.partition(".")[0]), name
                what = f"the gradient of {name} is not finite"
                break
    kept = "the parameters are those of the last good step"
    return GradientError(f"step {steps}: {what}; {kept}", steps, layer, tensor)
