"""Sick networks and their cures."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

import fastgrad as fg
from fastgrad.studies.common import Data, accuracy, digits, stack
from fastgrad.studies.tasks import first_symbol

normal, scaled = fg.initializers.normal, fg.initializers.variance_scaling


class Outcome(NamedTuple):
    """What became of a training.

    Attributes
    ----------
    first_gradient : float
        Norm of the first layer's weight gradient at the first step; of recurrent layers, that of
        dL/dh at the first time step.
    decades : float
        log10 of the gradient at the first layer over that at the outputs; of recurrent layers, at
        the first time step over that at the last.
    loss, accuracy : float
        In the end; the loss is NaN if a step was not finite.
    failed : int or None
        That step.
    moved : float
        Change of the first weights over their norm.
    peak, largest_gradient : float
        Largest loss of a minibatch, and norm of its gradient before clips.
    swings : float
        Share of the epochs whose mean loss is larger than the one before.
    growth : float
        Largest loss of a minibatch over the first one.
    """

    first_gradient: float
    decades: float
    loss: float
    accuracy: float
    failed: int | None
    moved: float
    peak: float
    largest_gradient: float
    swings: float
    growth: float

    @property
    def ending(self) -> str:
        """The loss in the end, in words where there is none."""
        return f"{self.loss:.3g}" if self.failed is None else f"NaN at step {self.failed}"


@dataclass(frozen=True)
class Setup:
    """A network and its training.

    Attributes
    ----------
    build : callable
        Makes the model.
    data : callable
        Makes the rows.
    optimizer, clip, regularizers
        As for `fastgrad.Trainer`.
    epochs : int
    held_out : bool
        Whether the loss is that of rows held out.
    """

    build: Callable[[], fg.Sequential]
    data: Callable[[], Data] = digits
    optimizer: Callable[[], Any] = lambda: fg.SGD(0.05)
    clip: Any = None
    regularizers: Any = None
    epochs: int = 20
    held_out: bool = False

    def run(self, quick: bool = False) -> Outcome:
        """Train it; `quick` for two epochs."""
        model, data = self.build(), self.data()
        options = {"clip": self.clip, "regularizers": self.regularizers, "health": True}
        trainer = fg.Trainer(model, "cross_entropy", self.optimizer(), rng=0, **options)
        assert trainer.health is not None
        total = trainer.health.budget(data.X[:64], data.y[:64]).total
        first = next(name for name in model.params if "weight" in name)
        before = model.params[first].copy()
        means: list[float] = []
        failed = None
        for _ in range(2 if quick else self.epochs):
            try:
                means.append(trainer.epoch(data.X, data.y))
            except fg.GradientError as error:
                failed = error.step
                break
        found = trainer.health.measurements
        along = [*found.through_time.values()]
        start = found.gradient_norms[0, 0] if len(found) else math.nan
        if along:
            start, total = along[0][0, 0, 0], math.log10(along[0][0, 0, 0] / along[0][0, -1, 0])
        loss = math.nan
        if failed is None:
            held_out = self.held_out
            loss = trainer.evaluate(data.X_test, data.y_test) if held_out else means[-1]
        peak = max([*found.losses, 0.0])
        largest = max([*found.total_gradient_norm, 0.0])
        after = model.params[first].astype(np.float64)
        moved = float(np.linalg.norm(after - before) / np.linalg.norm(before))
        swings = float(np.mean(np.diff(means) > 0)) if len(means) > 1 else 0.0
        return Outcome(
            float(start),
            total,
            loss,
            accuracy(model, data.X_test, data.y_test),
            failed,
            moved,
            peak,
            largest,
            swings,
            peak / found.losses[0] if len(found) else math.nan,
        )


@dataclass(frozen=True)
class Patient:
    """A setup that fails, and the same with one change."""

    cure: str
    complaint: str
    sick: Setup
    cured: Setup


def _deep(activation: str, init: Any, depth: int = 10, width: int = 64) -> Setup:
    return Setup(lambda: stack(depth, width, activation, init))


def _between(layer: Callable[[], fg.Layer], activation: str, init: Any, depth: int) -> Setup:
    """A layer such as `BatchNorm` before each activation."""

    def build() -> fg.Sequential:
        layers: list[fg.Layer] = []
        for inputs in [64] * depth:
            layers += [fg.Dense(inputs, 64, weight_init=init), layer(), fg.Activation(activation)]
        return fg.Sequential(*layers, fg.Dense(64, 10, weight_init="lecun_normal"), rng=0)

    return Setup(build)


def _residual(activation: str, init: Any, blocks: int, scale: float) -> Setup:
    def build() -> fg.Sequential:
        pairs = [
            fg.Residual(
                fg.Dense(64, 64, activation, weight_init=init),
                fg.Dense(64, 64, weight_init=init),
                scale=scale,
            )
            for _ in range(blocks)
        ]
        return fg.Sequential(*pairs, fg.Dense(64, 10, weight_init="lecun_normal"), rng=0)

    return Setup(build)


def _symbols() -> Data:
    rng = np.random.default_rng(0)
    return Data(*first_symbol(rng, 6400, 40), *first_symbol(rng, 500, 40))


def _recurrent(cell: Callable[[], fg.Layer], clip: Any = None) -> Setup:
    def build() -> fg.Sequential:
        return fg.Sequential(cell(), fg.Dense(32, 4), rng=0)

    return Setup(build, _symbols, lambda: fg.Adam(5e-3), clip=clip, epochs=5)


def _raw(factor: float) -> Callable[[], Data]:
    """Pixels as they are, times a factor."""

    def data() -> Data:
        found = digits()
        shift, size = np.float32(0.8 * factor), np.float32(factor)
        return found._replace(X=found.X * size + shift, X_test=found.X_test * size + shift)

    return data


def _few() -> Data:
    """100 rows, a fifth of them with wrong labels."""
    found = digits()
    y = found.y[:100].copy()
    y[:20] = (y[:20] + 1 + np.arange(20) % 9) % 10
    return found._replace(X=found.X[:100], y=y)


def _overfitted(dropout: float = 0.0) -> Setup:
    def build() -> fg.Sequential:
        layers: list[fg.Layer] = []
        for _ in range(3):
            layers.append(fg.Dense(64 if not layers else 128, 128, "relu"))
            layers += [fg.Dropout(dropout)] if dropout else []
        return fg.Sequential(*layers, fg.Dense(128, 10), rng=0)

    return Setup(build, _few, lambda: fg.Adam(1e-3), epochs=300, held_out=True)


SIGMOID = _deep("sigmoid", "xavier_normal")
SIX = replace(_deep("sigmoid", "xavier_normal", 6), optimizer=lambda: fg.SGD(0.1), epochs=60)
XAVIER = replace(_deep("relu", "xavier_normal", 30), optimizer=lambda: fg.SGD(0.002, momentum=0.9))
SMALL_TANH = _deep("tanh", normal(0.04))
LARGE_RELU = replace(_deep("relu", scaled(4.0, "fan_in", "normal"), 20), epochs=40)
FAST = replace(_deep("tanh", "xavier_normal", 3), optimizer=lambda: fg.SGD(8.0))
LARGE_TANH = _deep("tanh", scaled(25.0, "fan_in", "normal"), 20)
NORMALIZED = _between(lambda: fg.BatchNorm(64), "relu", scaled(4.0, "fan_in", "normal"), 20)
LARGE_INPUTS = replace(_deep("relu", "he_normal", 3), data=_raw(255.0))
PLAIN_RNN = _recurrent(lambda: fg.RNN(5, 32, recurrent_init=normal(0.1)))
WILD_RNN = _recurrent(lambda: fg.RNN(5, 32, recurrent_init=normal(3 / 32**0.5)))
LSTM = _recurrent(lambda: fg.LSTM(5, 32, bias_init=fg.initializers.chrono(longest=40)))
GRU = _recurrent(lambda: fg.GRU(5, 32, bias_init=fg.initializers.chrono(40, cell="gru")))

VANISHING = (
    Patient("ReLU", "sigmoid", SIGMOID, _deep("relu", "he_normal")),
    Patient("Leaky ReLU", "sigmoid", SIGMOID, _deep("leaky_relu", "he_normal")),
    Patient("Xavier", "small weights, tanh", SMALL_TANH, _deep("tanh", "xavier_normal")),
    Patient(
        "He",
        "Xavier, 30 relu",
        XAVIER,
        replace(XAVIER, build=lambda: stack(30, 64, "relu", "he_normal")),
    ),
    Patient(
        "BatchNorm", "sigmoid", SIGMOID, _between(lambda: fg.BatchNorm(64), "sigmoid", None, 10)
    ),
    Patient("residual", "small weights, tanh", SMALL_TANH, _residual("tanh", normal(0.04), 5, 1.0)),
    Patient("gradient floor", "6 sigmoid", SIX, replace(SIX, clip=fg.GradFloor(0.3))),
    Patient(
        "normalized inputs",
        "0 to 255, tanh",
        replace(_deep("tanh", "xavier_normal", 3), data=_raw(255.0)),
        _deep("tanh", "xavier_normal", 3),
    ),
    Patient("LSTM", "RNN", PLAIN_RNN, LSTM),
    Patient("GRU", "RNN", PLAIN_RNN, GRU),
)

EXPLODING = (
    Patient(
        "clip by norm", "large weights", LARGE_RELU, replace(LARGE_RELU, clip=fg.ClipNorm(1.0))
    ),
    Patient(
        "clip by value", "large weights", LARGE_RELU, replace(LARGE_RELU, clip=fg.ClipValue(0.01))
    ),
    Patient("smaller rate", "rate of 8, tanh", FAST, replace(FAST, optimizer=lambda: fg.SGD(0.3))),
    Patient(
        "He",
        "large weights",
        LARGE_RELU,
        replace(LARGE_RELU, build=_deep("relu", "he_normal", 20).build),
    ),
    Patient("Xavier", "large weights, tanh", LARGE_TANH, _deep("tanh", "xavier_normal", 20)),
    Patient(
        "BatchNorm",
        "large weights",
        LARGE_RELU,
        replace(LARGE_RELU, build=NORMALIZED.build),
    ),
    Patient(
        "residual, small scale",
        "scale 1",
        _residual("relu", "he_normal", 30, 1.0),
        _residual("relu", "he_normal", 30, 30**-0.5),
    ),
    Patient(
        "normalized inputs", "0 to 255, relu", LARGE_INPUTS, replace(LARGE_INPUTS, data=digits)
    ),
    Patient("LSTM", "RNN, gain of 3", WILD_RNN, LSTM),
    Patient("GRU", "RNN, gain of 3", WILD_RNN, GRU),
    Patient("L2", "100 rows", _overfitted(), replace(_overfitted(), regularizers=fg.L2(3e-3))),
    Patient("dropout", "100 rows", _overfitted(), _overfitted(0.5)),
)
