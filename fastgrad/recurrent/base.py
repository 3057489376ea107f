"""What recurrent layers share: parameters of levels and directions, inputs, states, outputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np

from fastgrad import checks, initializers
from fastgrad.arena import Array
from fastgrad.containers import Specs
from fastgrad.initializers.recurrent import for_cell
from fastgrad.layers import Backward, Layer
from fastgrad.program import Tape
from fastgrad.recurrent.options import DEFAULTS, Options
from fastgrad.recurrent.steps import Steps
from fastgrad.recurrent.way import INITIAL, Way
from fastgrad.regularization import Dropout

Inputs = tuple[Array | None, Array | None, Array | None]


class Recurrent(Layer):
    """Base of `RNN`, `LSTM` and `GRU`; see there for what their parameters mean."""

    kernel: str  # what the names of its kernels start with
    states: tuple[str, ...] = ("h",)
    blocks = 1  # of rows of a weight, one for each gate
    kept = 1  # blocks of columns that training keeps
    spare = 0  # arrays (N, units) that its backward kernel needs besides
    turned = False  # whether those are in another order, with one more
    apart = False  # whether that one has a bias of its own
    way: type[Way] = Way

    def __init__(self, inputs: int, units: int, **options: Unpack[Options]) -> None:
        given = {**DEFAULTS, **options}
        unknown = given.keys() - DEFAULTS.keys()
        if unknown:
            known = ", ".join(DEFAULTS)
            raise TypeError(f"{type(self).__name__}: no option {min(unknown)!r}; there are {known}")
        features = checks.count("inputs", inputs)
        self.one_hot = checks.flag("one_hot", given["one_hot"])
        self.features = features
        self.inputs = None if self.one_hot else features
        self.indices = features if self.one_hot else None
        self.first_only = self.one_hot
        self.units = checks.count("units", units)
        self.num_layers = checks.count("num_layers", given["num_layers"])
        self.bidirectional = checks.flag("bidirectional", given["bidirectional"])
        self.reverse = checks.flag("reverse", given["reverse"])
        self.dropout = checks.number("dropout", given["dropout"], 0, 1, open_high=True)
        self.return_sequences = checks.flag("return_sequences", given["return_sequences"])
        self.stateful = checks.flag("stateful", given["stateful"])
        self.learn_initial = checks.flag("learn_initial", given["learn_initial"])
        self.bias = checks.flag("bias", given["bias"])
        if self.bidirectional and self.reverse:
            raise ValueError("reverse is one of the directions of a bidirectional layer")
        if self.dropout and self.num_layers == 1:
            raise ValueError("dropout acts between layers: it needs num_layers of at least 2")
        if self.stateful and self.learn_initial:
            raise ValueError("a stateful layer starts from its last state: it cannot learn one")
        if self.stateful and (self.bidirectional or self.reverse):
            raise ValueError("a stateful layer goes on where it stopped: it cannot run in reverse")
        if not self.bias and options.get("bias_init") is not None:
            raise ValueError(f"bias_init is {given['bias_init']!r}, but bias=False leaves no bias")
        self.weight_init, recurrent, bias = (
            initializers.get(given[name], f"{name} of {type(self).__name__}")
            for name in ("weight_init", "recurrent_init", "bias_init")
        )
        if isinstance(recurrent, initializers.Initializer):  # no array, and no function of others
            recurrent = initializers.per_gate(recurrent)
        self.recurrent_init = recurrent
        try:
            self.bias_init = for_cell(bias, self.kernel)
        except ValueError as why:
            raise ValueError(f"bias_init: {why}") from None

    @property
    def directions(self) -> tuple[bool, ...]:
        """Whether each of them is the reverse one."""
        return (False, True) if self.bidirectional else (self.reverse,)

    def suffix(self, level: int, reverse: bool) -> str:
        """What names of parameters and states end with, as in PyTorch."""
        return f"_l{level}" + "_reverse" * (reverse and self.bidirectional)

    def parameters(self) -> Specs:
        """For each level and direction what `cell_parameters` says, by PyTorch's names."""
        found: Specs = {}
        for level in range(self.num_layers):
            inputs = self.features if level == 0 else self.units * len(self.directions)
            for reverse in self.directions:
                end = self.suffix(level, reverse)
                specs = self.cell_parameters(inputs)
                if self.learn_initial:
                    zeros = (self.units,), initializers.get("zeros")
                    specs |= {f"{INITIAL}{state}": zeros for state in self.states}
                found |= {name + end: spec for name, spec in specs.items()}
        return found

    def cell_parameters(self, inputs: int) -> Specs:
        """Weights and biases of one level and direction."""
        rows = self.blocks * self.units
        found: Specs = {
            "weight_ih": ((rows, inputs), self.weight_init),
            "weight_hh": ((rows, self.units), self.recurrent_init),
        }
        if self.bias:
            # of the two, which PyTorch has, it is their sum that counts
            found["bias_ih"] = ((rows,), self.bias_init)
            found["bias_hh"] = ((rows,), initializers.get("zeros"))
        return found

    def output_features(self, inputs: int | None) -> int:
        """`units`, of each direction."""
        return self.units * len(self.directions)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """(N, T, features) with return_sequences, else (N, features)."""
        if len(shape) != 2 + (not self.one_hot):
            wanted = "(N, T)" if self.one_hot else f"(N, T, {self.features})"
            raise ValueError(f"{type(self).__name__} needs sequences {wanted}, got shape {shape}")
        features = self.output_features(None)
        return (*shape[:2], features) if self.return_sequences else (shape[0], features)

    def flops(self, shape: tuple[int, ...], input_grad: bool) -> tuple[int, int]:
        """Products of matrices; and some operations for each gate."""
        forward = backward = 0
        steps = shape[0] * shape[1]
        for level in range(self.num_layers):
            inputs = self.features if level == 0 else self.output_features(None)
            by_index = self.one_hot and level == 0
            gates = self.blocks * self.units
            hidden = 2 * gates * self.units
            given = gates if by_index else 2 * gates * inputs
            forward += given + hidden + 8 * gates
            backward += given + 2 * hidden + 16 * gates
            if (input_grad or level) and not by_index:
                backward += given
        return steps * forward * len(self.directions), steps * backward * len(self.directions)

    def activation_bytes(self, shape: tuple[int, ...], itemsize: int) -> int:
        """Of each level and direction inputs in steps, gates and states; outputs of each level."""
        rows, ways = shape[0] * shape[1], len(self.directions)
        wide = self.units * ways
        found = 0
        for level in range(self.num_layers):
            inputs = itemsize * (wide if level else self.features)
            if self.one_hot and not level:
                inputs = np.dtype(np.int64).itemsize
            states = len(self.states) * self.units * itemsize
            own = rows * (inputs + self.kept * self.units * itemsize + states)
            found += ways * (own + shape[0] * states)
            if level < self.num_layers - 1:  # what the next one reads, and before its dropout
                found += rows * wide * itemsize * (1 + bool(self.dropout))
        return found + math.prod(self.output_shape(shape)) * itemsize

    def record(
        self,
        tape: Tape,
        x: Array,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        train: bool,
    ) -> tuple[Array, Backward]:
        """Record all levels, with dropout between them."""
        self.output_shape(x.shape)
        steps = Steps(tape, *x.shape[:2])
        y = x
        backwards: list[Backward] = []
        for level in range(self.num_layers):
            if level and self.dropout and train:
                y, backward = Dropout(self.dropout).record(tape, y, {}, {}, train)
                backwards.append(backward)
            y, backward = self._level(tape, steps, y, level, params, grads, train)
            backwards.append(backward)

        def record_backward(dy: Array, input_grad: bool) -> Array | None:
            gradient: Array | None = dy
            for i in reversed(range(len(backwards))):
                assert gradient is not None
                gradient = backwards[i](gradient, input_grad or i > 0)
            return gradient

        return y, record_backward

    def _level(
        self,
        tape: Tape,
        steps: Steps,
        x: Array,
        level: int,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        train: bool,
    ) -> tuple[Array, Backward]:
        """All directions over x, (N, T, inputs) or indices (N, T)."""
        units, wide = self.units, self.units * len(self.directions)
        sequences = self.return_sequences or level < self.num_layers - 1
        # one direction whose steps are sequences hands them out as they are
        as_is = sequences and wide == units and steps.straight(self.directions[0])
        y = None
        if not as_is:
            y = tape.empty((*x.shape[:2], wide) if sequences else (steps.sequences, wide))
        ways = []
        for i, reverse in enumerate(self.directions):
            end = self.suffix(level, reverse)
            way = self.way(self, tape, steps, x, reverse, end, params, grads)
            if y is None:
                y = way.h[steps.sequences :].reshape(*x.shape[:2], units)
            elif sequences:
                steps.put(way.h[steps.sequences :], y, i * units, reverse)
            else:
                tape.call("last_steps", way.h, i * units, steps.order, steps.offsets, y)
            if not train:
                way.release(outputs=not as_is)
            ways.append(way)
        assert y is not None

        def backward(dy: Array, input_grad: bool) -> Array | None:
            dx = None
            if input_grad:
                dx = tape.empty(x.shape)
            for i, way in enumerate(ways):
                d_steps = steps.take(dy, i * units, units, way.reverse) if sequences else None
                dh_last = None if sequences else way.rows(dy, i * units)
                way.record_backward(d_steps, dh_last, dx, add=i > 0)
                if d_steps is not None and d_steps.ctypes.data != dy.ctypes.data:
                    tape.release(d_steps)
            tape.release(dy)
            return dx

        return y, backward

    def of_cell(self, arrays: Mapping[str, Array]) -> tuple[Any, ...]:
        """What the kernels of the steps take of one direction's parameters, and their options."""
        raise NotImplementedError

    def d_cell(self, grads: Mapping[str, Array]) -> tuple[Array | None, ...]:
        """Which gradients they write."""
        return (grads["weight_hh"],)

    def config(self) -> dict[str, Any]:
        """The arguments that make this layer again; initial values are not part of it."""
        found: dict[str, Any] = {"inputs": self.features, "units": self.units}
        for name, usual in DEFAULTS.items():
            if not name.endswith("_init") and getattr(self, name) != usual:
                found[name] = getattr(self, name)
        return found
