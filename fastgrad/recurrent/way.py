"""One direction of one level of a recurrent layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.contract import room
from fastgrad.program import InSteps, Tape
from fastgrad.recurrent.steps import Steps
from fastgrad.states import State

if TYPE_CHECKING:
    from fastgrad.recurrent.base import Inputs, Recurrent

FEW = 4  # sequences; their steps are too short for products, and all of them together are not
INITIAL = "initial_"  # what names of learned initial states start with


class Way:
    """Records one direction of one level: inputs, initial state, steps; and the way back.

    Parameters
    ----------
    layer : Recurrent
    tape : Tape
    steps : Steps
    x : ndarray, (N, T, inputs) or, of indices, (N, T)
    reverse : bool
    end : str
        What the names of its parameters end with.
    params, grads : mapping of str to ndarray
        Of the whole layer.

    Attributes
    ----------
    h : ndarray, (N + N T, units)
        The initial state, then the states in steps.
    """

    def __init__(
        self,
        layer: Recurrent,
        tape: Tape,
        steps: Steps,
        x: Array,
        reverse: bool,
        end: str,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
    ) -> None:
        self.layer, self.tape, self.steps, self.reverse = layer, tape, steps, reverse
        self.own, self.grads = _ending(params, end), _ending(grads, end)
        self.turned = layer.units if layer.turned else 0
        self.apart = int(layer.apart)
        self.through_time = f"{tape.path}{end[1:]}"
        self.by_index = x.dtype == np.int64
        self.gates = tape.empty((steps.rows, layer.kept * layer.units))
        self.x = steps.take_indices(x, reverse) if self.by_index else _steps_of(steps, x, reverse)
        self.moved = self.x.ctypes.data != x.ctypes.data
        inputs = self._record_inputs()
        self.arrays = [
            tape.empty((steps.sequences + steps.rows, layer.units)) for _ in layer.states
        ]
        self.memory = [
            tape.state(f"{s}{end}", (steps.sequences, layer.units), layer.stateful)
            for s in layer.states
        ]
        tape.in_steps[self.through_time] = InSteps(self.h, steps.order, steps.offsets, reverse)
        self.carried = layer.stateful or tape.start == "carried"
        self._record_initial()
        self._record_steps(inputs)
        if inputs[2] is not None:
            tape.release(inputs[2])
        for array, state in zip(self.arrays, self.memory, strict=True):
            tape.call("last_steps", array, 0, steps.order, steps.offsets, state.final)
            if self.carried:
                flat = state.final.reshape(-1), 0.0, 1.0, state.initial.reshape(-1)
                tape.call_when_good("blend", *flat)

    @property
    def h(self) -> Array:
        return self.arrays[0]

    def _record_inputs(self) -> Inputs:
        """What the cell makes gates of, if they are not made here: from indices, or for a few."""
        bias = self._bias()
        if not self.by_index and (self.steps.sequences >= FEW or self.tape.keep_weights):
            return self.x, self.own["weight_ih"], bias
        self._record_gates(bias)
        self.tape.release(bias)
        return None, None, None

    def _bias(self) -> Array:
        """What is added to the gates at every step."""
        tape = self.tape
        bias = tape.of_weights((self.gates.shape[1],))
        if self.layer.bias:
            both = self.own["bias_ih"], self.own["bias_hh"]
            tape.call_on_weights("gate_bias", *both, self.turned, self.apart, bias)
        else:
            tape.call_on_weights("fill_rows", None, bias.reshape(1, -1))
        return bias

    def _record_gates(self, bias: Array) -> None:
        """What the inputs add to the gates, of all steps at once."""
        if not self.by_index:
            self._record_sums(bias, self.gates)
            return
        table = self.tape.of_weights((self.own["weight_ih"].shape[1], self.gates.shape[1]))
        self._record_sums(bias, table)
        self.tape.call("embedding_forward", table, self.x, self.gates)
        self.tape.release(table)

    def _record_sums(self, bias: Array, z: Array) -> None:
        """The gates' part z of each row of the inputs, or of each index that there is."""
        weight = self.own["weight_ih"]
        if self.by_index:
            self.tape.call_on_weights("gate_table", weight, bias, self.turned, z)
        else:
            rest = self.steps.offsets, self.turned, z
            self.tape.call("gate_inputs_forward", self.x, weight, bias, *rest)

    def _record_steps(self, inputs: Inputs) -> None:
        tape, layer = self.tape, self.layer
        panels, ready = self._packed(0 if inputs[0] is None else inputs[0].shape[1])
        given = *inputs, *layer.of_cell(self.own), self.gates, *self.arrays
        tape.call(f"{layer.kernel}_forward", self.steps.offsets, *given, panels, ready)
        tape.release(panels)

    def _packed(self, features: int = 0) -> tuple[Array, Array | None]:
        """Panels, and what has them hold the weights from run to run."""
        ready = np.zeros(1, np.int64) if self.tape.keep_weights else None
        return self.tape.of_weights((self._room(features),)), ready

    def _room(self, features: int = 0) -> int:
        return room(self.layer.blocks, self.layer.units, self.steps.sequences, features)

    def _record_initial(self) -> None:
        """The rows with which the states start."""
        count, names = self.steps.sequences, self.layer.states
        for name, array, state in zip(names, self.arrays, self.memory, strict=True):
            if self.carried or self.tape.start == "given":
                self.tape.call("take_rows", state.initial, 0, self.steps.order, 0, array[:count])
            else:
                self.tape.call("fill_rows", self.own.get(INITIAL + name), array[:count])

    def rows(self, dy: Array, start: int) -> Array:
        """The gradient of the final h, out of columns of dy (N, G)."""
        found = self.tape.empty((self.steps.sequences, self.layer.units))
        self.tape.call("take_rows", dy, start, self.steps.order, 0, found)
        return found

    def record_backward(
        self, d_steps: Array | None, dh_last: Array | None, dx: Array | None, add: bool
    ) -> None:
        """Record the way back; dx (N, T, inputs) is written, or with `add` added to."""
        tape, steps, layer = self.tape, self.steps, self.layer
        last = [dh_last] + [None] * (len(layer.states) - 1)
        if tape.start == "given":
            last = [self._with_final(*both) for both in zip(last, self.memory, strict=True)]
        initial = tape.start == "given" or layer.learn_initial
        d_states = [tape.empty((steps.sequences, layer.units)) for _ in layer.states]
        flow = tape.through_time.setdefault(self.through_time, np.full((steps.times, 3), np.nan))
        self._record_steps_backward([d_steps, *last], initial, d_states, flow)
        for name, state, d_state in zip(layer.states, self.memory, d_states, strict=True):
            if tape.start == "given":
                tape.call("put_rows", d_state, steps.order, state.d_initial)
                if layer.learn_initial:  # which nothing hangs on now
                    tape.call("fill_rows", None, self.grads[INITIAL + name].reshape(1, -1))
            elif layer.learn_initial:
                tape.call("sum_rows", d_state, self.grads[INITIAL + name], tape.status)
        for used in (*d_states, *last):
            if used is not None:
                tape.release(used)
        self._record_inputs_backward(dx, add)
        self.release(outputs=False)

    def _record_steps_backward(
        self, above: list[Array | None], initial: bool, d_states: list[Array], flow: Array
    ) -> None:
        """`above` are gradients from there: of h at each step, and of each state at the end."""
        tape, layer, panels = self.tape, self.layer, self.tape.empty((self._room(),))
        squares = tape.empty((self.steps.rows, 4), np.float64)
        spare = [tape.empty(d_states[0].shape) for _ in range(layer.spare)]
        given = *layer.of_cell(self.own), *self.arrays, *above, int(initial), self.gates
        to = *layer.d_cell(self.grads), *d_states, *spare, flow, squares, panels, tape.status
        tape.call(f"{layer.kernel}_backward", self.steps.offsets, *given, *to)
        for used in (panels, squares, *spare):
            tape.release(used)

    def _with_final(self, last: Array | None, state: State) -> Array:
        """The gradient of a final state, with what was given for it."""
        order, add = self.steps.order, int(last is not None)
        found = self.tape.empty(state.final.shape) if last is None else last
        self.tape.call("take_rows", state.d_final, 0, order, add, found)
        return found

    def _record_inputs_backward(self, dx: Array | None, add: bool) -> None:
        tape, steps, dw = self.tape, self.steps, self.grads["weight_ih"]
        self._record_bias_backward()
        if self.by_index:
            self._record_table_backward(dw)
            return
        self._record_sums_backward(self.gates)
        d_steps = None
        whole = dx is not None and steps.straight(self.reverse) and not add
        if dx is not None:
            shape = self.x.shape
            d_steps = dx.reshape(shape) if whole else tape.empty(shape)
        given = self.x, self.own["weight_ih"], self.gates, steps.offsets, self.turned
        tape.call("gate_inputs_backward", *given, d_steps, dw, tape.status)
        if dx is not None and d_steps is not None and not whole:
            steps.put(d_steps, dx, 0, self.reverse, add)
            tape.release(d_steps)

    def _record_bias_backward(self) -> None:
        if self.layer.bias:
            both = self.grads["bias_ih"], self.grads["bias_hh"]
            layout = self.steps.offsets, self.turned, self.apart
            self.tape.call("gate_bias_backward", self.gates, *layout, *both, self.tape.status)

    def _record_sums_backward(self, dz: Array) -> None:
        """From the gradient of `_record_sums` to that of the products, in place: the same here."""

    def _record_table_backward(self, dw: Array) -> None:
        tape, rows = self.tape, len(self.x)
        table = tape.empty((dw.shape[1], self.gates.shape[1]))
        notes = [tape.empty(shape, np.int64) for shape in ((len(table),), (4, rows), (1,))]
        tape.call("embedding_backward", self.x, self.gates, -1, table, *notes, None)
        self._record_sums_backward(table)
        tape.call("gate_table_backward", table, self.turned, dw, tape.status)
        for used in (table, *notes):
            tape.release(used)

    def release(self, outputs: bool) -> None:
        """Give back what no later call needs; the outputs, too, if nobody looks into them."""
        for used in [self.gates] + [self.x] * self.moved + self.arrays[0 if outputs else 1 :]:
            self.tape.release(used)


def _steps_of(steps: Steps, x: Array, reverse: bool) -> Array:
    return steps.take(x, 0, x.shape[2], reverse)


def _ending(arrays: Mapping[str, Array], end: str) -> dict[str, Array]:
    return {name[: -len(end)]: a for name, a in arrays.items() if name.endswith(end)}
