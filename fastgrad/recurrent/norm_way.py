"""One direction of one level of a layer-normalized LSTM."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastgrad.arena import Array
from fastgrad.recurrent.way import Way

if TYPE_CHECKING:
    from fastgrad.recurrent.base import Inputs

EPS = 1e-5


class NormWay(Way):
    """As `Way`, with the kernels of the normalized steps, and inputs that are normalized.

    All four biases are the same at every step, and are added as one. Of one-hot inputs it is the
    table of what each index adds that is normalized.

    Attributes
    ----------
    of_inputs : tuple of ndarray
        What `_record_sums` has normalized, the mean and the scale of its rows.
    kept : list of ndarray
        What lstm_norm_forward leaves for the way back: from sums to scale_c.
    """

    def _record_inputs(self) -> Inputs:
        bias = self._bias()
        self._record_gates(bias)
        self.tape.release(bias)
        return None, None, None

    def _bias(self) -> Array:
        tape, bias = self.tape, super()._bias()
        more = tape.of_weights(bias.shape)
        both = self.own["norm_ih_bias"], self.own["norm_hh_bias"]
        tape.call_on_weights("gate_bias", *both, 0, 0, more)
        tape.call_on_weights("add", more.reshape(1, -1), bias.reshape(1, -1))
        tape.release(more)
        return bias

    def _record_bias_backward(self) -> None:
        super()._record_bias_backward()
        both = self.grads["norm_ih_bias"], self.grads["norm_hh_bias"]
        layout = self.steps.offsets, 0, 0
        self.tape.call("gate_bias_backward", self.gates, *layout, *both, self.tape.status)

    def _record_sums(self, bias: Array, z: Array) -> None:
        tape, none = self.tape, self.tape.of_weights(bias.shape)
        # a table depends on weights alone
        empty = tape.of_weights if self.by_index else tape.empty
        call = tape.call_on_weights if self.by_index else tape.call
        tape.call_on_weights("fill_rows", None, none.reshape(1, -1))
        sums = empty(z.shape)
        super()._record_sums(none, sums)
        tape.release(none)
        self.of_inputs = sums, *(empty((len(z),), np.float64) for _ in range(2))
        how = self.own["norm_ih_weight"], bias, 1, EPS, self._offsets()
        call("layer_norm_forward", sums, *how, z, *self.of_inputs[1:])

    def _record_sums_backward(self, dz: Array) -> None:
        sums, *moments = self.of_inputs
        weight, gradient = (x["norm_ih_weight"] for x in (self.own, self.grads))
        how = weight, 1, *moments, dz, self._offsets()
        self.tape.call("layer_norm_backward", sums, *how, dz, gradient, None, self.tape.status)

    def _offsets(self) -> Array | None:
        """Of what `_record_sums` makes; a table has no steps."""
        return None if self.by_index else self.steps.offsets

    def _record_steps(self, inputs: Inputs) -> None:
        tape, rows, units = self.tape, self.steps.rows, self.layer.units
        self.kept = [tape.empty((rows, 4 * units)), tape.empty((rows, units))]
        self.kept += [tape.empty((rows,), np.float64) for _ in range(4)]
        names = "weight_hh", "norm_hh_weight", "norm_c_weight", "norm_c_bias"
        own = *(self.own[name] for name in names), EPS
        panels, ready = self._packed()
        to = self.gates, *self.arrays, *self.kept, panels, ready
        tape.call("lstm_norm_forward", self.steps.offsets, *own, *to)
        tape.release(panels)

    def _record_steps_backward(
        self, above: list[Array | None], initial: bool, d_states: list[Array], flow: Array
    ) -> None:
        tape, steps = self.tape, self.steps
        weight, norm_h, norm_c = (
            self.own[name] for name in ("weight_hh", "norm_hh_weight", "norm_c_weight")
        )
        sums, seen, *moments = self.kept
        d_sums, panels = tape.empty(sums.shape), tape.empty((self._room(),))
        squares = tape.empty((steps.rows, 4), np.float64)
        how = weight, norm_h, norm_c, *self.arrays, sums, *moments, *above, int(initial)
        to = self.gates, seen, d_sums, self.grads["weight_hh"], *d_states, flow, squares, panels
        tape.call("lstm_norm_backward", steps.offsets, *how, *to, tape.status)
        for used in (d_sums, panels, squares):
            tape.release(used)
        # the bias of norm_hh has its gradient with the others that are added to gates
        norm = norm_h, 1, *moments[:2], self.gates, steps.offsets, None
        tape.call(
            "layer_norm_backward", sums, *norm, self.grads["norm_hh_weight"], None, tape.status
        )
        norm = norm_c, 1, *moments[2:], seen, steps.offsets, None
        own = self.grads["norm_c_weight"], self.grads["norm_c_bias"]
        c = self.arrays[1][steps.sequences :]
        tape.call("layer_norm_backward", c, *norm, *own, tape.status)

    def release(self, outputs: bool) -> None:
        """Give back what no later call needs; the outputs, too, if nobody looks into them."""
        super().release(outputs)
        for used in (*self.of_inputs, *self.kept):
            self.tape.release(used)
