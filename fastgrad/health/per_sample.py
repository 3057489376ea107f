"""Gradients of single samples, and how much they disagree, without computing one of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgrad import losses, samples
from fastgrad.arena import Array
from fastgrad.containers import named_layers
from fastgrad.health.walk import Walk, walk
from fastgrad.layers import Dense, Layer
from fastgrad.model import Sequential, checked_model
from fastgrad.parallel import Parallel


@dataclass(frozen=True, repr=False)
class PerSample:
    """Gradients of the samples of a minibatch, for the parameters of its `Dense` layers together.

    With g_i the gradient of the loss of sample i, g their mean, and B samples.

    Attributes
    ----------
    norms : ndarray, (B,)
        ``|g_i|``.
    norm : float
        ``|g|``.
    noise_scale : float
        Trace of the covariance of g_i over ``|g|^2``, both without bias: the minibatch beyond which
        larger ones hardly help (McCandlish et al. 2018, arXiv:1812.06162, eq. 2.9). Infinite where
        the samples leave nothing of the mean.
    norm_test, inner_test, ortho_test : float
        Noise over signal of the mean, in all directions, along g, and across it, as in Cockpit
        (Schneider et al. 2021, arXiv:2102.06604).
    """

    norms: Array
    norm: float
    noise_scale: float
    norm_test: float
    inner_test: float
    ortho_test: float

    def __repr__(self) -> str:
        least, most = self.norms.min(), self.norms.max()
        of_samples = f"{len(self.norms)} samples, norms from {least:.3g} to {most:.3g}"
        scale = f"noise scale {self.noise_scale:.3g}"
        return f"<PerSample: {of_samples}; of their mean {self.norm:.3g}; {scale}>"


def per_sample(
    model: Sequential, x: Any, y: Any, loss: Any, sample_weight: Any = None
) -> PerSample:
    """Norms of the gradients of single samples.

    The gradient of a sample with respect to a weight is an outer product, so that products of two
    of them are ``(a_i a_j + 1) (delta_i delta_j)``: the Gram matrix of all samples, which has all
    that is asked for, costs ``B^2`` (Goodfellow 2015, arXiv:1510.01799, for its diagonal).

    Parameters
    ----------
    model : Sequential
        Its layers with parameters must be `Dense`, on rows that are not sequences. Layers written
        in Python pass these rows, so that a backward pass for others must not follow.
    x : array-like, (B, inputs)
        At least two rows.
    y, loss, sample_weight
        As for `Trainer.step`.

    Raises
    ------
    ValueError, TypeError
        For a model with other parameters, or arguments that do not fit.
    """
    checked_model(model)
    known = named_layers(model.layers)
    dense = {n: one for n, one in known.items() if one.parameters() and not hasattr(one, "layers")}
    for name, layer in dense.items():
        if not isinstance(layer, Dense):
            raise ValueError(
                f"layer {name} ({type(layer).__name__}) has parameters, but only those of Dense "
                "layers have gradients of single samples"
            )
    rows = model.checked("x", x)
    if rows.ndim != 2 or len(rows) < 2:
        raise ValueError(f"x needs shape (B, inputs) with B of at least 2, got {rows.shape}")
    shape = model.output_shape(rows.shape)
    own = samples.checked(losses.get(loss), rows, shape, model.dtype, y, sample_weight, None)
    seen, _ = walk(model, own, lambda array: array.astype(np.float64))
    gram = np.zeros((len(rows), len(rows)))
    for name, layer in dense.items():
        a, delta = _input_of(known, name, seen, rows), seen.inner_gradients[name]
        assert isinstance(layer, Dense)
        gram += (a @ a.T + layer.bias) * (delta @ delta.T)
    return _of_gram(gram * len(rows) ** 2)  # the loss is a mean


def _of_gram(gram: Array) -> PerSample:
    count = len(gram)
    squares = gram.diagonal()
    along = gram.mean(axis=1)  # g_i g
    square = float(gram.mean())
    trace = (float(squares.sum()) - count * square) / (count - 1)
    signal = square - trace / count
    if not square > 0:
        return PerSample(np.sqrt(squares), 0.0, math.inf, math.inf, math.inf, math.inf)
    across = (float(squares.sum()) - float((along**2).sum()) / square) / (count - 1)
    return PerSample(
        norms=np.sqrt(squares),
        norm=math.sqrt(square),
        noise_scale=trace / signal if signal > 0 else math.inf,
        norm_test=math.sqrt(max(trace, 0) / count / square),
        inner_test=math.sqrt(float(along.var(ddof=1)) / count / square**2),
        ortho_test=math.sqrt(max(across, 0) / count / square),
    )


def _input_of(known: dict[str, Layer], name: str, seen: Walk, x: Array) -> Array:
    """What a layer is given: what the one before it gives, or what the row of layers is given.

    Branches of a Parallel are given what that is given.
    """
    row, _, number = name.rpartition(".")
    if int(number) and not isinstance(known.get(row), Parallel):
        before: Array = seen.outputs[f"{row}.{int(number) - 1}".lstrip(".")]
        return before
    return _input_of(known, row, seen, x) if row else x.astype(np.float64)
