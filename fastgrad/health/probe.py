"""`Probe`: the statistics that recorded steps leave behind, and where they leave them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastgrad.arena import Array, Part
from fastgrad.containers import Chain, named_layers
from fastgrad.groups import Groups
from fastgrad.health.counted import marks, without_padding
from fastgrad.health.live import live_range, live_slopes
from fastgrad.health.measurements import Measurements
from fastgrad.optimizers import Optimizer
from fastgrad.recurrent.base import Recurrent

if TYPE_CHECKING:
    from fastgrad.model import Sequential
    from fastgrad.program import Known, Tape

_MOST, _LEAST = 8192, 64  # steps of a ring
_BYTES = 1 << 22  # of a ring, unless these are less than the fewest steps
ROWS = 8  # of outputs, whose sums are one part
BLOCK = 8192  # elements, as many as threads share at a time
_FLOW = 1 << 18  # numbers of a ring of gradients through time, unless that is less than 8 steps


@dataclass(frozen=True)
class _Look:
    """At the outputs of a layer: where its sums lie, and the flags of its units, if there are."""

    elements: int
    first: int
    last: int
    start: int
    stop: int
    counts: Array | None  # of padded sequences, 1 for each element that counts


class Probe:
    """Rings of the statistics of the last steps, which recorded calls fill.

    Parameters
    ----------
    model : Sequential
    step : int64 (1,)
        Steps done, which says where in the rings a step's statistics go.
    loss : float64 (1,)
        That of the last minibatch.

    Attributes
    ----------
    tensors, layers : tuple of str
        Names of the parameters, and of the layers whose outputs are looked at.
    lived : dict of str to ndarray, (units,)
        By layer, 1 for each unit that has been alive since this was set to 0.
    """

    def __init__(self, model: Sequential, step: Array, loss: Array) -> None:
        parts = model.parts
        self.step = step
        self.loss = loss
        self.tensors = tuple(part.name for part in parts)
        self.sizes = np.array([part.size for part in parts], np.int64)
        edges = [*(part.start for part in parts), model.flat_params.size]
        self._starts = edges
        self._groups = Groups(edges, BLOCK)
        self._spare = np.diff(edges) - self.sizes
        blocks = len(self._groups.blocks) - 1
        self._seen = np.zeros((blocks, 5))
        self._moved = np.zeros((blocks, 2))
        # a chain's outputs are those of its last layer
        kinds = named_layers(model.layers)
        self.layers = tuple(name for name, layer in kinds.items() if not isinstance(layer, Chain))
        # whose outputs are 0 in the padding
        self._clear = {name for name, layer in kinds.items() if isinstance(layer, Recurrent)}
        numbers = 7 * len(parts) + 5 * len(self.layers) + 2
        rows = min(max(_BYTES // (8 * numbers), _LEAST), _MOST)
        self._of_tensors = np.full((rows, len(parts), 7), np.nan)
        self._of_layers = np.full((rows, len(self.layers), 5), np.nan)
        self._of_steps = np.full((rows, 2), np.nan)
        self.lived: dict[str, Array] = {}
        self._units: dict[str, tuple[int, int]] = {}  # where those of each layer lie
        widest = max((size for part in parts for size in part.shape), default=1)
        # in one piece, which a note finds faster than many
        self._alive, self._lived = np.zeros((2, widest * len(self.layers)), model.dtype)
        self._looks: dict[str, _Look] = {}  # of the recording under way
        self._parts, self._sums = np.zeros((0, 3)), np.zeros(0)
        self._flows: dict[str, dict[int, tuple[Array, Array]]] = {}  # by name and steps

    @property
    def capacity(self) -> int:
        """Steps of which all is held; what was before them is overwritten."""
        flows = (len(ring) for rings in self._flows.values() for ring, _ in rings.values())
        return min([len(self._of_steps), *flows])

    # what a recording of a minibatch tells

    def open(self, rows: int) -> None:
        """A minibatch of so many rows, or steps, is going to be recorded.

        Outputs of more rows are not looked at.
        """
        room = len(self.layers) * -(-rows // ROWS)
        self._looks, self._parts, self._sums = {}, np.zeros((room, 3)), np.full(room, np.nan)

    def output(self, tape: Tape, y: Array, known: Known | None) -> None:
        """Record a look at what a layer gives; `known` is its activation, alpha and slopes."""
        name = tape.path.rstrip(".")
        if name not in self.layers or not np.issubdtype(y.dtype, np.floating):
            return
        rows = y.reshape(-1, y.shape[-1])
        first = sum(look.last - look.first for look in self._looks.values())
        last = first - (-len(rows) // ROWS)
        if last > len(self._parts):
            return
        within = None if known is None else live_range(known[0], known[1])
        if within is not None and not self._has_room(name, rows.shape[1]):
            within = None
        slope = counts = None
        if tape.lengths is not None and y.ndim == 3 and len(y) == len(tape.lengths):
            counts = self._counts(tape, y.shape)
            own = None if within is None else known
            slopes = None
            if name not in self._clear:
                y, slopes = without_padding(tape, y, counts, own)
                rows = y.reshape(rows.shape)
            if own is not None and slopes is not None:
                within, slope = live_slopes(own[0], own[1]), slopes.reshape(rows.shape)
        elif known is not None and known[2] is not None and within is not None:
            slope = known[2].reshape(rows.shape)
        start, stop = (0, 0) if within is None else self._units_for(name, rows.shape[1])
        alive = None if within is None else self._alive[start:stop]
        low, high = within or (-math.inf, math.inf)
        tape.call("see_output", rows, slope, low, high, alive, self._parts[first:last])
        self._looks[name] = _Look(rows.size, first, last, start, stop, counts)

    def _counts(self, tape: Tape, shape: tuple[int, int, int]) -> Array:
        """Those that another layer's outputs of this shape have, or new ones."""
        known = (look.counts for look in self._looks.values())
        alike = [counts for counts in known if counts is not None and counts.shape == shape]
        return alike[0] if alike else marks(tape, shape)

    def _has_room(self, name: str, units: int) -> bool:
        """Whether there are flags for so many units; not where they are more than any tensor's."""
        return name in self._units or self._flags() + units <= len(self._alive)

    def _flags(self) -> int:
        """How many are taken."""
        return sum(stop - start for start, stop in self._units.values())

    def _units_for(self, name: str, units: int) -> tuple[int, int]:
        """Where the flags of a layer's units lie."""
        if name not in self._units:
            start = self._flags()
            self._units[name] = start, start + units
            self.lived[name] = self._lived[start : start + units]
        return self._units[name]

    def gradient(self, tape: Tape, dy: Array) -> None:
        """Record a look at the gradient with respect to what a layer gives."""
        look = self._looks.get(tape.path.rstrip("."))
        if look is not None:
            rows = dy.reshape(-1, dy.shape[-1])
            tape.call("see_delta", rows, self._sums[look.first : look.last])

    def inner_gradient(self, tape: Tape, dz: Array) -> None:
        """Not looked at."""

    def close(self, tape: Tape) -> None:
        """Record the notes on all that the recording has looked at."""
        looks = self._looks
        if looks:
            elements = np.array([float(look.elements) for look in looks.values()])
            for i, look in enumerate(looks.values()):
                if look.counts is not None:  # a sum of squares
                    tape.call("see_delta", look.counts.reshape(1, -1), elements[i : i + 1])
            tape.call(
                "note_outputs",
                self._parts,
                self._sums,
                np.array([(look.first, look.last) for look in looks.values()]),
                np.array([(look.start, look.stop) for look in looks.values()]),
                elements,
                np.array([self.layers.index(name) for name in looks]),
                self.step,
                self._alive,
                self._lived,
                self._of_layers,
            )
        for name, flow in tape.through_time.items():
            rings = self._flows.setdefault(name, {})
            steps = len(flow)
            if steps not in rings:
                rows = min(max(_FLOW // (3 * max(steps, 1)), 8), len(self._of_steps))
                rings[steps] = np.full((rows, steps, 3), np.nan), np.full(rows, -1)
            tape.call("note_flow", flow, self.step, *rings[steps])

    # what a recording of the end of a step tells

    def before_clips(self, tape: Tape, grads: Array) -> None:
        """Record a look at a gradient that is going to change."""
        tape.call("see_gradient", grads, self._groups.blocks, self._seen)

    def update(
        self,
        tape: Tape,
        optimizer: Optimizer,
        grads: Array,
        params: Array,
        state: dict[str, Array],
        hyper: Array,
        step: Array,
        parts: Sequence[Part],
        start: int,
        clipped: bool,
    ) -> None:
        """Record an update, and a look at it; `start` is where in the arenas its slice starts."""
        first = self._groups.groups[self._starts.index(start)]
        last = self._groups.groups[self._starts.index(start + params.size)]
        own = slice(first, last)
        blocks = self._groups.blocks[first : last + 1] - start
        seen, moved = (None if clipped else self._seen[own]), self._moved[own]
        if type(optimizer).record is Optimizer.record:  # which treats every element alike
            slots = (state.get(slot) for slot in optimizer.slots)
            tape.call(optimizer.kernel, grads, hyper, step, blocks, params, *slots, seen, moved)
            return
        before = np.empty_like(params)
        if seen is not None:
            tape.call("see_gradient", grads, blocks, seen)
        tape.call("blend", params, 0.0, 1.0, before)
        optimizer.record(tape, grads, params, state, hyper, step, parts)
        tape.call("see_update", params, before, blocks, moved)

    def close_update(self, tape: Tape, rate: Array) -> None:
        """Record the notes on the update; rate is where its learning rate is."""
        tape.call(
            "note_update",
            self._seen,
            self._moved,
            self._groups.groups,
            self._spare,
            self.loss,
            rate,
            self.step,
            self._of_tensors,
            self._of_steps,
        )

    # what others read

    def read(self, first: int, last: int) -> Measurements:
        """Steps first to last - 1, as far as the rings still hold them; good until the next step.

        Where they can be, arrays are views of the rings.
        """
        first = max(first, last - len(self._of_steps))
        steps = np.arange(first, last)
        of_tensors, of_layers, of_steps = (
            _unrolled(ring, first, last)
            for ring in (self._of_tensors, self._of_layers, self._of_steps)
        )
        (norms, top, zeros, denormals, bad, weights, updates) = np.moveaxis(of_tensors, 2, 0)
        means, stds, saturated, dead, deltas = np.moveaxis(of_layers, 2, 0)
        return Measurements(
            steps=steps,
            losses=of_steps[:, 0],
            rates=of_steps[:, 1],
            tensors=self.tensors,
            sizes=self.sizes,
            gradient_norms=norms,
            gradient_max=top,
            gradient_zeros=zeros,
            gradient_denormals=denormals,
            gradient_nonfinite=bad,
            weight_norms=weights,
            update_norms=updates,
            layers=self.layers,
            output_means=means,
            output_stds=stds,
            saturated=saturated,
            dead=dead,
            delta_norms=deltas,
            through_time={name: self._read_flow(name, first, last) for name in self._flows},
        )

    def _read_flow(self, name: str, first: int, last: int) -> Array:
        """The longest sequences' gradients; rows of NaN for steps of others."""
        ring, stamps = self._flows[name][max(self._flows[name])]
        first = max(first, last - len(ring))
        found = _unrolled(ring, first, last).copy()
        found[_unrolled(stamps, first, last) != np.arange(first, last)] = np.nan
        return found


def _unrolled(ring: Array, first: int, last: int) -> Array:
    """The rows of these steps: where they lie in a row, a view."""
    start = first % len(ring)
    stop = start + last - first
    if stop <= len(ring):
        return ring[start:stop]
    return np.concatenate([ring[start:], ring[: stop - len(ring)]])
