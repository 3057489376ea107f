"""The rules of recurrent layers: the same weights at every step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from fastgrad.arena import Array
from fastgrad.health.prediction.blocks import added
from fastgrad.health.prediction.elementwise import applied, log, moments, through_slopes
from fastgrad.health.prediction.gates import State, gru_step, lstm_step
from fastgrad.health.prediction.matrices import Matrix, matrix, mean_square, multiplied, turned
from fastgrad.health.prediction.signal import Back, Flow, Signal
from fastgrad.health.prediction.walk import Memory, Walk, sum_moment, through
from fastgrad.initializers.functions import of_layer
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
            make = _rnn if isinstance(layer, RNN) else _gated
            cells.append(make(layer, name, end, up, walk))
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
    phi = of_layer(layer)
    w_ih, w_hh = (matrix(walk.weight(name, f"{each}{end}")) for each in ("weight_ih", "weight_hh"))
    steps, x = signal.steps, replace(signal, rows=signal.rows // signal.steps, steps=1)
    bias = _biases(layer, name, end, walk)
    driven = multiplied(x, w_ih, bias)
    h = replace(driven, power=0.0, apart=0.0, mean=0.0)
    hs, pres, found = [h], [], []
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
    blocks, units = layer.blocks, layer.units
    parts = [
        [matrix(block) for block in np.split(walk.weight(name, f"{each}{end}"), blocks)]
        for each in ("weight_ih", "weight_hh")
    ]
    of_x, of_h = parts
    whole = _biases(layer, name, end, walk)
    biases = np.split(np.zeros(blocks * units) if whole is None else whole, blocks)
    lstm = isinstance(layer, LSTM)
    step = lstm_step if lstm else gru_step
    normed = lstm and layer.layer_norm
    for parameter in layer.cell_parameters(x.features):
        if not parameter.startswith(("weight_ih", "weight_hh", "bias_")):
            walk.parameter(f"{name}.{parameter}{end}", math.nan, math.nan)
            walk.notes.append(f"{name}.{parameter}{end}: no gradient is predicted for it")

    def scales(q: float) -> tuple[list[float], list[float]]:
        """sigma_w^2 of inputs and of states, which a layer norm divides by what they make."""
        found = [[w.square for w in ws] for ws in parts]
        if normed:
            found = [[s / (w * p) if w * p else 0.0 for s, w, p in zip(squares, squares, [power] *
                     blocks, strict=True)] for squares, power in zip(found, (x.power, q),
                                                                     strict=True)]
        return found[0], found[1]

    def variances(q: float) -> list[float]:
        ih, hh = scales(q)
        both = [a * x.power + b * q for a, b in zip(ih, hh, strict=True)]
        return both if lstm else [*both[:2], ih[2] * x.power, hh[2] * q]

    zeros = np.zeros(units)
    states, backs = [State(zeros, zeros, zeros)], []
    for _ in range(steps):
        if backs and _same(states[-1], states[-2]):
            backs.append(backs[-1])
            states.append(states[-1])
            continue
        state, back_of_step = step(biases, variances(float(states[-1].h2.mean())), states[-1])
        states.append(state)
        backs.append(back_of_step)
    power = float(states[-1].h2.mean())
    walk.q[name] = power
    _, hh = scales(power)
    forget = float(backs[-1][1].mean())

    def one_step(back, h: Array, c: Array) -> tuple[list[Array], Array, Array]:
        """Powers of gates, and of what h and c get one step before."""
        gates, kept, through_r = back[0](h, c)
        sums = [float(g.sum()) for g in gates]
        if not lstm:
            sums[2] = float((gates[2] * through_r).sum())
        down = sum(s * w for s, w in zip(sums, hh, strict=True)) / units
        return gates, np.full(units, down), kept

    walk.memory[f"{name}.{end[1:]}"] = _followed(one_step, backs[-1], units, steps, forget, lstm)
    product = x.product / x.power if x.power else 1.0
    up = replace(x, features=units, power=power, apart=power * (1 - product**2), mean=0.0)

    def back(flow: Flow, each: bool) -> Flow:
        share = 1 / steps if each else 1.0
        given = np.full(units, share / units)
        h, c = given, zeros
        sums = []
        for t in reversed(range(steps)):
            gates, h, c = one_step(backs[t], h, c)
            sums.append([float(g.sum()) for g in gates])
            h = h + given if each else h
        powers = np.array(sums[::-1])  # (steps, gates)
        base = flow.log_power
        once = replace(flow, rows=x.rows, features=units)
        variance = sum_moment(once, x.alike)
        of_gates = powers.sum(axis=1)
        h2 = np.array([s.h2.mean() for s in states[:-1]])
        if not lstm:
            r2 = 0.25  # of a gate at birth
            of_hh = powers[:, :2].sum(axis=1) + r2 * powers[:, 2]
        else:
            of_hh = of_gates
        rows = 1 + flow.cross
        quantities = {
            "weight_ih": float(of_gates.sum()) * x.features * x.power,
            "weight_hh": float((of_hh * h2).sum()) * units,
            "bias_ih": float(of_gates.sum()) * rows,
            "bias_hh": float(of_hh.sum()) * rows,
        }
        for parameter, quantity in quantities.items():
            walk.parameter(f"{name}.{parameter}{end}", base + log(quantity), variance)
        to_x = sum(float(p) * w.square for p, w in zip(powers.sum(axis=0), of_x, strict=True))
        return replace(
            flow, features=x.features, rows=signal.rows, log_power=base + log(to_x),
            radial=1 / x.features,
        )

    return Cell(signal, up, back)


def _biases(layer: Recurrent, name: str, end: str, walk: Walk) -> Array | None:
    if not layer.bias:
        return None
    both = (walk.weight(name, f"{each}{end}") for each in ("bias_ih", "bias_hh"))
    return np.sum([np.asarray(b, np.float64) for b in both], axis=0)


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
    return Memory(gain, horizon, horizon * math.log(1e3), tuple(gain**k for k in range(steps)[::-1]))


def _followed(one_step, back, units: int, steps: int, forget: float, lstm: bool) -> Memory:
    """The gradient that starts at h of the last step, on its way back through equal steps."""
    h, c = np.full(units, 1 / units), np.zeros(units)
    norms = [1.0]
    while len(norms) <= _LONGEST and (norms[-1] > 1e-3 or len(norms) < steps):
        _, h, c = one_step(back, h, c)
        norms.append(math.sqrt(float((h + c).sum())))
        if norms[-1] > 1e6:
            break

    def fallen(to: float) -> float:
        below = [k for k, norm in enumerate(norms) if norm <= to]
        if not below or not below[0]:
            return math.inf
        k = below[0]
        a, b = math.log(norms[k - 1]), math.log(max(norms[k], 1e-300))
        return k - 1 + (a - math.log(to)) / (a - b)

    shown = [*norms, *[norms[-1]] * steps][:steps]
    gain = norms[min(len(norms) - 1, 50)] / norms[min(len(norms) - 2, 49)]
    half = -1 / math.log(forget) if 0 < forget < 1 else math.inf
    return Memory(gain, fallen(math.exp(-1)), fallen(1e-3), tuple(shown[::-1]), forget, half)
