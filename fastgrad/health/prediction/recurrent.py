"""The rules of recurrent layers: the same weights at every step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from fastgrad.arena import Array
from fastgrad.health.prediction.blocks import added
from fastgrad.health.prediction.elementwise import Moments, applied, log, moments, through_slopes
from fastgrad.health.prediction.gates import State, Step, gru_step, lstm_step
from fastgrad.health.prediction.matrices import Matrix, matrix, multiplied, turned
from fastgrad.health.prediction.signal import Back, Flow, Signal
from fastgrad.health.prediction.walk import Memory, Walk, sum_moment, through
from fastgrad.initializers.functions import of_layer
from fastgrad.layers import ACTIVATIONS, Activation
from fastgrad.recurrent import LSTM, RNN, Recurrent

_LONGEST = 10_000  # steps that a memory is followed over
_STILL = 1e-7  # relative change of q that ends the recursion


@dataclass(frozen=True)
class Cell:
    """One direction of one level: what it reads, and its weights.

    Attributes
    ----------
    x : Signal
        A row for each sequence and step.
    h : Signal
        What the last step gives, a row for each sequence.
    back : callable
        ``back(flow, each)`` for the gradient of h, at the last step or, with `each`, at every
        one of them; returns that of x.
    """

    x: Signal
    h: Signal
    back: Callable[[Flow, bool], Flow]


@through.register
def _(layer: Recurrent, name: str, signal: Signal, walk: Walk) -> tuple[Signal, Back]:
    """All levels; the directions of one read the same, and share the gradient above."""
    walk.weights.append(name)
    levels: list[list[Cell]] = []
    up = signal
    for level in range(layer.num_layers):
        cells = []
        for reverse in layer.directions:
            end = layer.suffix(level, reverse)
            if isinstance(layer, RNN):
                cells.append(_rnn(layer, name, end, up, walk))
            else:
                cells.append(_gated(layer, name, end, up, walk))
        levels.append(cells)
        sequences = layer.return_sequences or level < layer.num_layers - 1
        h = cells[0].h
        steps = signal.steps if sequences else 1
        up = replace(h, features=h.features * len(cells), rows=h.rows * steps, steps=steps)

    def back(flow: Flow) -> Flow:
        for level in reversed(range(layer.num_layers)):
            cells = levels[level]
            each = layer.return_sequences or level < layer.num_layers - 1
            part = flow.log_power - math.log(len(cells))
            given = replace(flow, features=layer.units, log_power=part)
            flow = added([cell.back(given, each) for cell in cells])
        return flow

    return up, back


def _rnn(layer: RNN, name: str, end: str, signal: Signal, walk: Walk) -> Cell:
    phi = of_layer(Activation(layer.activation, alpha=_own_alpha(layer)))
    w_ih, w_hh = (matrix(walk.weight(name, f"{each}{end}")) for each in ("weight_ih", "weight_hh"))
    steps, x = signal.steps, replace(signal, rows=signal.rows // signal.steps, steps=1)
    bias = _biases(layer, name, end, walk)
    driven = multiplied(x, w_ih, bias)
    h = replace(driven, power=0.0, apart=0.0, mean=0.0)
    hs = [h]
    pres: list[Signal] = []
    found: list[Moments] = []
    for _ in range(steps):
        fed = multiplied(h, w_hh, None)
        pre = replace(driven, power=driven.power + fed.power, apart=driven.apart + fed.apart)
        still = pres and abs(pre.power - pres[-1].power) <= _STILL * pre.power
        found.append(found[-1] if still else moments(phi, pre))
        h = applied(pre, found[-1])
        pres.append(pre)
        hs.append(h)
    walk.q[name] = pres[-1].power
    gain = math.sqrt(w_hh.square * found[-1].slope2)
    walk.memory[f"{name}.{end[1:]}"] = _memory(gain, steps)

    def back(flow: Flow, each: bool) -> Flow:
        share = -math.log(steps) if each else 0.0
        given = replace(flow, rows=x.rows, log_power=flow.log_power + share)
        total, below = given, []
        for t in reversed(range(steps)):
            below.append(through_slopes(total, found[t]))
            carried = turned(below[-1], w_hh, hs[t], pres[t])
            total = added([given, carried]) if each else carried
        below.reverse()
        _note(walk, f"{name}.weight_ih{end}", below, [x] * steps)
        _note(walk, f"{name}.weight_hh{end}", below[1:], hs[1:])
        for bias_name in ("bias_ih", "bias_hh"):
            _note(walk, f"{name}.{bias_name}{end}", below, None)
        walk.sums(f"{name}.initial_h{end}", total)
        all_steps = added([turned(b, w_ih, x, driven) for b in below])
        return replace(all_steps, rows=signal.rows)

    return Cell(signal, h, back)


def _gated(layer: Recurrent, name: str, end: str, signal: Signal, walk: Walk) -> Cell:
    steps, x = signal.steps, replace(signal, rows=signal.rows // signal.steps, steps=1)
    unit = _Gates.of(layer, name, end, x, walk)
    states, backs = unit.forward(steps)
    power = float(states[-1].h2.mean())
    walk.q[name] = power
    walk.memory[f"{name}.{end[1:]}"] = _followed(unit, backs[-1], power, steps)
    product = x.product / x.power if x.power else 1.0
    up = replace(x, features=layer.units, power=power, apart=power * (1 - product**2), mean=0.0)
    for parameter in layer.cell_parameters(x.features):
        if not parameter.startswith(("weight_ih", "weight_hh", "bias_")):
            walk.parameter(f"{name}.{parameter}{end}", math.nan, math.nan)
            walk.notes.append(f"{name}.{parameter}{end}: no gradient is predicted for it")

    def back(flow: Flow, each: bool) -> Flow:
        sums = _summed(unit, states, backs, each)
        variance = sum_moment(replace(flow, rows=x.rows, features=layer.units), x.alike)
        rows = 1 + flow.cross
        found = {
            "weight_ih": sums.gates.sum() * x.features * x.power,
            "weight_hh": sums.hidden * layer.units,
            "bias_ih": sums.biases * rows,
            "bias_hh": sums.biases_hh * rows,
        }
        for parameter, quantity in found.items():
            log_square = flow.log_power + log(float(quantity))
            walk.parameter(f"{name}.{parameter}{end}", log_square, variance)
        to_x = sum(float(p) * w.square for p, w in zip(sums.gates, unit.of_x, strict=True))
        return replace(
            flow,
            features=x.features,
            rows=signal.rows,
            log_power=flow.log_power + log(to_x),
            radial=1 / x.features,
        )

    return Cell(signal, up, back)


@dataclass(frozen=True)
class _Gates:
    """The weights and biases of one direction of an LSTM or GRU, gate by gate, and its inputs."""

    lstm: bool
    normed: bool
    units: int
    x: Signal
    of_x: list[Matrix]
    of_h: list[Matrix]
    biases: list[Array]

    @classmethod
    def of(cls, layer: Recurrent, name: str, end: str, x: Signal, walk: Walk) -> _Gates:
        of_x, of_h = (
            [matrix(block) for block in np.split(walk.weight(name, f"{each}{end}"), layer.blocks)]
            for each in ("weight_ih", "weight_hh")
        )
        whole = _biases(layer, name, end, walk)
        if whole is None:
            whole = np.zeros(layer.blocks * layer.units)
        lstm = isinstance(layer, LSTM)
        normed = isinstance(layer, LSTM) and layer.layer_norm
        biases = np.split(whole, layer.blocks)
        return cls(lstm, normed, layer.units, x, of_x, of_h, biases)

    def forward(self, steps: int) -> tuple[list[State], list[Step]]:
        zeros = np.zeros(self.units)
        states = [State(zeros, zeros, zeros)]
        backs: list[Step] = []
        for _ in range(steps):
            if backs and _same(states[-1], states[-2]):
                states.append(states[-1])
                backs.append(backs[-1])
                continue
            q = float(states[-1].h2.mean())
            x, h = self.shares(self.x.power, self.of_x), self.shares(q, self.of_h)
            variances = [a + b for a, b in zip(x, h, strict=True)]
            if self.lstm:
                state, back = lstm_step(self.biases, variances, states[-1], self.normed)
            else:
                split = [*variances[:2], x[2], h[2]]
                state, back = gru_step(self.biases, split, states[-1])
            states.append(state)
            backs.append(back)
        return states, backs

    def shares(self, power: float, weights: list[Matrix]) -> list[float]:
        """Variance of each gate from a signal of that power: 1 behind a layer norm."""
        if self.normed:
            return [float(power > 0)] * len(weights)
        return [w.square * power for w in weights]

    def before(
        self, step: Step, h: Array, c: Array, q: float
    ) -> tuple[list[Array], Array, Array, Array]:
        """Squares of gradients: of gates, of the memory, and of h and memory one step before."""
        gates, total, kept = step.back(h, c)
        down = 0.0
        for k, (power, w) in enumerate(zip(gates, self.of_h, strict=True)):
            seen = power * step.through if not self.lstm and k == 2 else power
            gain = w.square
            if self.normed:
                gain = 1 / q if q else 0.0
            down += float(seen.sum()) * gain
        return gates, total, np.full(self.units, down / self.units), kept


@dataclass(frozen=True)
class _Sums:
    """Squared norms of sums over steps, of a gradient of norm 1: of each gate's own gradients, and
    of their products with h and with 1."""

    gates: Array
    hidden: float
    biases: float
    biases_hh: float


def _summed(unit: _Gates, states: list[State], backs: list[Step], each: bool) -> _Sums:
    steps, zeros = len(backs), np.zeros(unit.units)
    given = np.full(unit.units, 1 / unit.units / (steps if each else 1))
    h, c = given, zeros
    of_gates = np.zeros(len(unit.of_h))
    hidden = biases = biases_hh = 0.0
    # products of the memory's gradient with those of all later steps, which `keep` makes smaller
    lasting = [zeros, zeros, zeros]
    for t in reversed(range(steps)):
        step, q = backs[t], float(states[t].h2.mean())
        gates, total, h, c = unit.before(step, h, c, q)
        sums = np.array([float(g.sum()) for g in gates])
        seen = sums.copy()
        if not unit.lstm:
            seen[2] = float((gates[2] * step.through).sum())
        of_gates += sums
        hidden += float(seen.sum()) * q
        biases += float(sums.sum())
        biases_hh += float(seen.sum())
        for k, square, often in step.lasting:
            both = 2 * float((square * lasting[often]).sum())
            biases += both
            biases_hh += both * (float(step.through.mean()) if k == 2 else 1.0)
            hidden += 2 * float((square * lasting[often + 1]).sum()) * q * step.output
        keep = backs[t - 1].keep if t else step.keep
        lasting = [keep ** (often + 1) * (before + total) for often, before in enumerate(lasting)]
        if each:
            h = h + given
    return _Sums(of_gates, hidden, biases, biases_hh)


def _own_alpha(layer: RNN) -> float | None:
    return None if layer.alpha == ACTIVATIONS[layer.activation] else layer.alpha


def _biases(layer: Recurrent, name: str, end: str, walk: Walk) -> Array | None:
    if not layer.bias:
        return None
    both = (walk.weight(name, f"{each}{end}") for each in ("bias_ih", "bias_hh"))
    first, second = (np.asarray(b, np.float64) for b in both)
    return first + second


def _note(walk: Walk, name: str, flows: list[Flow], signals: list[Signal] | None) -> None:
    """A weight's gradient: the sum over steps, whose gradients point in independent directions."""
    if not flows:
        walk.parameter(name, -math.inf, 0.0)
        return
    terms = []
    for i, flow in enumerate(flows):
        rows = 1 + flow.cross
        if signals is None:
            terms.append(flow.log_power + log(rows))
        else:
            s = signals[i]
            power = s.features * (s.power * rows - flow.cross * s.apart)
            terms.append(flow.log_power + log(power))
    top = max(terms)
    most = int(np.argmax(terms))
    total = top + math.log(sum(math.exp(t - top) for t in terms)) if top > -math.inf else top
    alike = 1.0 if signals is None else signals[most].alike
    walk.parameter(name, total, sum_moment(flows[most], alike))


