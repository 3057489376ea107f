"""The rules of recurrent layers: the same weights at every step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from fastgrad.health.prediction.blocks import added, plus
from fastgrad.health.prediction.cells import STILL, Gates, biases_of, followed
from fastgrad.health.prediction.elementwise import Moments, applied, log, moments, through_slopes
from fastgrad.health.prediction.matrices import matrix, multiplied, turned
from fastgrad.health.prediction.signal import Back, Flow, Signal
from fastgrad.health.prediction.sums import summed
from fastgrad.health.prediction.walk import Memory, Walk, sum_moment, through
from fastgrad.initializers.functions import of_layer
from fastgrad.layers import Activation, own_alpha
from fastgrad.recurrent import RNN, Recurrent


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
        sequences = layer.return_sequences or level < layer.num_layers - 1
        cells = []
        for reverse in layer.directions:
            end = layer.suffix(level, reverse)
            if isinstance(layer, RNN):
                cells.append(_rnn(layer, name, end, up, walk))
            else:
                cells.append(_gated(layer, name, end, up, sequences, walk))
        levels.append(cells)
        h = cells[0].h
        steps = signal.steps if sequences else 1
        up = replace(
            h,
            features=h.features * len(cells),
            rows=h.rows * steps,
            steps=steps,
            centre=None,
            variances=None,
        )

    def back(flow: Flow) -> Flow:
        for level in reversed(range(layer.num_layers)):
            cells = levels[level]
            each = layer.return_sequences or level < layer.num_layers - 1
            part = flow.log_power - math.log(len(cells))
            given = replace(flow, features=layer.units, log_power=part)
            flow = added([cell.back(given, each) for cell in cells])
            if len(cells) > 1:  # whose times run against each other
                flow = replace(flow, along=None)
        return flow

    return up, back


def _rnn(layer: RNN, name: str, end: str, signal: Signal, walk: Walk) -> Cell:
    phi = of_layer(Activation(layer.activation, alpha=own_alpha(layer.activation, layer.alpha)))
    w_ih, w_hh = (matrix(walk.weight(name, f"{each}{end}")) for each in ("weight_ih", "weight_hh"))
    steps, x = signal.steps, replace(signal, rows=signal.rows // signal.steps, steps=1)
    bias = biases_of(layer, name, end, walk)
    driven = multiplied(x, w_ih, bias)
    h = replace(driven, power=0.0, apart=0.0, mean=0.0, steady=0.0)
    if driven.centre is not None:
        h = h.of_units(np.zeros(h.features), np.zeros(h.features))
    hs = [h]
    pres: list[Signal] = []
    found: list[Moments] = []
    for _ in range(steps):
        fed = multiplied(h, w_hh, None)
        pre = plus(driven, fed)
        still = pres and abs(pre.power - pres[-1].power) <= STILL * pre.power
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
            below.append(through_slopes(total, found[t], pres[t]))
            carried = turned(below[-1], w_hh, hs[t], pres[t])
            total = added([given, carried]) if each else carried
        below.reverse()
        _note(walk, f"{name}.weight_ih{end}", below, [x] * steps)
        _note(walk, f"{name}.weight_hh{end}", below[1:], hs[1:])
        for bias_name in ("bias_ih", "bias_hh"):
            _note(walk, f"{name}.{bias_name}{end}", below, None)
        walk.sums(f"{name}.initial_h{end}", total)
        all_steps = added([turned(b, w_ih, x, driven) for b in below])
        return replace(all_steps, rows=signal.rows, steady=0.0, along=None)

    return Cell(signal, h, back)


def _gated(layer: Recurrent, name: str, end: str, signal: Signal, each: bool, walk: Walk) -> Cell:
    steps, x = signal.steps, replace(signal, rows=signal.rows // signal.steps, steps=1)
    unit = Gates.of(layer, name, end, x, walk)
    states, backs = unit.forward(steps)
    power = float(states[-1].h2.mean())
    walk.memory[f"{name}.{end[1:]}"] = followed(unit, states, backs)
    if each:
        power = float(np.mean([state.h2.mean() for state in states[1:]]))
    walk.q[name] = power
    product = x.product / x.power if x.power else 1.0
    up = replace(
        x,
        features=layer.units,
        power=power,
        apart=power * (1 - product**2),
        mean=0.0,
        steady=states[-1].steady,
        lasting=states[-1].lasting,
        degree=0.0,
        centre=None,
        variances=None,
        spread=0.0,
        shared=0.0,
        uneven=0.0,
    )
    for parameter in layer.cell_parameters(x.features):
        if not parameter.startswith(("weight_ih", "weight_hh", "bias_")):
            walk.parameter(f"{name}.{parameter}{end}", math.nan, math.nan)
            walk.notes.append(f"{name}.{parameter}{end}: no gradient is predicted for it")

    def back(flow: Flow, each: bool) -> Flow:
        sums = summed(unit, states, backs, flow, each)
        own = replace(flow, rows=x.rows, features=layer.units)
        rows, whole = 1 + flow.cross, float(sums.x.sum())
        found = {
            "weight_ih": sums.inputs * x.features * x.power * flow.summed(x),
            "weight_hh": sums.hidden * layer.units * flow.summed(up),
            "bias_ih": sums.biases * rows,
            "bias_hh": sums.biases_hh * rows,
        }
        for parameter, quantity in found.items():
            alike = {"weight_ih": x.alike, "weight_hh": up.alike}.get(parameter, 1.0)
            variance = sum_moment(own, alike)
            log_square = flow.log_power + log(float(quantity))
            walk.parameter(f"{name}.{parameter}{end}", log_square, variance)
        return replace(
            flow,
            features=x.features,
            rows=signal.rows,
            log_power=flow.log_power + log(whole),
            radial=1 / x.features,
            sizes=np.ones(1),
            steady=sums.steady,
            lasting=sums.lasting,
            along=sums.x / whole if whole else None,
        )

    return Cell(signal, up, back)


def _note(walk: Walk, name: str, flows: list[Flow], signals: list[Signal] | None) -> None:
    """A weight's gradient: the sum over steps, whose gradients point in independent directions."""
    if not flows:
        walk.parameter(name, -math.inf, 0.0)
        return
    terms = []
    for i, flow in enumerate(flows):
        if signals is None:
            terms.append(flow.log_power + log(1 + flow.cross))
        else:
            s = signals[i]
            terms.append(flow.log_power + log(s.features * s.power * flow.summed(s)))
    top = max(terms)
    most = int(np.argmax(terms))
    total = top + math.log(sum(math.exp(t - top) for t in terms)) if top > -math.inf else top
    alike = 1.0 if signals is None else signals[most].alike
    walk.parameter(name, total, sum_moment(flows[most], alike))


def _memory(gain: float, steps: int) -> Memory:
    rate = -math.log(gain) if gain > 0 else math.inf
    horizon = 1 / rate if rate > 0 else math.inf
    return Memory(
        gain, horizon, horizon * math.log(1e3), tuple(gain**k for k in range(steps)[::-1])
    )
