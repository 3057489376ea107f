"""`predict`: gradients before there is one."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from fastgrad import checks, losses, optimizers
from fastgrad.arena import Array
from fastgrad.containers import named_layers
from fastgrad.health.prediction import blocks, recurrent, rules
from fastgrad.health.prediction.advice import Outlook, sentence
from fastgrad.health.prediction.inputs import looked_up, one_hot, signal_of, standardized
from fastgrad.health.prediction.obstacles import obstacle, passing
from fastgrad.health.prediction.result import Prediction
from fastgrad.health.prediction.signal import Signal
from fastgrad.health.prediction.steps import (
    Birth,
    expected_gradient,
    known_gradient,
    update_ratios,
)
from fastgrad.health.prediction.walk import Walk, follow_all
from fastgrad.losses import Loss
from fastgrad.model import Sequential, checked_model

_STEEP = 2.0  # powers of the inputs' size that outputs go with
RULES = blocks, recurrent, rules  # imported for what they register with `walk.through`


def predict(
    model: Sequential,
    x: Any = None,
    *,
    y: Any = None,
    optimizer: Any = None,
    loss: Any = None,
    lengths: Any = None,
    steps: int | None = None,
    rows: int | None = None,
) -> Prediction:
    """Predict the gradients of a model from its weights and moments of the data, without any pass.

    Signal propagation, layer by layer: up, the mean of each unit over the rows, its variance, and
    how rows differ in size (without a known mean, the recursions of Poole et al. 2016); down, the
    power of the gradient, also of its part along the signal, and of products of rows (Schoenholz
    et al. 2017); and both ways the fluctuation that a finite width leaves (Hanin & Nica 2018), by
    which medians lie below means. No gradient is looked at.

    Parameters
    ----------
    model : Sequential
        Its weights as they are: on the way up for themselves, on the way down by their mean square
        and the evenness of their singular values, which tells orthogonal from independent ones.
    x : array-like, optional
        A minibatch, as for `Sequential.forward`. Without one, rows of independent features of mean
        0 and variance 1; of indices, all alike.
    y : array-like, optional
        Targets of x, as the loss takes them: rows that they have in common add up.
    optimizer : str or Optimizer, optional
        For the ratios of the first update to the weights.
    loss : str or Loss, optional
        Says how the gradient at the outputs is spread over rows, and its norm for the ratios,
        without y for targets that are independent of the inputs, of variance 1 or in equally
        frequent classes.
        Without one each row's points in a random direction of its own, and the norm is 1.
    lengths : array-like (N,), optional
        Of the sequences in x; they count by their mean.
    steps : int, optional
        Length of sequences where there is no x; 32.
    rows : int, optional
        Size of the minibatch, if x is not one but the data that it is drawn from; 64 where there is
        no x.

    Returns
    -------
    Prediction

    Raises
    ------
    TypeError, ValueError
        If x, the optimizer or the loss do not suit the model; if `steps` or `lengths` are given
        that nothing uses; if parameters are not finite.

    Notes
    -----
    Gradients are those of a minibatch whose loss has a gradient of norm 1 at the outputs, in
    training. What is unknown is said in `Prediction.notes`.

    Examples
    --------
    >>> import fastgrad as fg
    >>> he = fg.Sequential(*[fg.Dense(100, 100, "relu") for _ in range(20)], rng=0)
    >>> fg.health.predict(he).trainable
    True
    """
    checked_model(model)
    chosen = None if optimizer is None else optimizers.get(optimizer)
    of_loss = None if loss is None else losses.get(loss)
    given, signal, notes = _input(model, x, lengths, steps, rows)
    arrays = {**model.params, **model.buffers}
    for name, values in arrays.items():
        if not np.isfinite(values).all():
            raise ValueError(f"{name}: expected finite values, got {_first_odd(values)}")
    walk = Walk(arrays, given, notes=notes)
    up, back = follow_all(model.layers, "", signal, walk)
    birth = _birth(model, of_loss, up, given, y)
    scale = birth.norm
    back(birth.flow(up))
    norms = {name: _exp(walk.norms.get(name, math.nan)) for name in model.params}
    ratios = {}
    if chosen is not None:
        ratios = update_ratios(model, chosen, {name: scale * n for name, n in norms.items()})
    depth, log_gain = walk.depth, walk.log_gain
    depth_scale = -(depth - 1) / log_gain if log_gain and depth > 1 else math.inf
    dead = 1 - math.prod(1 - p for p in walk.flat.values())
    if up.degree > _STEEP:
        walk.notes.append(
            f"outputs go with power {up.degree:.2g} of the size of the inputs: small differences "
            "between draws grow on the way up, by which predictions miss"
        )
    _note_lost(walk, model)
    sizes = [n for name, n in norms.items() if "weight" in name.rpartition(".")[2] and n == n]
    outlook = Outlook(
        walk=walk,
        depth=depth,
        log_gain=log_gain,
        depth_scale=depth_scale,
        dead=dead,
        outputs=up.power,
        between=(min(sizes, default=0.0), max(sizes, default=0.0)),
        obstacle=obstacle(model, given, norms),
        passing=passing(model, log_gain),
    )
    return Prediction(
        gradient_norms=norms,
        spread={name: walk.spread.get(name, math.nan) for name in model.params},
        q=walk.q,
        chi={name: walk.chi[name] for name in walk.q},
        delta={name: _exp(walk.delta[name]) for name in walk.q},
        depth_scale=depth_scale,
        depth=depth,
        dead=dead,
        dead_units=walk.dead_units,
        memory=walk.memory,
        update_ratios=ratios,
        loss_gradient=scale,
        trainable=outlook.trainable,
        sentence=sentence(outlook),
        notes=tuple(dict.fromkeys(walk.notes)),
        kinds=_kinds(model),
    )


def _first_odd(values: Array) -> str:
    where = np.argwhere(~np.isfinite(values))[0].tolist()
    return f"{values[tuple(where)]} at {where}"


def _kinds(model: Sequential) -> dict[str, str]:
    """Kind of the layer of each parameter."""
    layers = {name: type(layer).__name__ for name, layer in named_layers(model.layers).items()}
    return {name: layers.get(name.rpartition(".")[0], "") for name in model.params}


def _birth(model: Sequential, loss: Loss | None, outputs: Signal, x: Array | None, y: Any) -> Birth:
    """The gradient at the outputs; x is what rows are known to be."""
    if y is None:
        return Birth(1.0, 0.0) if loss is None else expected_gradient(loss, outputs)
    if loss is None or x is None:
        raise ValueError("y needs x and a loss: it says what gradients rows have in common")
    target = np.asarray(y)
    if len(target) != len(x):
        raise ValueError(f"y has {len(target)} rows, x has {len(x)}")
    if len(model.output_shape(x.shape)) > 2:
        target = target[:, : x.shape[1]].reshape(-1, *target.shape[2:])
        x = x.reshape(len(target), -1)
    return known_gradient(loss, outputs, target, None if x is None or x.dtype.kind == "i" else x)


def _classes(model: Sequential) -> int:
    """Of the indices that a recurrent layer at the start takes as one-hot vectors; 0 without."""
    first = next(one for one in named_layers(model.layers).values() if not hasattr(one, "layers"))
    return first.indices or 0 if getattr(first, "one_hot", False) else 0


def _input(
    model: Sequential, x: Any, lengths: Any, steps: int | None, rows: int | None
) -> tuple[Array | None, Signal, list[str]]:
    """The minibatch, its moments, and what was assumed of it."""
    if x is None:
        if lengths is not None:
            raise ValueError("lengths are those of sequences in x, which is not given")
        size = 64 if rows is None else checks.count("rows", rows)
        length = 32 if steps is None else checks.count("steps", steps)
        sequences = _reads_sequences(model)
        if steps is not None and not sequences:
            raise ValueError("steps: no layer of this model reads sequences")
        length = length if sequences else 1
        told = f"{size} sequences of {length} steps" if sequences else f"{size} rows"
        kind = "independent features of mean 0 and variance 1"
        if model.indices is not None:
            kind = "indices that are all alike"
        classes = _classes(model)
        if classes:
            kind = "indices that are all as likely"
            signal = looked_up(np.eye(classes), size * length, length)
        else:
            signal = standardized(model.inputs or 1, size * length, length)
        return None, signal, [f"assumed: {told}, {kind}"]
    if steps is not None:
        raise ValueError("steps: x says how many there are")
    found = model.checked("x", x)
    model.output_shape(found.shape)  # says where layers need sequences
    classes = _classes(model)
    if classes:
        signal = one_hot(found, classes)
    elif model.indices is not None:
        length = found.shape[1] if found.ndim > 1 else 1
        signal = standardized(1, found.size, length)
    else:
        signal = signal_of(found)
    notes = []
    if lengths is not None:
        own = model.checked_lengths("lengths", lengths, found.shape)
        found, signal = _cut(model, found, max(1, round(float(own.mean()))))
        notes = [f"sequences of different lengths: taken to have the mean, {signal.steps} steps"]
    if rows is not None:
        signal = replace(signal, rows=checks.count("rows", rows) * signal.rows // len(found))
    return found, signal, notes


def _cut(model: Sequential, x: Array, length: int) -> tuple[Array, Signal]:
    found = x[:, :length]
    if model.indices is not None:
        return found, standardized(1, found.size, length)
    return found, signal_of(found)


def _reads_sequences(model: Sequential) -> bool:
    """Whether some layer takes (N, T, F) and not (N, F)."""
    from fastgrad.embedding import Flatten
    from fastgrad.recurrent import Recurrent

    return any(
        isinstance(each, Flatten | Recurrent) for each in named_layers(model.layers).values()
    )


def _exp(log_norm: float) -> float:
    return math.inf if log_norm > 709 else math.exp(log_norm)


def _note_lost(walk: Walk, model: Sequential) -> None:
    """Say where a norm is no normal number of the model's type."""
    info = np.finfo(model.dtype)
    low, high = math.log(info.tiny), math.log(info.max)
    # what is exactly 0, as for biases in front of a BatchNorm, is held well
    lost = [name for name, norm in walk.norms.items() if -math.inf < norm < low or norm > high]
    if lost:
        walk.notes.append(f"{model.dtype} cannot hold the gradient of {', '.join(lost)}")