def _same(a: State, b: State) -> bool:
    pairs = ((a.h2, b.h2), (a.mean, b.mean), (a.square, b.square))
    return all(np.abs(p - q).max() <= _STILL * max(np.abs(p).max(), 1e-300) for p, q in pairs)


def _memory(gain: float, steps: int) -> Memory:
    rate = -math.log(gain) if gain > 0 else math.inf
    horizon = 1 / rate if rate > 0 else math.inf
    return Memory(
        gain, horizon, horizon * math.log(1e3), tuple(gain**k for k in range(steps)[::-1])
    )


def _followed(unit: _Gates, step: Step, q: float, steps: int) -> Memory:
    """The gradient of h at the last step, on its way back through steps like that one."""
    h, c = np.full(unit.units, 1 / unit.units), np.zeros(unit.units)
    norms = [1.0]
    while len(norms) <= _LONGEST and (1e-3 < norms[-1] < 1e6 or len(norms) < steps):
        _, _, h, c = unit.before(step, h, c, q)
        norms.append(math.sqrt(float((h + c).sum())))
    shown = norms[:steps]
    gain = norms[-1] / norms[-2] if norms[-2] else 0.0
    keep = float(step.keep.mean())
    half = -1 / math.log(keep) if 0 < keep < 1 else math.inf
    return Memory(
        gain, _fallen(norms, math.exp(-1)), _fallen(norms, 1e-3), tuple(shown[::-1]), keep, half
    )


def _fallen(norms: list[float], to: float) -> float:
    """Steps until the norm is that, between two of them by its logarithm."""
    k = next((k for k, norm in enumerate(norms) if norm <= to), 0)
    if not k:
        return math.inf
    if not norms[k]:
        return float(k)
    a, b = math.log(norms[k - 1]), math.log(norms[k])
    return k - 1 + (a - math.log(to)) / (a - b)
