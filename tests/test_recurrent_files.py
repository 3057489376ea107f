"""Models with recurrent layers: files, copies, summaries, layers within layers."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from nets import bits

import fastgrad as fg
from fastgrad import backends
from fastgrad.program import Tape, Workspace

pytestmark = pytest.mark.usefixtures("recurrent")

N, T, F, H = 5, 6, 3, 4
SEQUENCES = {"return_sequences": True}
MODELS = {
    "rnn": lambda: [fg.RNN(F, H, "leaky_relu", alpha=0.3)],
    "lstm": lambda: [fg.LSTM(F, H, num_layers=2, dropout=0.2, peepholes=True, forget_bias=2.0)],
    "norm": lambda: [fg.LSTM(F, H, bidirectional=True, layer_norm=True)],
    "gru": lambda: [fg.GRU(F, H, reset_after=False, bidirectional=True, bias=False)],
    "learned": lambda: [fg.LSTM(F, H, learn_initial=True, reverse=True)],
    "stateful": lambda: [fg.GRU(F, H, stateful=True)],
    "two": lambda: [fg.LSTM(F, H, **SEQUENCES), fg.GRU(H, 2), fg.Dense(2, 1)],
    "within": lambda: [
        fg.Sequential(fg.Standardize(F), fg.Dense(F, H, "tanh")),
        fg.Residual(fg.GRU(H, H, **SEQUENCES), fg.LayerNorm(H)),
        fg.Sequential(fg.Sequential(fg.LSTM(H, 2))),
    ],
    "side by side": lambda: [fg.Parallel(fg.LSTM(F, H), fg.RNN(F, H), fg.GRU(F, H))],
    "words": lambda: [fg.Embedding(9, F), fg.GRU(F, H)],
    "one-hot": lambda: [fg.LSTM(9, H, one_hot=True, bidirectional=True, **SEQUENCES)],
}


def make(kind):
    return fg.Sequential(*MODELS[kind](), rng=0)


def inputs(model, rng):
    if model.indices is not None:
        return rng.integers(9, size=(N, T))
    x = rng.standard_normal((N, T, F))
    model.fit_input(x, again=False)
    return x


def trained(kind, rng):
    model = make(kind)
    x = inputs(model, rng)
    y = np.zeros(model.output_shape((N, *x.shape[1:])))
    fg.Trainer(model, "mse", fg.SGD(0.1), rng=0).step(x, y)
    model.reset_states()
    return model, x


@pytest.mark.parametrize("kind", MODELS)
def test_files_and_copies_are_the_model(kind, rng, tmp_path):
    model, x = trained(kind, rng)
    path = tmp_path / "model.safetensors"
    model.save(path)
    lengths = [6, 0, 2, 5, 1]
    found = []
    for same in (model, fg.load(path), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert [repr(layer) for layer in same.layers] == [repr(layer) for layer in model.layers]
        outputs = [same.predict(x)]
        same.reset_states()
        outputs.append(same.predict(x, lengths=lengths))
        found.append(bits(same.flat_params, *outputs))
    assert len(set(found)) == 1


@pytest.mark.parametrize("kind", MODELS)
def test_all_backends_agree_on_states(kind, rng):
    model, x = trained(kind, rng)
    model.predict(x)
    states, before = model.states, backends.active().name
    fg.use_backend("reference")
    model.reset_states()
    model.predict(x)
    fg.use_backend(before)
    assert states.keys() == model.states.keys() != set()
    for name, state in model.states.items():
        np.testing.assert_allclose(states[name], state, atol=1e-5)


def test_branches_have_states_of_their_own(rng):
    model, x = trained("side by side", rng)
    y = model.predict(x)
    names = ["0.0.h_l0", "0.1.h_l0", "0.2.h_l0"]
    assert bits(y) == bits(np.concatenate([model.states[name] for name in names], axis=1))


KINDS = {"rnn": (fg.RNN, 1), "lstm": (fg.LSTM, 4), "gru": (fg.GRU, 3)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_summary_counts_products(kind):
    """All but the products is of the order of H for each step."""
    cell, gates = KINDS[kind]
    features, units = 40, 50
    model = fg.Sequential(fg.Dense(7, features), cell(features, units, **SEQUENCES), rng=0)
    layer = model.summary((8, 30, 7)).layers[1]
    product = 2 * gates * units * (features + units)
    assert layer.output_shape == (8, 30, units)
    assert layer.parameters == gates * units * (features + units + 2)
    assert layer.flops_forward == 30 * (product + 8 * gates * units)
    # the gradients of weights and of what comes in are as many
    assert layer.flops_backward == 30 * (2 * product + 16 * gates * units)
    first = fg.Sequential(cell(features, units), rng=0).summary((8, 30, features)).layers[0]
    no_dx = 30 * 2 * gates * units * features
    assert first.flops_backward == layer.flops_backward - no_dx
    assert first.output_shape == (8, units)
    both = cell(features, units, bidirectional=True, num_layers=2)
    above = 2 * gates * units * (2 * units + units)
    assert both.flops((1, 30, features), False)[0] == 2 * 30 * (
        product + above + 2 * 8 * gates * units
    )
    words = cell(features, units, one_hot=True)
    assert words.flops((1, 30), False)[0] == 30 * gates * units * (1 + 2 * units + 8)


@pytest.mark.parametrize("one_hot", [False, True])
def test_a_summary_counts_norms(one_hot):
    """Those of inputs and states over all gates, that of c over the units, as layers would be."""
    features, units, shape = 7, 5, (3, 4)
    x = shape if one_hot else (*shape, features)
    how = {"bidirectional": True, "num_layers": 2, "one_hot": one_hot}
    plain = fg.LSTM(features, units, **how).flops(x, False)
    found = fg.LSTM(features, units, layer_norm=True, **how).flops(x, False)
    gates, c = fg.LayerNorm(4 * units), fg.LayerNorm(units)
    unbiased = fg.LayerNorm(4 * units, bias=False)
    of_inputs = [unbiased.flops((*shape, 4 * units), True) for _ in range(2)]
    if one_hot:
        of_inputs[0] = unbiased.flops((features, 4 * units), True)
    norms = [*of_inputs]
    norms += 2 * [gates.flops((*shape, 4 * units), True), c.flops((*shape, units), True)]
    for i in range(2):
        assert found[i] - plain[i] == 2 * sum(norm[i] for norm in norms)


MEMORY = [
    {},
    SEQUENCES,
    {"bidirectional": True},
    {"bidirectional": True, "num_layers": 2, "return_sequences": True},
    {"num_layers": 2, "dropout": 0.3, **SEQUENCES},
    {"reverse": True},
    {"one_hot": True},
]


KEPT = [(kind, how) for kind in KINDS for how in MEMORY]
KEPT += [("lstm", how | {"layer_norm": True}) for how in MEMORY[:-1]]


@pytest.mark.parametrize(("kind", "how"), KEPT, ids=str)
def test_a_summary_counts_what_training_keeps(kind, how):
    """All that the forward pass has not given back."""
    rows, times, features, units = 32, 16, 16, 32
    layer = KINDS[kind][0](features, units, **how)
    model = fg.Sequential(layer, rng=0)
    tape = Tape(backends.active(), Workspace(), model.dtype)
    shape = (rows, times) if how.get("one_hot") else (rows, times, features)
    model.record(tape, np.zeros(shape, model.input_dtype), train=True)
    live = {}  # the last array at each place that has not been given back
    for array in tape.keep:
        place = array.ctypes.data if isinstance(array, np.ndarray) else None
        if place in tape._owner and tape._owner[place] not in tape._free:
            live[place] = array.nbytes
    assert sum(live.values()) == layer.activation_bytes(shape, 4)
    assert model.summary(shape).layers[0].activation_bytes * rows == layer.activation_bytes(
        shape, 4
    )


def test_a_summary_needs_sequences():
    for layer in (fg.LSTM(F, H), fg.GRU(9, H, one_hot=True)):
        shape = (4,) if layer.one_hot else (4, F)
        with pytest.raises(ValueError, match=r"needs sequences \(N, T.*got shape \(1"):
            fg.Sequential(layer).summary(shape)


def test_a_range_test_takes_lengths(rng):
    x, y = rng.standard_normal((40, T, F)), rng.integers(2, size=40)
    lengths = rng.integers(1, T + 1, 40)
    padding = np.arange(T) >= lengths[:, None]
    found = []
    for value in (0.0, 1e6):
        x[padding] = value
        model = fg.Sequential(fg.Standardize(F), fg.GRU(F, H), fg.Dense(H, 2), rng=0)
        how = {"loss": "cross_entropy", "lengths": lengths, "steps": 12, "batch_size": 8, "rng": 0}
        found.append(bits(fg.lr_range_test(model, x, y, **how).losses))
    assert found[0] == found[1]
