"""Layers. A layer states its parameters and records the kernels it calls.

Recording a layer's forward pass returns its output and a function that records its backward pass,
so a layer is one method (`record`) and the two passes share their variables.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from fastgrad import checks, initializers
from fastgrad.arena import Array
from fastgrad.backends.contract import ACTIVATIONS as NAMES
from fastgrad.backends.contract import NEED_SLOPE
from fastgrad.program import Tape

Backward: TypeAlias = "Callable[[Array, bool], Array | None]"
Rows: TypeAlias = "Callable[[], Iterable[Array]]"  # the same rows at each call, in parts

# defaults of the parameter that two of them have: negative slope, and alpha
_ALPHAS = {"leaky_relu": 0.01, "elu": 1.0}
ACTIVATIONS = {name: _ALPHAS.get(name, 0.0) for name in NAMES}


def checked_activation(name: Any, alpha: float | None) -> tuple[str, float]:
    """An activation's name and parameter, as kernels take them."""
    name = "identity" if name is None else name
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ValueError(f"activation: expected one of {', '.join(ACTIVATIONS)}, got {name!r}")
    if alpha is None:
        return name, ACTIVATIONS[name]
    if name not in _ALPHAS:
        raise ValueError(f"alpha is a parameter of leaky_relu and elu, not of {name}")
    if not (isinstance(alpha, (int, float, np.number)) and 0 <= alpha < np.inf):
        raise ValueError(f"alpha must be a finite number of at least 0, got {alpha!r}")
    return name, float(alpha)


def _activation_flops(name: str, elements: int) -> tuple[int, int]:
    """The function; its slope, and that times the gradient."""
    return (0, 0) if name == "identity" else (elements, 2 * elements)


def _kept(name: str) -> int:
    """Arrays of the shape of y that training keeps."""
    return 2 if name in NEED_SLOPE else 1


