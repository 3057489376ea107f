"""Predicted and measured gradients of layers of all kinds; see ``bench.prediction --layers``."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import fastgrad as fg

WIDTH, ROWS, STEPS, OUTPUTS, WORDS = 64, 64, 30, 10, 50
Layers = list[fg.Layer]


def _dense(activation: str = "identity") -> fg.Dense:
    return fg.Dense(WIDTH, WIDTH, activation)


def _stack(count: int, *make: Callable[[], fg.Layer]) -> Callable[[], Layers]:
    return lambda: [each() for _ in range(count) for each in make]


def _normed(norm: type[fg.Layer], activation: str, count: int = 30) -> Callable[[], Layers]:
    return _stack(count, _dense, lambda: norm(WIDTH), lambda: fg.Activation(activation))


def _residual(*make: Callable[[], fg.Layer], scale: float = 1.0) -> Callable[[], Layers]:
    return _stack(30, lambda: fg.Residual(*[each() for each in make], scale=scale))


def _recurrent(kind: type[fg.Layer], levels: int = 1, **how: object) -> Callable[[], Layers]:
    return lambda: [kind(WIDTH, WIDTH, num_layers=levels, **how)]


KINDS: dict[str, Callable[[], Layers]] = {
    "30 BatchNorm relu": _normed(fg.BatchNorm, "relu"),
    "30 BatchNorm tanh": _normed(fg.BatchNorm, "tanh"),
    "30 LayerNorm tanh": _normed(fg.LayerNorm, "tanh"),
    "30 LayerNorm relu": _normed(fg.LayerNorm, "relu"),
    "30 relu RMSNorm": _stack(30, lambda: _dense("relu"), lambda: fg.RMSNorm(WIDTH)),
    "20 relu Dropout": _stack(20, lambda: _dense("relu"), lambda: fg.Dropout(0.2)),
    "30 Residual relu": _residual(lambda: _dense("relu")),
    "30 Residual tanh": _residual(lambda: _dense("tanh")),
    "30 Residual relu dense": _residual(lambda: _dense("relu"), _dense),
    "the same, scaled": _residual(lambda: _dense("relu"), _dense, scale=30**-0.5),
    "30 Residual LayerNorm": _residual(lambda: fg.LayerNorm(WIDTH), lambda: _dense("relu"), _dense),
    "Standardize tanh": lambda: [fg.Standardize(WIDTH), *_stack(5, lambda: _dense("tanh"))()],
    "Embedding relu": lambda: [
        fg.Embedding(WORDS, 16), fg.Flatten(4, 16), *_stack(5, lambda: _dense("relu"))(),
    ],
    "Embedding LSTM": lambda: [fg.Embedding(WORDS, 16), fg.LSTM(16, WIDTH)],
    "RNN": _recurrent(fg.RNN),
    "RNN, 3 levels": _recurrent(fg.RNN, 3),
    "LSTM": _recurrent(fg.LSTM),
    "LSTM, sequences": _recurrent(fg.LSTM, return_sequences=True),
    "LSTM, 2 levels": _recurrent(fg.LSTM, 2),
    "LSTM, 3 levels": _recurrent(fg.LSTM, 3),
    "LSTM, forget bias 3": _recurrent(fg.LSTM, forget_bias=3.0),
    "GRU": _recurrent(fg.GRU),
    "GRU, 3 levels": _recurrent(fg.GRU, 3),
}  # fmt: skip


@dataclass
class Errors:
    """Of a parameter: log10 of its predicted norm, and of measured over predicted ones."""

    predicted: float
    spread: float
    decades: list[float]

    @property
    def median(self) -> float:
        return float(np.median(self.decades))


def inputs(kind: str, rng: np.random.Generator) -> np.ndarray:
    """A minibatch for that kind."""
    make = KINDS[kind]()
    if isinstance(make[0], fg.Embedding):
        steps = 4 if isinstance(make[1], fg.Flatten) else STEPS
        return rng.integers(WORDS, size=(ROWS, steps))
    if isinstance(make[0], fg.RNN | fg.LSTM | fg.GRU):
        return rng.standard_normal((ROWS, STEPS, WIDTH))
    return rng.standard_normal((ROWS, WIDTH))


def errors(kind: str, nets: int) -> dict[str, Errors]:
    """Of the parameters of that kind that have a gradient."""
    found: dict[str, Errors] = {}
    for seed in range(nets):
        rng = np.random.default_rng([seed, 1])
        model = fg.Sequential(*KINDS[kind](), fg.Dense(WIDTH, OUTPUTS), rng=seed, dtype="float64")
        x = inputs(kind, rng)
        if isinstance(model.layers[0], fg.Standardize):
            x = 3 + 10 * x
            model.fit_input(x)
        told = fg.health.predict(model, x)
        gradient = rng.standard_normal(model.forward(x).shape)
        model.backward(gradient / np.linalg.norm(gradient), input_grad=False)
        for name, norm in told.gradient_norms.items():
            if norm > 0:
                each = found.setdefault(name, Errors(math.log10(norm), told.spread[name], []))
                each.decades.append(math.log10(np.linalg.norm(model.grads[name]) / norm))
    return found


def report(nets: int, target: float) -> None:
    """Print the first weight and the tensor that is furthest off, of all kinds."""
    print(f"{nets} nets each; log10(measured / predicted) in the median, its deviation, expected")
    print(f"{'':24}{'first weight':>30}   {'furthest off':>40}")
    for kind in KINDS:
        found = errors(kind, nets)
        first = found[next(name for name in found if "weight" in name)]
        name = max(found, key=lambda name: abs(found[name].median))
        line = f"{kind:24}{first.predicted:9.2f}{_told(first)}   {name:>16}{_told(found[name])}"
        print(line, " above the target" if abs(first.median) > target else "", flush=True)


def _told(each: Errors) -> str:
    return f"{each.median:+8.3f}{np.std(each.decades):8.3f}{each.spread:8.3f}"
