"""Recurrent layers against PyTorch: values, states and all gradients of golden/recurrent.npz."""

from __future__ import annotations

import numpy as np
import pytest
from recurrent_golden import load

import fastgrad as fg

CASES = load()
KINDS = {"lstm": fg.LSTM, "gru": fg.GRU, "rnn": fg.RNN}
OWN = {"lstm": ("peepholes",), "gru": ("reset_after",), "rnn": ("activation",)}
SHARED = ("num_layers", "bidirectional", "bias", "learn_initial")
# Of the largest number of an array: what a few steps of a few units may lose
TOLERANCE = {np.dtype("float64"): 1e-10, np.dtype("float32"): 1e-4}


class Run:
    """A model of one layer, with the parameters and the inputs of a case."""

    def __init__(self, name, dtype, **options):
        self.how, self.arrays = CASES[name]
        cell = self.how["cell"]
        own = {k: self.how[k] for k in SHARED + OWN[cell]}
        if cell == "lstm":
            own["layer_norm"] = self.how["norm"]
        units = self.arrays["weight_hh_l0"].shape[1]
        inputs = self.arrays["x"].shape[2]
        options = {"return_sequences": True, **own, **options}
        self.model = fg.Sequential(KINDS[cell](inputs, units, **options), rng=0, dtype=dtype)
        for key, view in self.model.params.items():
            view[...] = self.arrays[key[2:]]
        ends = [f"l{level}{end}" for level in range(self.how["num_layers"])
                for end in ("", "_reverse")[: 1 + self.how["bidirectional"]]]  # fmt: skip
        self.names = {
            s: [f"0.{s}_{end}" for end in ends] for s in ("hc" if cell == "lstm" else "h")
        }
        self.lengths = self.how["lengths"]

    def by_state(self, name):
        """A stack of states as PyTorch has it, by name; `name` is h0 or d{}_n."""
        return {
            key: array
            for s, keys in self.names.items()
            for key, array in zip(keys, self.arrays[name.format(s)], strict=True)
        }

    def stacked(self, states, s):
        return np.stack([states[key] for key in self.names[s]])

    def start(self):
        """The initial states, by name: those of the case, or zeros."""
        if self.how["states"]:
            return self.by_state("{}0")
        if not self.how["learn_initial"]:
            return {}
        rows = len(self.arrays["x"])
        learned = {k: self.arrays[f"initial_{k[2:]}"] for keys in self.names.values() for k in keys}
        return {k: np.tile(v, (rows, 1)) for k, v in learned.items()}


def assert_scaled(got, wanted, dtype, what):
    scale = np.abs(wanted).max()
    assert np.abs(got - wanted).max() <= TOLERANCE[dtype] * scale, what


@pytest.mark.parametrize("name", CASES)
def test_values_states_and_gradients(level, dtype, name):
    run = Run(name, dtype)
    model, arrays = run.model, run.arrays
    y = model.forward(arrays["x"], lengths=run.lengths, states=run.start())
    assert_scaled(y, arrays["y"], dtype, "y")
    for s in run.names:
        assert_scaled(run.stacked(model.states, s), arrays[f"{s}_n"], dtype, f"{s}_n")
    dx = model.backward(arrays["dy"], d_states=run.by_state("d{}_n"))
    assert_scaled(dx, arrays["dx"], dtype, "dx")
    given = model.state_grads
    for key, gradient in model.grads.items():
        if not key.startswith("0.initial"):
            assert_scaled(gradient, arrays[f"grad.{key[2:]}"], dtype, key)
        else:  # all rows start from it
            of_rows = given["0." + key[len("0.initial_") :]].sum(axis=0)
            assert_scaled(of_rows, arrays[f"grad.{key[2:]}"], dtype, key)
    if run.how["states"]:
        for s in run.names:
            assert_scaled(run.stacked(given, s), arrays[f"d{s}0"], dtype, f"d{s}0")


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name][0]["learn_initial"]])
def test_learned_initial_states(level, dtype, name):
    """A gradient is the sum of that of dy and that of the final states, which needs `states`."""
    run = Run(name, dtype)
    model, arrays = run.model, run.arrays
    y = model.forward(arrays["x"], lengths=run.lengths, states=run.start())
    of_final = {"dx": model.backward(0 * arrays["dy"], d_states=run.by_state("d{}_n"))}
    of_final |= {k: v.copy() for k, v in model.grads.items()}
    for key, of_rows in model.state_grads.items():
        of_final[f"0.initial_{key[2:]}"] = of_rows.sum(axis=0)
    again = model.forward(arrays["x"], lengths=run.lengths)
    assert again.tobytes() == y.tobytes()
    dx = model.backward(arrays["dy"])
    assert_scaled(dx + of_final["dx"], arrays["dx"], dtype, "dx")
    for key, gradient in model.grads.items():
        assert_scaled(gradient + of_final[key], arrays[f"grad.{key[2:]}"], dtype, key)


@pytest.mark.parametrize("variant", ["lengths", "bidirectional_lengths", "layers"])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn_tanh"])
def test_without_sequences_it_is_the_final_state(level, dtype, cell, variant):
    """Of the top level; and a gradient of it is that of the final state."""
    name = f"{cell}.{variant}"
    run, whole = Run(name, dtype, return_sequences=False), Run(name, dtype)
    y = run.model.forward(run.arrays["x"], lengths=run.lengths)
    directions = 1 + run.how["bidirectional"]
    h = run.arrays["h_n"][-directions:]
    assert_scaled(y, np.concatenate(list(h), axis=1), dtype, "y")
    dy = np.random.default_rng(0).standard_normal(y.shape)
    dx = run.model.backward(dy)
    whole.model.forward(run.arrays["x"], lengths=run.lengths, states={})
    above = dict(zip(run.names["h"][-directions:], np.split(dy, directions, axis=1), strict=True))
    wanted = whole.model.backward(0 * run.arrays["dy"], d_states=above)
    assert_scaled(dx, wanted, dtype, "dx")
    for key, gradient in run.model.grads.items():
        assert_scaled(gradient, whole.model.grads[key], dtype, key)
