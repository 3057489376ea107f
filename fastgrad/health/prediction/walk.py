"""The way up through a model and down again; what is found on it."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fastgrad.arena import Array
from fastgrad.health.prediction.elementwise import Moments, applied, log, moments, through_slopes
from fastgrad.health.prediction.matrices import matrix, multiplied, turned
from fastgrad.health.prediction.signal import DECADE, Back, Flow, Signal
from fastgrad.initializers.functions import Elementwise, Function, function, of_layer
from fastgrad.layers import Activation, Dense, Layer

_LOPSIDED = 6.0  # deviations


@dataclass(frozen=True)
class Memory:
    """What becomes of the gradient along time, in one direction of one level.

    Attributes
    ----------
    gain : float
        Norm of the gradient that reaches a step over that of the next step, far from the end.
    horizon, far : float
        Steps until the norm has fallen to 1/e, and to 1e-3; inf where it does not fall.
    norms : tuple of float
        Norm at each step, that at the last step being 1.
    forget : float or None
        Mean of the forget gate of an LSTM, or of z of a GRU, at birth.
    half_memory : float or None
        ``-1 / log(forget)``: steps that the cell alone would keep 1/e over.
    """

    gain: float
    horizon: float
    far: float
    norms: tuple[float, ...]
    forget: float | None = None
    half_memory: float | None = None


@dataclass
class Walk:
    """Where a prediction stands, and what it has found.

    Attributes
    ----------
    arrays : mapping of str to ndarray
        Parameters and buffers of the model.
    x : ndarray or None
        The model's input, as long as nothing but input layers has seen it.
    q, chi, delta, dead_units, flat : dict
        By the layer's name; see `Prediction`. `delta` holds logarithms.
    norms, spread : dict
        By the parameter's name: log of the norm, and its deviation in decades.
    memory : dict of str to Memory
    critical : dict
        By layer: its activation and its sigma_w, for advice.
    weights : list of str
        Layers with a weight, from the inputs on, of the longest way.
    power : dict of str to float
        Log of the mean squared norm of the gradient at a layer's output.
    normalized : bool
        Whether there is a normalization.
    blocks : list of str
        Residual blocks that add something.
    notes : list of str
        What had to be assumed.
    """

    arrays: Mapping[str, Array]
    x: Array | None
    q: dict[str, float] = field(default_factory=dict)
    chi: dict[str, float] = field(default_factory=dict)
    delta: dict[str, float] = field(default_factory=dict)
    dead_units: dict[str, float] = field(default_factory=dict)
    flat: dict[str, float] = field(default_factory=dict)
    norms: dict[str, float] = field(default_factory=dict)
    spread: dict[str, float] = field(default_factory=dict)
    memory: dict[str, Memory] = field(default_factory=dict)
    critical: dict[str, tuple[Function, float]] = field(default_factory=dict)
    weights: list[str] = field(default_factory=list)
    power: dict[str, float] = field(default_factory=dict)
    normalized: bool = False
    blocks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def depth(self) -> int:
        """Weights one after the other."""
        return len(self.weights)

    @property
    def log_gain(self) -> float:
        """Log of the gradient's squared norm at the first weight's output over that at the last."""
        if len(self.weights) < 2:
            return 0.0
        first, last = (self.power[self.weights[i]] for i in (0, -1))
        return first - last if first > -math.inf else -math.inf

    def array(self, *names: str) -> Array | None:
        """A parameter or buffer, by the names of its layer and its own."""
        return self.arrays.get(".".join(names))

    def weight(self, *names: str) -> Array:
        """The same, for one that is there."""
        return self.arrays[".".join(names)]

    def parameter(self, name: str, log_square: float, variance: float, wander: float = 0.0) -> None:
        """Note a gradient: log of its squared norm in the mean, and that log's variance.

        `wander` is a variance around the median.
        """
        if name in self.arrays:
            self.norms[name] = (log_square - variance / 2) / 2
            self.spread[name] = math.sqrt(max(variance + wander, 0.0)) / 2 / DECADE

    def products(self, name: str, flow: Flow, signal: Signal) -> None:
        """Note the gradient of a weight: ``sum(delta a')`` over all rows."""
        power = signal.features * signal.power * flow.summed(signal)
        self.parameter(
            name,
            flow.log_power + flow.shift + log(power),
            sum_moment(flow, signal.alike) + math.log1p(max(signal.fluctuation, 0.0)),
            flow.wander + few_directions(flow, signal.alike),
        )

    def sums(self, name: str, flow: Flow, scale: float = 1.0) -> None:
        """Note the gradient of a bias: ``sum(delta)`` over all rows."""
        self.parameter(
            name,
            flow.log_power + flow.shift + log(max(1 + flow.cross, 0.0)) + log(scale),
            sum_moment(flow, 1.0),
            flow.wander + few_directions(flow, 1.0),
        )

    def passed(self, name: str, found: Moments, features: int) -> None:
        """Note how many units of an activation are dead."""
        self.dead_units[name] = found.flat_everywhere
        self.flat[name] = found.flat**features


def sum_moment(flow: Flow, alike: float) -> float:
    """Log of the second moment of ``sum(delta a')``, for rows a with that mean squared cosine.

    Products of different rows vanish in the mean, and not in the mean square.
    """
    share = 1 / flow.rows
    both = flow.pair + 2 * alike * flow.overlap
    return math.log(max(1.0, share * flow.same + (1 - share) * both))


def few_directions(flow: Flow, alike: float) -> float:
    """How much more the log of a sum over rows varies than that of a log-normal square.

    A sum that points in k independent directions has a square as chi-squared of k, whose log is
    the further below the more directions are missing: in one, its deviation is twice as large.
    """
    extra = 2 * (1 - 1 / flow.rows) * alike * flow.overlap  # 2 / k
    if extra <= 0:
        return 0.0
    # the variance of log chi-squared is trigamma(k / 2), by its recursion and its series
    half = 1 / extra
    steps = sum(1 / (half + i) ** 2 for i in range(4))
    far = half + 4
    trigamma = steps + 1 / far + 1 / (2 * far**2) + 1 / (6 * far**3)
    return max(trigamma - math.log1p(extra), 0.0)


def follow(layer: Layer, name: str, signal: Signal, walk: Walk) -> tuple[Signal, Back]:
    """Take a signal through a layer; return what comes out, and the way back."""
    up, back = through(layer, name, signal, walk)
    walk.q.setdefault(name, up.power)
    if not layer.first_only and not hasattr(layer, "layers"):
        walk.x = None

    def down(flow: Flow) -> Flow:
        walk.delta[name], walk.power[name] = flow.log_norm, flow.log_power
        below = back(flow)
        gone = flow.log_power == -math.inf
        walk.chi[name] = 0.0 if gone else math.exp(min(below.log_power - flow.log_power, 700.0))
        return below

    return up, down


def follow_all(
    layers: Sequence[Layer], path: str, signal: Signal, walk: Walk
) -> tuple[Signal, Back]:
    """The same for layers in a row, whose names start with `path`."""
    backs = []
    for i, layer in enumerate(layers):
        signal, back = follow(layer, f"{path}{i}", signal, walk)
        backs.append(back)

    def down(flow: Flow) -> Flow:
        for back in reversed(backs):
            flow = back(flow)
        return flow

    return signal, down


@functools.singledispatch
def through(layer: Layer, name: str, signal: Signal, walk: Walk) -> tuple[Signal, Back]:
    """The rule of one kind of layer. That of `Layer`: an elementwise function, or unknown."""
    try:
        found = function(_values(layer, name, signal, walk))
    except Exception as why:  # whatever the code of others raises
        walk.notes.append(
            f"{name} ({type(layer).__name__}) is no layer that is known, and not elementwise "
            f"({why}): taken to keep the size of signal and gradient"
        )
        features = layer.output_features(signal.features) or signal.features
        up = replace(signal, features=features, centre=None, variances=None)
        return up, _unknown(layer, name, signal, walk)
    return _elementwise(found, layer, name, signal, walk)


@through.register
def _(layer: Activation, name: str, signal: Signal, walk: Walk) -> tuple[Signal, Back]:
    return _elementwise(of_layer(layer), layer, name, signal, walk)


@through.register
def _(layer: Dense, name: str, signal: Signal, walk: Walk) -> tuple[Signal, Back]:
    w = matrix(walk.weight(name, "weight"))
    if w.lopsided > _LOPSIDED:
        walk.notes.append(
            f"{name}.weight has a mean {w.lopsided:.3g} deviations away from 0: the prediction "
            "takes weights to have none"
        )
    bias = walk.array(name, "bias")
    deviations = None
    if walk.x is not None and signal.centre is not None:
        deviations = walk.x.reshape(-1, walk.x.shape[-1]) - signal.centre
    up = multiplied(signal, w, bias, deviations)
    walk.q[name], pre = up.power, up
    walk.weights.append(name)
    found = None
    if layer.activation != "identity":
        phi = of_layer(layer)
        found = moments(phi, up)
        up = applied(up, found)
        walk.passed(name, found, layer.outputs)
        walk.critical[name] = phi, math.sqrt(w.square)

    def back(flow: Flow) -> Flow:
        below = flow if found is None else through_slopes(flow, found, pre)
        walk.products(f"{name}.weight", below, signal)
        walk.sums(f"{name}.bias", below)
        return turned(below, w, signal, pre)

    return up, back


def _elementwise(
    phi: Function, layer: Layer, name: str, signal: Signal, walk: Walk
) -> tuple[Signal, Back]:
    found = moments(phi, signal)
    walk.passed(name, found, signal.features)
    parameters = list(layer.parameters())
    if parameters:
        walk.notes.append(f"{name}.{parameters[0]}: no gradient is predicted for it")

    def back(flow: Flow) -> Flow:
        for parameter in parameters:
            walk.parameter(f"{name}.{parameter}", math.nan, math.nan)
        return through_slopes(flow, found, signal)

    return applied(signal, found), back


def _values(layer: Layer, name: str, signal: Signal, walk: Walk) -> Elementwise:
    """A layer's forward pass as a function of a vector; TypeError where it has none."""
    params = {key: walk.weight(name, key) for key in [*layer.parameters(), *layer.buffers()]}
    if type(layer).forward is Layer.forward:
        raise TypeError("it has no forward")

    def values(u: Array) -> Array:
        rows = u[:, None].repeat(signal.features, axis=1)
        y = layer.forward(rows, params, False)
        if y.shape != rows.shape or not (y == y[:, :1]).all():
            raise ValueError("its units are not treated alike")
        return y[:, 0]

    values.__name__ = type(layer).__name__
    # units that differ, as those of one value would not show a layer that mixes them
    u = np.linspace(-2.0, 2.0, 3 * signal.features).reshape(3, -1)
    if not np.allclose(layer.forward(u, params, False), values(u.ravel()).reshape(u.shape)):
        raise ValueError("it mixes units")
    return values


def _unknown(layer: Layer, name: str, signal: Signal, walk: Walk) -> Back:
    def back(flow: Flow) -> Flow:
        for parameter in layer.parameters():
            walk.parameter(f"{name}.{parameter}", math.nan, math.nan)
        return replace(flow, features=signal.features)

    return back
