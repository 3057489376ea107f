"""The recurrent layers: which kernels make their steps, and what those need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np

from fastgrad import checks, initializers
from fastgrad.arena import Array
from fastgrad.containers import Specs
from fastgrad.custom import UserActivation
from fastgrad.layer_norm import norm_flops
from fastgrad.layers import checked_activation, own_alpha
from fastgrad.recurrent.base import Recurrent
from fastgrad.recurrent.norm_way import NormWay
from fastgrad.recurrent.options import Options, lists_options


@lists_options
class RNN(Recurrent):
    """The plain recurrent layer, ``h_t = f(w_ih x_t + b_ih + w_hh h_{t-1} + b_hh)`` (Elman 1990).

    At each step its gradient passes through ``w_hh`` and f', so that over long times it vanishes or
    explodes (Bengio, Simard & Frasconi 1994), which is what `LSTM` and `GRU` were made against.

    Parameters
    ----------
    inputs, units : int
        Features in and out.
    activation : str or UserActivation
        f, as for `Dense`.
    alpha : float, optional
        As for `Dense`.
    **options
        See `Options`.
    """

    kernel = "rnn"

    def __init__(
        self,
        inputs: int,
        units: int,
        activation: str | UserActivation = "tanh",
        *,
        alpha: float | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(inputs, units, **options)
        self.activation, self.alpha = checked_activation(activation, alpha)

    def of_cell(self, arrays: Mapping[str, Array]) -> tuple[Any, ...]:
        """Weight and activation."""
        return arrays["weight_hh"], self.activation, self.alpha

    def config(self) -> dict[str, Any]:
        """The arguments that make this layer again; initial values are not part of it."""
        found = super().config() | {"activation": self.activation}
        if own_alpha(self.activation, self.alpha) is not None:
            found["alpha"] = self.alpha
        return found


@lists_options
class LSTM(Recurrent):
    """Long short-term memory (Hochreiter & Schmidhuber 1997), with forget gate (Gers et al. 2000).

    ``i, f, g, o = w_ih x_t + b_ih + w_hh h_{t-1} + b_hh`` in blocks of `units` rows; then
    ``c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(g)`` and ``h_t = sigmoid(o) tanh(c_t)``. Along c
    the gradient is multiplied by sigmoid(f) alone.

    Parameters
    ----------
    inputs, units : int
        Features in and out.
    forget_bias : float
        What the bias of f starts with; 1, so that at first the state is kept (Jozefowicz et al.
        2015). Instead of it a `bias_init` may decide: `initializers.chrono` where what matters lies
        a hundred steps back.
    peepholes : bool
        Whether gates see the state, too: ``weight_ci c_{t-1}`` is added to i, ``weight_cf c_{t-1}``
        to f and ``weight_co c_t`` to o, elementwise (Gers et al. 2002).
    layer_norm : bool
        Whether ``w_hh h``, ``w_ih x`` and the c that h sees are brought to mean 0 and variance 1
        over the sums of all gates, or over all units, for each row by itself; with the parameters
        ``norm_hh_weight``, ``norm_ih_weight``, ``norm_c_weight`` and a ``.._bias`` of each (Ba,
        Kiros & Hinton 2016, eq. 20 to 22). There are no peepholes then.
    **options
        See `Options`.
    """

    kernel = "lstm"
    states = ("h", "c")
    blocks = kept = 4

    def __init__(
        self,
        inputs: int,
        units: int,
        *,
        forget_bias: float = 1.0,
        peepholes: bool = False,
        layer_norm: bool = False,
        **options: Unpack[Options],
    ) -> None:
        self.forget_bias = checks.number("forget_bias", forget_bias)
        if checks.flag("bias", options.get("bias", True)) and options.get("bias_init") is None:
            options["bias_init"] = initializers.forget_bias(self.forget_bias)
        elif self.forget_bias != 1:
            why = "bias_init decides" if options.get("bias", True) else "bias=False leaves no bias"
            raise ValueError(f"forget_bias is {self.forget_bias}, but {why}: leave one of them out")
        super().__init__(inputs, units, **options)
        self.peepholes = checks.flag("peepholes", peepholes)
        self.layer_norm = checks.flag("layer_norm", layer_norm)
        if self.layer_norm:
            if self.peepholes:
                raise ValueError("layer_norm has no peepholes: choose one of the two")
            self.way = NormWay

    def cell_parameters(self, inputs: int) -> Specs:
        """Weights and biases; those of peepholes (units,); weights and biases of layer norms."""
        found = super().cell_parameters(inputs)
        if self.peepholes:
            for name in ("weight_ci", "weight_cf", "weight_co"):
                found[name] = (self.units,), initializers.get("zeros")
        if self.layer_norm:
            for name, blocks in (("ih", 4), ("hh", 4), ("c", 1)):
                shape = (blocks * self.units,)
                found[f"norm_{name}_weight"] = shape, initializers.get("ones")
                found[f"norm_{name}_bias"] = shape, initializers.get("zeros")
        return found

    def flops(self, shape: tuple[int, ...], input_grad: bool) -> tuple[int, int]:
        """With layer_norm also what each norm takes: of one-hot inputs it is over a table."""
        forward, backward = super().flops(shape, input_grad)
        if self.layer_norm:
            steps, gates = shape[0] * shape[1], self.blocks * self.units
            for level in range(self.num_layers):
                rows = self.features if self.one_hot and level == 0 else steps
                for count, features, bias in (
                    (rows, gates, False),  # its bias is in the sum that every LSTM adds
                    (steps, gates, True),  # which z takes the place of
                    (steps, self.units, True),
                ):
                    there, back = norm_flops((count, features), True, True, True, bias)
                    forward += there * len(self.directions)
                    backward += back * len(self.directions)
        return forward, backward

    def activation_bytes(self, shape: tuple[int, ...], itemsize: int) -> int:
        """With layer_norm also what is normalized, and the mean and scale of each row of it.

        Of one-hot inputs that is a table as large as their weight, which is not counted.
        """
        found = super().activation_bytes(shape, itemsize)
        if self.layer_norm:
            moment, unit = np.dtype(np.float64).itemsize, self.units * itemsize
            of_steps = self.num_layers * (5 * unit + 4 * moment)
            of_inputs = (self.num_layers - self.one_hot) * (4 * unit + 2 * moment)
            found += shape[0] * shape[1] * len(self.directions) * (of_steps + of_inputs)
        return found

    def of_cell(self, arrays: Mapping[str, Array]) -> tuple[Any, ...]:
        """Weight and peepholes."""
        return self.d_cell(arrays)

    def d_cell(self, grads: Mapping[str, Array]) -> tuple[Array | None, ...]:
        """Those of weight and peepholes."""
        names = "weight_ci", "weight_cf", "weight_co"
        return grads["weight_hh"], *(grads.get(name) for name in names)

    def config(self) -> dict[str, Any]:
        """The arguments that make this layer again; initial values are not part of it."""
        found = super().config()
        if self.forget_bias != 1:
            found["forget_bias"] = self.forget_bias
        for name in ("peepholes", "layer_norm"):
            if getattr(self, name):
                found[name] = True
        return found


@lists_options
class GRU(Recurrent):
    """Gated recurrent unit (Cho et al. 2014).

    With the blocks r, z, n of the weights, ``r = sigmoid(w_ih x_t + b_ih + w_hh h_{t-1} + b_hh)``,
    z likewise, and ``h_t = (1 - z) n + z h_{t-1}`` for
    ``n = tanh(w_ih x_t + b_ih + r (w_hh h_{t-1} + b_hh))``.

    Parameters
    ----------
    inputs, units : int
        Features in and out.
    reset_after : bool
        Whether r acts after the product, as above and in PyTorch; else it is the original
        ``n = tanh(w_ih x_t + b_ih + w_hh (r h_{t-1}) + b_hh)``.
    **options
        See `Options`.
    """

    kernel = "gru"
    blocks, kept, spare = 3, 4, 1
    turned = True

    def __init__(
        self,
        inputs: int,
        units: int,
        *,
        reset_after: bool = True,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(inputs, units, **options)
        self.reset_after = self.apart = checks.flag("reset_after", reset_after)

    def of_cell(self, arrays: Mapping[str, Array]) -> tuple[Any, ...]:
        """Weight and variant."""
        return arrays["weight_hh"], int(not self.reset_after)

    def config(self) -> dict[str, Any]:
        """The arguments that make this layer again; initial values are not part of it."""
        found = super().config()
        if not self.reset_after:
            found["reset_after"] = False
        return found
