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

LONGEST = 1000  # steps that a memory is followed over; then it goes on as it did
STILL = 1e-7  # relative change that ends a recursion
_DIRECTIONS, _SEED = 16, 0  # that gradients are followed in
_SETTLED = 300  # steps, after which one direction is left
_LOST = 600.0  # log of a norm that is nothing
_FLAT = 1e-4  # log of what a step changes if it keeps


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


@dataclass(frozen=True)
class Factors:
    """What a step multiplies gradients with, as `Step.factors`, ready to be drawn from."""

    step: Step
    means: Array
    lasting: Array
    passing: Array
    scales: Array
    kept: float

    @classmethod
    def of(cls, unit: Gates, step: Step, state: State) -> Factors:
        means, squares, slow = np.moveaxis(np.array(step.factors), 1, 0)[..., None]
        variances = np.maximum(squares - means**2, 0.0)
        slow = np.minimum(slow, variances)
        q = float(state.h2.mean())
        scales = [math.sqrt(unit.gain(w, q) / w.square) if w.square else 0.0 for w in unit.of_h]
        shaped = np.array(scales)[:, None, None]
        return cls(step, means, np.sqrt(slow), np.sqrt(variances - slow), shaped, state.lasting)

    def draw(self, held: Array, rng: np.random.Generator) -> Array:
        """For each unit and direction, about the means; `held` is what lasts from step to step."""
        other = self.passing * rng.standard_normal(held.shape)
        return np.asarray(self.means + self.lasting * held + other)


def followed(unit: Gates, states: list[State], backs: list[Step]) -> Memory:
    """The gradient of h at the last step, on its way back through all, and on as through the last.

    The same weights act at every one of them, so that directions which grow most win in the end:
    some random ones are taken through the weights themselves, with gates that vary about their
    means from step to step.
    """
    rng, steps = np.random.default_rng(_SEED), len(backs)
    weights = np.stack([np.asarray(w.weight, np.float64).T for w in unit.of_h])
    h = rng.standard_normal((unit.units, _DIRECTIONS))
    h /= np.linalg.norm(h)
    c, held = np.zeros_like(h), rng.standard_normal((len(weights) + 2, *h.shape))
    log_size, logs = 0.0, [0.0]
    drawn: Factors | None = None
    for k in range(min(max(2 * steps, _SETTLED), LONGEST)):
        t = steps - 1 - k if k < steps else steps - 1
        if drawn is None or drawn.step is not backs[t]:
            drawn = Factors.of(unit, backs[t], states[t + 1])
        kept = drawn.kept
        held = kept * held + math.sqrt(1 - kept * kept) * rng.standard_normal(held.shape)
        if unit.lstm:
            held[5] = held[3]  # both see the memory
        found = drawn.draw(held, rng)
        total = c + found[0] * h
        gates = found[2:] * total
        if unit.lstm:
            gates[3] = found[5] * h
        c = found[1] * total
        h = np.matmul(weights, drawn.scales * gates).sum(axis=0)
        whole = _size(unit, h, c)
        log_size += math.log(whole) if whole else -math.inf
        logs.append(log_size)
        if log_size < -_LOST:
            break
        h, c = h / whole, c / whole
    half = len(logs) // 2
    rate = (logs[-1] - logs[half]) / (len(logs) - 1 - half) if logs[-1] > -math.inf else -math.inf
    keep = float(backs[-1].keep.mean())
    memory = -1 / math.log(keep) if 0 < keep < 1 else math.inf
    shown = logs[:steps] + [logs[-1] + rate * k for k in range(1, steps - len(logs) + 1)]
    return Memory(
        _exp(rate),
        _fallen(logs, rate, -1.0),
        _fallen(logs, rate, math.log(1e-3)),
        tuple(map(_exp, shown[::-1])),
        keep,
        memory,
    )


def _size(unit: Gates, h: Array, c: Array) -> float:
    """Norm of the gradient of all states: those of a GRU are one."""
    parts = (h, c) if unit.lstm else (h + c,)
    return float(np.sqrt(sum(np.square(part).sum() for part in parts)))


def _exp(log_norm: float) -> float:
    return math.exp(min(log_norm, 700.0))


def _fallen(logs: list[float], rate: float, to: float) -> float:
    """Steps until the log of the norm is that; from the last one on it goes on at that rate."""
    k = next((k for k, each in enumerate(logs) if each <= to), 0)
    if not k:
        return len(logs) - 1 + (to - logs[-1]) / rate if rate < -_FLAT else math.inf
    if logs[k] == -math.inf:
        return float(k)
    a, b = logs[k - 1], logs[k]
    return k - 1 + (a - to) / (a - b)


def biases_of(layer: Recurrent, name: str, end: str, walk: Walk) -> Array | None:
    if not layer.bias:
        return None
    both = (walk.weight(name, f"{each}{end}") for each in ("bias_ih", "bias_hh"))
    first, second = (np.asarray(b, np.float64) for b in both)
    return first + second


def _same(a: State, b: State) -> bool:
    pairs = ((a.h2, b.h2), (a.mean, b.mean), (a.square, b.square))
    return all(np.abs(p - q).max() <= STILL * max(np.abs(p).max(), 1e-300) for p, q in pairs)