class Layer:
    """A layer. Subclass it and write `forward` and `backward` in NumPy for a layer of your own.

    Parameters live in the model's arena: `parameters` says which there are, and both passes are
    given views of their values (and gradients) by name. The base class has no parameters, keeps
    the number of features, and records calls back into Python for both passes.

    Examples
    --------
    >>> import fastgrad as fg
    >>> class Scale(fg.Layer):
    ...     def parameters(self):
    ...         return {"factor": ((1,), fg.initializers.ones())}
    ...     def forward(self, x, params, train):
    ...         if train:  # a prediction between two passes is none of them
    ...             self.x = x
    ...         return params["factor"] * x
    ...     def backward(self, dy, params, grads):
    ...         grads["factor"][...] = (dy * self.x).sum()
    ...         return params["factor"] * dy
    >>> model = fg.Sequential(fg.Dense(3, 4, "tanh"), Scale(), fg.Dense(4, 2), rng=0)
    """

    inputs: int | None = None  # features it needs; None for any number
    indices: int | None = None  # takes integers in [0, indices) instead of real numbers
    first_only = False  # whether it takes the model's input, and nothing that layers give

    def parameters(self) -> Mapping[str, tuple[tuple[int, ...], initializers.InitFunction]]:
        """Shape and initializer of every parameter, by name."""
        return {}

    def buffers(self) -> Mapping[str, tuple[tuple[int, ...], initializers.InitFunction]]:
        """Shape and initializer of every array that is kept and saved, but not trained.

        Both passes find them among the parameters.
        """
        return {}

    def output_features(self, inputs: int | None) -> int | None:
        """How many features come out when `inputs` go in."""
        return inputs

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of y for x of that shape; by default only the number of features changes."""
        features = self.output_features(shape[-1])
        assert features is not None
        return (*shape[:-1], features)

    def fit_input(self, rows: Rows, params: Mapping[str, Array], again: bool) -> None:
        """Set buffers that depend on the training rows; those set before, only if `again`."""

    def flops(self, shape: tuple[int, ...], input_grad: bool) -> tuple[int, int] | None:
        """Operations of the two passes over x of that shape; None where nobody has counted.

        Additions, multiplications, divisions and comparisons count 1, a function such as exp or
        tanh does, too. Without `input_grad` the backward pass is that of the parameters alone.
        Layers within this one count for themselves.
        """
        return None

    def activation_bytes(self, shape: tuple[int, ...], itemsize: int) -> int:
        """Memory for what training keeps from the forward pass to the backward pass, y included.

        Only what grows with the rows of x counts, and not what layers within this one keep;
        `itemsize` is that of the model's dtype.
        """
        return math.prod(self.output_shape(shape)) * itemsize

    def inner(
        self, shape: tuple[int, ...], input_grad: bool
    ) -> list[tuple[Layer, tuple[int, ...], bool]]:
        """The layers within: each with the shape of its x, and whether dx is wanted."""
        return []

    def forward(self, x: Array, params: Mapping[str, Array], train: bool) -> Array:
        """``y`` of shape (N, ..., output features) for ``x`` of shape (N, ..., inputs)."""
        raise NotImplementedError(f"{type(self).__name__} must define forward or record")

    def backward(self, dy: Array, params: Mapping[str, Array], grads: Mapping[str, Array]) -> Array:
        """``dx``; writes the gradient of every parameter into ``grads[name][...]``."""
        raise NotImplementedError(f"{type(self).__name__} must define backward or record")

    def record(
        self,
        tape: Tape,
        x: Array,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        train: bool,
    ) -> tuple[Array, Backward]:
        """Record the forward pass; return its output and what records the backward pass.

        The returned function takes ``dy`` (which it may overwrite) and whether ``dx`` is wanted.
        """
        y = tape.empty(self.output_shape(x.shape))

        def forward() -> None:
            y[...] = _shaped(self, "forward", self.forward(x, params, train), y.shape)

        def record_backward(dy: Array, input_grad: bool) -> Array | None:
            dx = tape.empty(x.shape)

            def backward() -> None:
                dx[...] = _shaped(self, "backward", self.backward(dy, params, grads), x.shape)

            tape.python(backward)
            if tape.status is not None:
                for gradient in grads.values():
                    tape.call("check_finite", gradient.reshape(-1), tape.status)
            tape.release(dy)
            return dx

        tape.python(forward)
        return y, record_backward

    def config(self) -> dict[str, Any]:
        """The arguments that make this layer again, ready for JSON."""
        return {}

    def __repr__(self) -> str:
        values = ", ".join(f"{key}={value!r}" for key, value in self.config().items())
        return f"{type(self).__name__}({values})"


def rows_of(array: Array) -> Array:
    """(N, F) or (N, T, F) as rows of F features."""
    return array.reshape(-1, array.shape[-1])


def _shaped(layer: Layer, method: str, value: Any, shape: tuple[int, ...]) -> Array:
    array = np.asarray(value)
    if array.shape != shape:
        raise ValueError(
            f"{type(layer).__name__}.{method} returned shape {array.shape}, needs {shape}"
        )
    return array


class Dense(Layer):
    """A fully connected layer, ``y = activation(x weight' + bias)``.

    Parameters
    ----------
    inputs, outputs : int
        Features in and out; ``weight`` has shape (outputs, inputs), ``bias`` (outputs,).
    activation : str, optional
        One of relu, leaky_relu, elu, selu, gelu (exact), gelu_tanh, silu, softplus, softsign,
        tanh, sigmoid, identity (the default).
    weight_init, bias_init : str, initializer or ndarray, optional
        Default: what the activation needs (`fastgrad.initializers.for_activation`), and zeros.
    bias : bool
        Whether there is a bias.
    alpha : float, optional
        Negative slope of leaky_relu (0.01), alpha of elu (1).
    """

    inputs: int

    def __init__(
        self,
        inputs: int,
        outputs: int,
        activation: str | None = None,
        *,
        weight_init: Any = None,
        bias_init: Any = "zeros",
        bias: bool = True,
        alpha: float | None = None,
    ) -> None:
        self.inputs = checks.count("inputs", inputs)
        self.outputs = checks.count("outputs", outputs)
        self.activation, self.alpha = checked_activation(activation, alpha)
        if weight_init is None:
            weight_init = initializers.for_activation(self.activation, self.alpha)
        self.weight_init = initializers.get(weight_init, "weight_init of Dense")
        self.bias_init = initializers.get(bias_init, "bias_init of Dense")
        self.bias = bool(bias)

    def parameters(self) -> dict[str, tuple[tuple[int, ...], initializers.InitFunction]]:
        """``weight`` (outputs, inputs) and, unless left out, ``bias`` (outputs,)."""
        found: dict[str, tuple[tuple[int, ...], initializers.InitFunction]]
        found = {"weight": ((self.outputs, self.inputs), self.weight_init)}
        if self.bias:
            found["bias"] = ((self.outputs,), self.bias_init)
        return found

    def output_features(self, inputs: int | None) -> int:
        """`outputs`, whatever comes in."""
        return self.outputs

    def flops(self, shape: tuple[int, ...], input_grad: bool) -> tuple[int, int]:
        """A product of matrices forward, one or two backward, and bias and activation."""
        rows = math.prod(shape[:-1])
        product, bias = 2 * rows * self.inputs * self.outputs, rows * self.outputs * self.bias
        forward, backward = _activation_flops(self.activation, rows * self.outputs)
        return product + bias + forward, (1 + input_grad) * product + bias + backward

    def activation_bytes(self, shape: tuple[int, ...], itemsize: int) -> int:
        """y, and the slopes of activations that need them."""
        return super().activation_bytes(shape, itemsize) * _kept(self.activation)

    def record(
        self,
        tape: Tape,
        x: Array,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        train: bool,
    ) -> tuple[Array, Backward]:
        """Record dense_forward, and dense_backward for later."""
        rows = x.reshape(-1, self.inputs)
        y = tape.empty((*x.shape[:-1], self.outputs))
        flat = y.reshape(-1, self.outputs)
        keep_slope = train and self.activation in NEED_SLOPE
        slope = tape.empty(flat.shape) if keep_slope else None
        weight, bias = params["weight"], params.get("bias")
        tape.call("dense_forward", rows, weight, bias, self.activation, self.alpha, flat, slope)

        def backward(dy: Array, input_grad: bool) -> Array | None:
            dx = tape.empty(x.shape) if input_grad else None
            tape.call(
                "dense_backward",
                rows,
                weight,
                flat,
                slope,
                self.activation,
                self.alpha,
                dy.reshape(flat.shape),
                None if dx is None else dx.reshape(rows.shape),
                grads["weight"],
                grads.get("bias"),
                tape.status,
            )
            tape.release(dy)
            return dx

        return y, backward

    def config(self) -> dict[str, Any]:
        """The arguments that make this layer again; initial values are not part of it."""
        found: dict[str, Any] = {
            "inputs": self.inputs,
            "outputs": self.outputs,
            "activation": self.activation,
        }
        if self.alpha != ACTIVATIONS[self.activation]:
            found["alpha"] = self.alpha
        if not self.bias:
            found["bias"] = False
        return found


class Activation(Layer):
    """An activation on its own, elementwise.

    Parameters
    ----------
    activation : str
        As for `Dense`.
    alpha : float, optional
        As for `Dense`.
    """

    def __init__(self, activation: str, *, alpha: float | None = None) -> None:
        self.activation, self.alpha = checked_activation(activation, alpha)

    def flops(self, shape: tuple[int, ...], input_grad: bool) -> tuple[int, int]:
        """Some for each element."""
        forward, backward = _activation_flops(self.activation, math.prod(shape))
        return forward, backward * input_grad

    def activation_bytes(self, shape: tuple[int, ...], itemsize: int) -> int:
        """y, and the slopes of activations that need them."""
        return super().activation_bytes(shape, itemsize) * _kept(self.activation)

    def record(
        self,
        tape: Tape,
        x: Array,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        train: bool,
    ) -> tuple[Array, Backward]:
        """Record activation_forward, and activation_backward for later."""
        y = tape.empty(x.shape)
        keep_slope = train and self.activation in NEED_SLOPE
        slope = tape.empty((y.size,)) if keep_slope else None
        flat = y.reshape(-1)
        tape.call("activation_forward", x.reshape(-1), self.activation, self.alpha, flat, slope)

        def backward(dy: Array, input_grad: bool) -> Array | None:
            du = dy.reshape(-1)
            tape.call("activation_backward", flat, slope, du, self.activation, self.alpha, du)
            return dy

        return y, backward

    def config(self) -> dict[str, Any]:
        """The arguments that make this layer again."""
        found: dict[str, Any] = {"activation": self.activation}
        if self.alpha != ACTIVATIONS[self.activation]:
            found["alpha"] = self.alpha
        return found
