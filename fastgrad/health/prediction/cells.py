"""All steps of one direction of an LSTM or GRU."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fastgrad.arena import Array
from fastgrad.health.prediction.gates import State, Step, gru_step, lstm_step
from fastgrad.health.prediction.matrices import Matrix, matrix
from fastgrad.health.prediction.signal import Signal
from fastgrad.health.prediction.walk import Memory, Walk
from fastgrad.recurrent import LSTM, Recurrent

LONGEST = 10_000  # steps that a memory is followed over
STILL = 1e-7  # relative change that ends a recursion


@dataclass(frozen=True)
class Gates:
    """The weights and biases of one direction of an LSTM or GRU, gate by gate, and its inputs."""

    lstm: bool
    normed: bool
    units: int
    x: Signal
    of_x: list[Matrix]
    of_h: list[Matrix]
    biases: list[Array]

    @classmethod
    def of(cls, layer: Recurrent, name: str, end: str, x: Signal, walk: Walk) -> Gates:
        of_x, of_h = (
            [matrix(block) for block in np.split(walk.weight(name, f"{each}{end}"), layer.blocks)]
            for each in ("weight_ih", "weight_hh")
        )
        whole = biases_of(layer, name, end, walk)
        if whole is None:
            whole = np.zeros(layer.blocks * layer.units)
        if x.centre is not None and not (isinstance(layer, LSTM) and layer.layer_norm):
            whole = whole + np.asarray(walk.weight(name, f"weight_ih{end}"), np.float64) @ x.centre
        lstm = isinstance(layer, LSTM)
        normed = isinstance(layer, LSTM) and layer.layer_norm
        biases = np.split(whole, layer.blocks)
        return cls(lstm, normed, layer.units, x, of_x, of_h, biases)

    def forward(self, steps: int) -> tuple[list[State], list[Step]]:
        states = [State.first(self.units)]
        backs: list[Step] = []
        for _ in range(steps):
            if backs and _same(states[-1], states[-2]):
                states.append(states[-1])
                backs.append(backs[-1])
                continue
            before = states[-1]
            q = float(before.h2.mean())
            rest = self.x.power * (1 - (0.0 if self.normed else self.x.common))
            x, h = self.shares(rest, self.of_x), self.shares(q, self.of_h)
            variances = [a + b for a, b in zip(x, h, strict=True)]
            lasting = [
                (x[2] * self.x.steady, self.x.lasting),
                (h[2] * before.steady, before.lasting),
            ]
            if self.lstm:
                state, back = lstm_step(self.biases, variances, lasting, before, self.normed)
            else:
                split = [*variances[:2], x[2], h[2]]
                state, back = gru_step(self.biases, split, lasting, before)
            states.append(state)
            backs.append(back)
        return states, backs

    def shares(self, power: float, weights: list[Matrix]) -> list[float]:
        """Variance of each gate from a signal of that power: 1 behind a layer norm."""
        if self.normed:
            return [float(power > 0)] * len(weights)
        return [w.square * power for w in weights]

    def gain(self, w: Matrix, power: float) -> float:
        """What becomes of a gradient's square on its way to a signal of that power."""
        if self.normed:
            return 1 / power if power else 0.0
        return w.square

    def before(
        self, step: Step, h: Array, c: Array, q: float
    ) -> tuple[list[Array], Array, Array, Array]:
        """Squares of gradients: of gates, of the memory, and of h and memory one step before."""
        gates, total, kept = step.back(h, c)
        down = 0.0
        for k, (power, w) in enumerate(zip(gates, self.of_h, strict=True)):
            seen = power * step.through if not self.lstm and k == 2 else power
            down += float(seen.sum()) * self.gain(w, q)
        return gates, total, np.full(self.units, down / self.units), kept


def followed(unit: Gates, step: Step, q: float, steps: int) -> Memory:
    """The gradient of h at the last step, on its way back through steps like that one."""
    h, c = np.full(unit.units, 1 / unit.units), np.zeros(unit.units)
    norms = [1.0]
    while len(norms) <= LONGEST and (1e-3 < norms[-1] < 1e6 or len(norms) < steps):
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


def biases_of(layer: Recurrent, name: str, end: str, walk: Walk) -> Array | None:
    if not layer.bias:
        return None
    both = (walk.weight(name, f"{each}{end}") for each in ("bias_ih", "bias_hh"))
    first, second = (np.asarray(b, np.float64) for b in both)
    return first + second


def _same(a: State, b: State) -> bool:
    pairs = ((a.h2, b.h2), (a.mean, b.mean), (a.square, b.square))
    return all(np.abs(p - q).max() <= STILL * max(np.abs(p).max(), 1e-300) for p, q in pairs)
