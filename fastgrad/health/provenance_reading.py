"""What the origin of a number that is not finite says: operation, place, cause."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastgrad.arena import Array
from fastgrad.containers import named_layers
from fastgrad.health.provenance_places import Place, Places
from fastgrad.health.provenance_tape import Call
from fastgrad.health.provenance_trace import Origin, Trace
from fastgrad.health.ranges import Range

# by what the names of kernels start with; the first that fits
_OPERATIONS = (
    ("activation", "activation"),
    ("elementwise_loss", "loss"),
    ("elementwise", "activation"),
    ("standardize", "normalization"),
    ("batch_norm", "normalization"),
    ("layer_norm", "normalization"),
    ("rnn", "recurrent step"),
    ("lstm", "recurrent step"),
    ("gru", "recurrent step"),
    ("dropout", "dropout"),
    ("penalty", "penalty"),
    ("residual", "sum"),
    ("add", "sum"),
    ("mse", "loss"),
    ("mae", "loss"),
    ("huber", "loss"),
    ("binary_cross_entropy", "loss"),
    ("cross_entropy", "loss"),
    ("soft_cross_entropy", "loss"),
)

# arguments of kernels, by what a user calls them
_NAMES = {
    "x": "input",
    "y": "output",
    "z": "output",
    "f": "output of the branch",
    "h": "state",
    "c": "cell state",
    "dy": "incoming gradient",
    "dx": "gradient of the input",
    "dz": "gradient of the output",
    "df": "gradient of the branch",
    "rows": "loss",
}


@dataclass(frozen=True)
class Reading:
    """What there is to say about an origin, but for whom it was passed on by."""

    kind: str
    operation: str
    layer: str | None
    tensor: str
    place: Place
    inputs: dict[str, Range]
    cause: str


class Reader:
    """Reads origins in a trace."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.places = Places(trace)
        self.layers = named_layers(trace.model.layers)

    def read(self, origin: Origin) -> Reading:
        """What this origin says."""
        if origin.argument is not None:
            return self._given(origin.call, origin.argument)
        return self._made(origin.call)

    # What the step was given.

    def _given(self, i: int, argument: str) -> Reading:
        call = self.trace.calls[i]
        array = call.arrays[argument]
        operation, tensor = self._source(array, argument)
        place = self.places.first_bad(i, argument)
        inputs = {tensor: call.before[argument]}
        if operation == "weights":
            return self._weights(i, tensor, place, inputs)
        kind = _kind(place.value)
        cause = f"the {operation} {tensor} is {kind} at {list(place.index)}"
        layer = call.layer or None if operation in ("statistics", "initial state") else None
        return Reading(kind, operation, layer, tensor, place, inputs, cause)

    def _source(self, array: Array, argument: str) -> tuple[str, str]:
        """What kind of given array that is, and its name."""
        trace, model = self.trace, self.trace.model
        given = {"x": trace.x, "y": trace.target, "sample_weight": trace.weight}
        for name, known in given.items():
            if known is not None and np.may_share_memory(known, array):
                return "input data", name
        parameter = self._parameter(array)
        if parameter is not None:
            return "weights", parameter
        for name, known in model.buffers.items():
            if np.may_share_memory(known, array):
                return "statistics", name
        for name, state in trace.tape.memory.of(len(trace.snapshot.x)).items():
            if np.may_share_memory(state.initial, array):
                return "initial state", name
        return "input data", "dy" if argument == "dz" else argument

    def _weights(self, i: int, tensor: str, place: Place, inputs: dict[str, Range]) -> Reading:
        """A parameter; where the optimizer is to blame for it, that is said."""
        snapshot, call = self.trace.snapshot, self.trace.calls[i]
        operation, cause = "weights", f"parameter {tensor} is {_kind(place.value)}"
        cause += f" at {list(place.index)}"
        part = next(part for part in snapshot.model.parts if part.name == tensor)
        element = part.start + int(np.ravel_multi_index(place.index, part.shape))
        bad = self._bad_state(element)
        gradient = float(snapshot.model.flat_grads[element])  # of the last step
        rate = snapshot.rate or 0.0
        most = float(np.finfo(snapshot.model.dtype).max)
        if bad:
            operation = "optimizer state"
            inputs |= bad
            cause += f", and so is the optimizer's {', '.join(bad)} for it"
        elif snapshot.steps and not call.backward and max(rate * abs(gradient), rate) > most:
            operation = "optimizer update"
            cause += f" after the update of step {snapshot.steps - 1}, with a learning rate of "
            cause += f"{rate:.3g} and a gradient of {gradient:.3g}"
        sample = time = None
        if call.bad_after:  # where it came into the step
            entered = self.places.first_bad(i, call.bad_after[0])
            if not self.places.is_everywhere(i, call.bad_after[0]):
                sample, time = entered.sample, entered.time_step
            elif entered.row is not None:
                time = entered.time_step
        where = Place(place.index, sample, time, place.value)
        layer = tensor.rpartition(".")[0]
        return Reading(_kind(place.value), operation, layer, tensor, where, inputs, cause)

    def _bad_state(self, element: int) -> dict[str, Range]:
        """The optimizer's vectors that are not finite at an element of the parameters."""
        found = {}
        for start, vectors in self.trace.snapshot.optimizer_state:
            for name, vector in vectors.items():
                at = element - start
                if 0 <= at < len(vector) and not np.isfinite(vector[at]):
                    found[name] = Range.of(vector)
        return found

    # What a call made of finite numbers.

    def _made(self, i: int) -> Reading:
        call = self.trace.calls[i]
        operation, argument = self._operation(call)
        place = self._place(i, argument)
        tensor = self._tensor(call, argument)
        if operation == "penalty" and argument == "g":
            tensor, place = self._penalized(place)
        if operation == "loss" and argument != "dz":
            place = self._of_loss(call, place)
        if call.kernel == "dense_forward":
            n, o = divmod(int((~np.isfinite(call.after[argument])).argmax()), len(call.after["w"]))
            fits = _fits(call.after["x"][n], call.after["w"][o], call.after.get("b", _NO_BIAS)[o:])
            operation = "activation" if fits else "product"
        elif place.row is not None and "w_ih" in call.after:  # inputs have their product here, too
            operation = self._of_inputs(call, place.row, operation)
        inputs = {
            self._tensor(call, name, read=True): seen
            for name, seen in call.before.items()
            if not self._is_output(call, name)
        }
        if operation == "recurrent step" and place.row is not None and not call.backward:
            inputs |= self._states_before(i, place.row)
        kind = _kind(place.value)
        told = ", ".join(f"{name} up to {seen.largest:.3g}" for name, seen in inputs.items())
        cause = f"{self._actor(call, operation)} makes {kind} of finite numbers"
        cause += f" ({told})" if told else ""
        cause += _when(place)
        return Reading(kind, operation, call.layer or None, tensor, place, inputs, cause)

    def _operation(self, call: Call) -> tuple[str, str]:
        """The operation, and which of the arrays shows it."""
        bad = call.bad_after
        if not call.kernel:
            return "Python layer", bad[0]
        if call.kernel == "dense_forward":
            return "product", bad[0]
        if call.kernel == "dense_backward":
            return ("activation", "dy") if "dy" in bad else ("gradient product", bad[0])
        for start, operation in _OPERATIONS:
            if call.kernel.startswith(start):
                return operation, bad[0]
        return ("gradient product" if call.backward else "product"), bad[0]

    def _of_inputs(self, call: Call, row: int, operation: str) -> str:
        """Whether it was the product of the inputs of that row of steps that left the dtype."""
        x, w = call.after["x"][row], call.after["w_ih"]
        return operation if all(_fits(x, of_gate, _NO_BIAS) for of_gate in w) else "product"

    def _states_before(self, i: int, row: int) -> dict[str, Range]:
        """How large states were in the steps before that row's."""
        call, steps = self.trace.calls[i], self.trace.steps_of(i)
        assert steps is not None
        step = int(steps.offsets.searchsorted(row, "right")) - 1
        end = self.places.samples + int(steps.offsets[step])
        return {_NAMES[n]: Range.of(call.after[n][:end]) for n in ("h", "c") if n in call.after}

    def _place(self, i: int, argument: str) -> Place:
        call = self.trace.calls[i]
        if call.kernel and call.kernel.startswith(("rnn", "lstm", "gru")) and not call.backward:
            places = [self.places.first_bad(i, name) for name in call.bad_after]
            return min(places, key=lambda place: -1 if place.row is None else place.row)
        place = self.places.first_bad(i, argument)
        of_all = call.kernel == "batch_norm_forward" and self.places.is_everywhere(i, argument)
        if of_all:  # statistics of all samples are of none
            return Place(place.index, None, None, place.value)
        if place.sample is None:
            return self._of_sum(i, argument, place)
        return place

    def _of_sum(self, i: int, argument: str, place: Place) -> Place:
        """That of a sum over samples, with the sample and the time of its largest term."""
        call = self.trace.calls[i]
        dz = next((name for name in ("gates", "dz", "dy") if name in call.after), None)
        if dz is None or not call.backward:
            return place
        terms = abs(call.after[dz].astype(np.float64))
        if call.kernel == "dense_backward" and argument in ("dw", "db"):
            terms = terms[:, place.index[0]]
            if argument == "dw":
                terms = terms * abs(call.after["x"][:, place.index[1]])
        else:
            terms = terms.reshape(len(terms), -1).max(axis=1)
        sample, time = self.places.of_row(i, dz, int(terms.argmax()))
        return Place(place.index, sample, time, place.value)

    def _penalized(self, place: Place) -> tuple[str, Place]:
        """Which parameter's gradient that is, of those of all in one vector."""
        parts = self.trace.model.parts
        part = next(part for part in parts if part.start <= place.index[0] < part.stop)
        index = np.unravel_index(place.index[0] - part.start, part.shape)
        return part.name, Place(tuple(map(int, index)), None, None, place.value)

    def _of_loss(self, call: Call, place: Place) -> Place:
        """The sample of a loss, and of its outputs the one farthest from its target."""
        if place.sample is None:  # a sum of finite terms
            return place
        z, target = (call.arrays[name] for name in ("z", "target"))
        row = int((~np.isfinite(call.after["rows"])).argmax())
        away = z[row] - target[row] if z.shape == target.shape else z[row]
        index = (*place.index, int(abs(away.astype(np.float64)).argmax()))
        return Place(index, place.sample, place.time_step, place.value)

    # Names.

    def _parameter(self, array: Array) -> str | None:
        params = self.trace.model.params.items()
        return next((name for name, own in params if np.may_share_memory(own, array)), None)

    def _tensor(self, call: Call, name: str, read: bool = False) -> str:
        array = call.arrays[name]
        if array is self.trace.target or (call.kernel and name == "target"):
            return "target"
        parameter = self._parameter(array)
        if parameter is not None:
            return parameter
        for own, gradient in self.trace.model.grads.items():
            if np.may_share_memory(gradient, array):
                return f"gradient of {own}" if read else own
        if name == "z" and call.layer:
            return "sum"
        return _NAMES.get(name, name)

    def _is_output(self, call: Call, name: str) -> bool:
        """Whether it is only written; what is read and then written has numbers before."""
        written = call.written is None or name in call.written
        return written and call.before[name].largest == 0

    def _actor(self, call: Call, operation: str) -> str:
        if not call.layer:
            name = str(call.settings.get("formula", call.kernel))
            return f"the loss {name}" if operation == "loss" else f"the {operation}"
        kind = type(self.layers[call.layer]).__name__ if call.layer in self.layers else "layer"
        which = f"layer {call.layer} ({kind})"
        if operation == "Python layer":
            return f"{which}, written in Python,"
        told = call.settings.get("activation")
        if operation == "activation" and told is not None:
            operation = f"{'derivative of ' if call.backward else ''}{told}"
        elif call.backward and operation != "gradient product":
            operation = f"gradient of the {operation}"
        return f"the {operation} in {which}"


_NO_BIAS = np.zeros(0)


def _fits(x: Array, w: Array, bias: Array) -> bool:
    """Whether no partial sum of ``x . w + bias[0]`` can leave the dtype."""
    with np.errstate(over="ignore"):
        size = (abs(x.astype(np.float64)) * abs(w)).sum() + abs(bias[:1]).sum()
    return bool(size <= np.finfo(x.dtype).max)


def _kind(value: float) -> str:
    return "nan" if np.isnan(value) else "inf"


def _when(place: Place) -> str:
    told = []
    if place.sample is not None:
        told.append(f"sample {place.sample}")
    if place.time_step is not None:
        told.append(f"time step {place.time_step}")
    return f" at {', '.join(told)}" if told else ""
