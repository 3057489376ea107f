"""Measurements of single steps, taken slowly and from outside."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastgrad as fg
from fastgrad import backends
from fastgrad.errors import GradientError
from fastgrad.health.measurements import Measurements
from fastgrad.losses import for_targets
from fastgrad.program import Tape, Workspace

Array = NDArray[Any]


class Pieces:
    """The layers of a trainer's model, each as a model of its own, to look between them."""

    def __init__(self, trainer: fg.Trainer) -> None:
        self.trainer = trainer
        model = trainer.model
        self.pieces = [
            fg.Sequential(copy.deepcopy(layer), rng=0, dtype=model.dtype) for layer in model.layers
        ]
        self.layers = tuple(str(i) for i in range(len(self.pieces)))
        self.tiny = float(np.finfo(model.dtype).tiny)

    def measure(self, x: Array, y: Array, lengths: Array | None) -> tuple[Measurements, bool]:
        """Make a step; its measurements, and whether it met what is not finite."""
        trainer, model = self.trainer, self.trainer.model
        outputs, deltas = self._between(x, y, lengths)
        before = {name: view.astype(np.float64) for name, view in model.params.items()}
        steps, failed = trainer.steps, False
        try:
            loss = trainer.step(x, y, lengths=lengths)
        except GradientError:
            loss, failed = math.nan, True
        names = tuple(before)
        grads = [self._gradient(name, before[name]) for name in names]
        after = [model.params[name].astype(np.float64) for name in names]
        units = [
            _units(getattr(layer, "activation", None), output)
            for layer, output in zip(model.layers, outputs, strict=True)
        ]
        with np.errstate(all="ignore"):
            found = Measurements(
                steps=np.array([steps]),
                losses=np.array([loss]),
                rates=np.array([trainer.optimizer.lr]),
                tensors=names,
                sizes=np.array([grad.size for grad in grads]),
                gradient_norms=_row(np.linalg.norm(g) for g in grads),
                gradient_max=_row(np.abs(g).max() for g in grads),
                gradient_zeros=_row((g == 0).sum() for g in grads),
                gradient_denormals=_row(((g != 0) & (np.abs(g) < self.tiny)).sum() for g in grads),
                gradient_nonfinite=_row((~np.isfinite(g)).sum() for g in grads),
                weight_norms=_row(np.linalg.norm(before[name]) for name in names),
                update_norms=_row(
                    np.linalg.norm(a - before[n]) for n, a in zip(names, after, strict=True)
                ),
                layers=self.layers,
                output_means=_row(output.mean() for output in outputs),
                output_stds=_row(output.std() for output in outputs),
                saturated=_row(one for one, _ in units),
                dead=_row(one for _, one in units),
                delta_norms=_row(np.linalg.norm(delta) for delta in deltas),
                through_time={
                    name: np.stack(
                        [known.h, np.zeros_like(known.h) if known.c is None else known.c,
                         known.gain], 1)[None]
                    for name, known in model.time_gradients.items()
                },
            )  # fmt: skip
        return found, failed

    def _gradient(self, name: str, weight: Array) -> Array:
        """That before clips, which change the model's own."""
        if not self.trainer.clips:
            return self.trainer.model.grads[name].astype(np.float64)
        layer, _, own = name.partition(".")
        found = self.pieces[int(layer)].grads[f"0.{own}"].astype(np.float64)
        for penalty in self.trainer.regularizers:
            strength = penalty.strengths(self.trainer.model.params).get(name, 0.0)
            found += strength * (2 * weight if isinstance(penalty, fg.L2) else np.sign(weight))
        return found

    def _between(
        self, x: Array, y: Array, lengths: Array | None
    ) -> tuple[list[Array], list[Array]]:
        """Outputs of all layers, and the gradients of the loss with respect to them."""
        model = self.trainer.model
        outputs: list[Array] = []
        value = x
        with np.errstate(all="ignore"):
            try:
                for i, piece in enumerate(self.pieces):
                    for name, view in piece.params.items():
                        view[...] = model.params[f"{i}.{name[2:]}"]
                    for name, view in piece.buffers.items():
                        view[...] = model.buffers[f"{i}.{name[2:]}"]
                    in_time = lengths is not None and piece.are_sequences(value.shape)
                    value = piece.forward(value, lengths=lengths if in_time else None)
                    outputs.append(value)
                delta = _loss_gradient(self.trainer, value, y, lengths)
                deltas = [delta]
                for piece in reversed(self.pieces[1:]):
                    delta = piece.backward(delta)
                    deltas.append(delta)
                self.pieces[0].backward(delta, input_grad=False)
            except (ValueError, ArithmeticError):  # what is not finite gets no further
                outputs += [np.full(1, np.nan)] * (len(self.pieces) - len(outputs))
                return outputs, [np.full(1, np.nan)] * len(self.pieces)
        deltas.reverse()
        return [o.astype(np.float64) for o in outputs], [d.astype(np.float64) for d in deltas]


def _loss_gradient(trainer: fg.Trainer, z: Array, y: Array, lengths: Array | None) -> Array:
    steps = lengths if z.ndim > 2 else None
    tape = Tape(backends.active(), Workspace(), trainer.model.dtype, lengths=steps)
    loss = for_targets(trainer.loss, y, z.shape)
    target = loss.targets(y, z.shape, trainer.model.dtype)
    value = np.zeros(1)
    dz = loss.record(tape, z, target, None, value)
    tape.backend.program([tape.take()], np.zeros(1, np.int64), tape.keep).run([1], 1)
    return dz.copy()


def _units(activation: Any, y: Array) -> tuple[float, float]:
    """Fractions of outputs, and of units, whose slope is below a hundredth of the largest."""
    with np.errstate(all="ignore"):
        if activation == "relu":
            low = y <= 0
        elif activation == "tanh":
            low = 1 - y * y < 0.01
        elif activation == "sigmoid":
            low = y * (1 - y) < 0.0025
        elif activation == "softsign":
            low = (1 - np.abs(y)) ** 2 < 0.01
        elif activation in ("elu", "selu"):
            low = y < (-1.7405 if activation == "selu" else -0.99)
        else:
            return math.nan, math.nan
    return float(low.mean()), float(low.reshape(-1, low.shape[-1]).all(0).mean())


def _row(values: Any) -> Array:
    return np.array([[float(value) for value in values]])
