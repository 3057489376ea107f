"""`Net`: a healthy run that faults are made from, and the faults, each a function of a net."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import fastgrad as fg
from bench.health_suite.case import Case, Layers, mlp, recurrent, update_bias, wide
from bench.health_suite.healthy import INIT, LETTERS, text_mlp

SIZES = {
    "digits": (64, 10), "digits_even": (64, 1), "digits_one_hot": (64, 10),
    "vowels_means": (24, 9), "sunspots": (24, 1), "digits_in_rows": (8, 10), "vowels": (12, 9),
    "vowels_remembered": (12, 9), "sunspots_in_steps": (1, 1),
}  # fmt: skip
EPOCHS = {
    "digits": 8, "digits_even": 8, "digits_one_hot": 8, "vowels_means": 16, "sunspots": 5,
    "shakespeare_next": 3, "digits_in_rows": 10, "vowels": 16, "vowels_remembered": 20,
    "sunspots_in_steps": 5, "shakespeare": 3,
}  # fmt: skip
SHORT = ("vowels_means", "vowels", "vowels_remembered", "shakespeare")  # few rows: small batches
CELLS = {"rnn": fg.RNN, "lstm": fg.LSTM, "gru": fg.GRU}

# tasks, by short names, since the tables of nets are read by their columns
D, E, O = "digits", "digits_even", "digits_one_hot"  # noqa: E741
V, S, T = "vowels_means", "sunspots", "shakespeare_next"
ROWS, VOWELS, LATER = "digits_in_rows", "vowels", "vowels_remembered"
STEPS, TEXT = "sunspots_in_steps", "shakespeare"


@dataclass(frozen=True)
class Net:
    """Dense layers, or one recurrent layer and a dense one; `depth` is a number or a cell's name.

    `options` are further ones of `Case`, `build` those of what makes the layers.
    """

    task: str
    width: int
    depth: int | str
    activation: str
    optimizer: Any
    least: float
    more: str = ""  # of the name
    options: dict[str, Any] = field(default_factory=dict)
    build: dict[str, Any] = field(default_factory=dict)

    @property
    def case(self) -> Case:
        """The healthy run."""
        rule = f"{type(self.optimizer).__name__.lower()}{self.optimizer.lr:g}"
        kind = self.depth if isinstance(self.depth, str) else f"{self.depth}x"
        parts = self.task, self.activation, f"{kind}{self.width}", f"{rule}{self.more}"
        name = "-".join(part for part in parts if part)
        given = {
            "epochs": EPOCHS[self.task],
            "batch_size": 32 if self.task in SHORT else 64,
            **self.options,
        }
        return Case(name, self.task, self.layers(), self.optimizer, self.least, **given)

    def layers(self, **changes: Any) -> Layers:
        """What makes the layers, with some things changed."""
        build = {**self.build, **changes}
        depth, activation = build.pop("depth", self.depth), build.pop("act", self.activation)
        if isinstance(depth, str):
            if depth == "rnn":
                build["activation"] = activation
            if self.task == "shakespeare":
                return _letters(CELLS[depth], self.width, **build)
            inputs, outputs = SIZES[self.task]
            return recurrent(CELLS[depth], inputs, self.width, outputs, **build)
        if self.task == "shakespeare_next":
            return text_mlp(self.width, depth, activation, **build)  # type: ignore[return-value]
        inputs, outputs = SIZES[self.task]
        return mlp(wide(inputs, self.width, depth, outputs), activation, **build)


def _letters(kind: Any, units: int, *, last: Any = None, **options: Any) -> Layers:
    return lambda: [
        kind(LETTERS, units, one_hot=True, return_sequences=True, **options),
        fg.Dense(units, LETTERS, weight_init=last),
    ]


Fault = Callable[[Net], Case]
RATE = "smaller_learning_rate clipping"


def _fault(name: str, families: str, cures: str, **changes: Any) -> Fault:
    """A run with other settings."""
    return lambda net: net.case.but(name, families, cures, **changes)


def _built(name: str, families: str, cures: str, but: Any = None, **changes: Any) -> Fault:
    """A run with other layers, and other settings where `but` is given."""
    return lambda net: net.case.but(
        name, families, cures, layers=net.layers(**changes), **(but or {})
    )


# along layers


def torch(depth: int, **but: Any) -> Fault:
    """First weights of PyTorch's layers, which are made for none of the activations."""
    return _built(f"torch-{depth}", "vanishing", "initializer", but, depth=depth,
                  weight="torch_default")  # fmt: skip


def small(std: float, depth: int) -> Fault:
    """First weights too small."""
    return _built(f"small-{depth}", "vanishing init", "initializer", depth=depth,
                  weight=INIT.normal(std))  # fmt: skip


def sigmoid(depth: int, **but: Any) -> Fault:
    """Sigmoids in a row."""
    return _built(f"sigmoid-{depth}", "vanishing", "activation", but, depth=depth, act="sigmoid")


def large(std: float, depth: int) -> Fault:
    """First weights too large, for an activation that does not saturate."""
    return _built(f"large-{depth}", "exploding init nonfinite", "initializer", depth=depth,
                  weight=INIT.normal(std))  # fmt: skip


def saturated(std: float) -> Fault:
    """First weights too large, for one that does."""
    return _built("saturated", "saturated", "initializer normalization", weight=INIT.normal(std),
                  last="xavier_uniform")  # fmt: skip


def born_dead(bias: float) -> Fault:
    """Biases below all that the inputs can make up for."""
    return _built("born-dead", "dead", "initializer bias", bias=INIT.constant(bias))


def constant(value: float) -> Fault:
    """All weights the same."""
    weight = INIT.constant(value) if value else "zeros"
    return _built("constant" if value else "zeros", "init", "initializer", weight=weight)


def last_large(std: float) -> Fault:
    """First outputs large and wrong."""
    return _built("last-large", "init", "initializer", last=INIT.normal(std))


# along time


def forgets(bias: float) -> Fault:
    """The gate of an LSTM, or of a GRU, that lets go of the state."""

    def make(net: Net) -> Case:
        lstm = net.depth == "lstm"
        gate = {"forget_bias": bias} if lstm else {"bias_init": update_bias(bias, net.width)}
        build = {name: v for name, v in net.build.items() if name != "bias_init"}
        layers = Net(net.task, net.width, net.depth, net.activation, None, 0, build=build)
        return net.case.but(f"forgets{bias:g}", "vanishing", "forget_bias", layers=layers.layers(
            **gate))  # fmt: skip

    return make


def plain(std: float, activation: str = "tanh") -> Fault:
    """A plain recurrent layer in its place, of recurrent weights that are small."""

    def make(net: Net) -> Case:
        layers = Net(net.task, net.width, "rnn", activation, None, 0)
        return net.case.but(
            f"plain-{activation}", "vanishing", "lstm initializer activation",
            layers=layers.layers(recurrent_init=INIT.normal(std)))  # fmt: skip

    return make


def growing(std: float, activation: str) -> Fault:
    """Recurrent weights that are too large, without an activation to hold them."""
    return _built(f"growing-{activation}", "exploding nonfinite init", "initializer clipping",
                  {"clip": None}, act=activation, recurrent_init=INIT.normal(std))  # fmt: skip


# settings


def scaled(factor: float, offset: float = 0.0, name: str = "scaled") -> Fault:
    """Inputs in other units."""
    return _fault(name, "inputs", "normalize_inputs",
                  x=lambda x: x * np.float32(factor) + np.float32(offset))  # fmt: skip


def one_feature(factor: float) -> Fault:
    """One of the features in other units."""
    return _fault("one-feature", "inputs", "normalize_inputs", x=lambda x: x * np.where(
        np.arange(x.shape[-1]) == x.shape[-1] // 2 + 4, factor, 1).astype(np.float32))  # fmt: skip


def targets(factor: float, offset: float = 0.0) -> Fault:
    """Targets in other units."""
    return _fault("targets", "inputs", "normalize_targets",
                  y=lambda y: y * np.float32(factor) + np.float32(offset))  # fmt: skip


def fast(optimizer: Any, families: str = "") -> Fault:
    """Steps too large; what they may break besides is in `families`."""
    return _fault("fast", f"update_ratio nonfinite {families}", RATE, optimizer=optimizer)


def overflows(optimizer: Any) -> Fault:
    """Steps so large that numbers overflow."""
    return _fault("overflow", "nonfinite update_ratio exploding", RATE, optimizer=optimizer)


def slow(optimizer: Any) -> Fault:
    """Steps too small."""
    return _fault("slow", "update_ratio", "larger_learning_rate optimizer", optimizer=optimizer)


def penalty(regularizer: Any) -> Fault:
    """A penalty that is worth more than the data."""
    kind = type(regularizer).__name__.lower()
    return _fault(kind, "regularization", "less_regularization", regularizers=regularizer)


def decay(optimizer: Any) -> Fault:
    """Weight decay that is faster than learning."""
    return _fault("decay", "regularization", "less_regularization", optimizer=optimizer)


def dropout(fraction: float) -> Fault:
    """Next to nothing left of each layer's outputs."""
    return _built("dropout", "regularization", "less_dropout less_regularization",
                  dropout=fraction)  # fmt: skip


def clipped(clip: Any) -> Fault:
    """A limit below all gradients, for steps whose length it sets."""
    return _fault("clip", "clipping", "no_clipping larger_learning_rate", clip=clip)
