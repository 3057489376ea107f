"""Provenance in sequences: the time step and the sample at which recurrent layers first failed."""

from __future__ import annotations

import numpy as np
import pytest

import fastgrad as fg

# NumPy, and so the reference, says where numbers overflow
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

T, BAD, WHEN = 9, 2, 3  # steps; the sample and the time step at which it begins
MANY, FEW = 6, 3  # sequences; of few of them inputs are multiplied before the steps


def inputs(sequences, value=1.0, features=1):
    """Zeros, but for one number in one sample at one time step."""
    x = np.zeros((sequences, T, features), np.float32)
    x[BAD, WHEN, 0] = value
    return x


def explosive(**options):
    """A state of 1 becomes 1e10 a step later: after four steps it leaves float32."""
    layer = fg.RNN(1, 1, "identity", weight_init="ones", recurrent_init=np.full((1, 1), 1e10),
                   **options)  # fmt: skip
    return fg.Sequential(layer, fg.Dense(1, 1), rng=0)


KINDS = {
    "rnn": lambda: [fg.RNN(3, 4, bidirectional=True, num_layers=2), fg.Dense(8, 2)],
    "reverse": lambda: [fg.GRU(3, 4, reverse=True, return_sequences=True), fg.Dense(4, 2)],
    "gru": lambda: [fg.GRU(3, 4, reset_after=False, learn_initial=True), fg.Dense(4, 2)],
    "lstm": lambda: [fg.LSTM(3, 4, peepholes=True, num_layers=2, dropout=0.2), fg.Dense(4, 2)],
    "norm": lambda: [fg.LSTM(3, 4, layer_norm=True), fg.LayerNorm(4), fg.Dense(4, 2)],
    "one hot": lambda: [fg.LSTM(3, 4, one_hot=True), fg.Residual(fg.Dense(4, 4), learn_scale=True)],
    "norm one hot": lambda: [fg.LSTM(3, 4, one_hot=True, layer_norm=True), fg.Dense(4, 2)],
    "table": lambda: [fg.Embedding(3, 4), fg.Parallel(fg.GRU(4, 2), fg.LSTM(4, 3)), fg.Dense(5, 2)],
}


@pytest.mark.parametrize("sequences", [5, 1])
@pytest.mark.parametrize("with_lengths", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_is_found(kind, with_lengths, sequences, recurrent):
    """A NaN at a random place of each of them in turn; and none in the healthy model."""
    rng = np.random.default_rng(0)
    model = fg.Sequential(*KINDS[kind](), rng=0)
    shape = (sequences, 6) if model.indices else (sequences, 6, 3)
    x = rng.integers(3, size=shape) if model.indices else rng.standard_normal(shape)
    x.reshape(-1)[:3] = range(3)  # all indices are used
    lengths = np.array([6, 3, 4, 6, 1])[:sequences] if with_lengths else None
    y = np.zeros(model.output_shape(shape))
    assert fg.health.provenance(model, x, y, "mse", lengths=lengths) is None
    for name, view in model.params.items():
        place = tuple(int(rng.integers(size)) for size in view.shape)
        before = view[place]
        view[place] = np.nan
        found = fg.health.provenance(model, x, y, "mse", lengths=lengths)
        assert (found.operation, found.tensor, found.index) == ("weights", name, place)
        assert name.startswith(f"{found.layer}.")
        view[place] = before


def found_in(model, x, **more):
    found = fg.health.provenance(model, x, **more)
    trainer = fg.Trainer(model, "mse")
    y = np.zeros(model.output_shape(x.shape))
    before = model.flat_params.copy()
    with pytest.raises(fg.GradientError) as caught:
        trainer.step(x, y, lengths=more.get("lengths"))
    np.testing.assert_array_equal(model.flat_params, before)
    seen = caught.value.provenance
    names = "kind", "operation", "layer", "sample", "time_step", "tensor", "index"
    assert [getattr(found, n) for n in names] == [getattr(seen, n) for n in names]
    return seen


@pytest.mark.parametrize("sequences", [MANY, FEW])
@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_an_explosion_in_time(sequences, return_sequences, reverse, recurrent):
    x = inputs(sequences)
    if reverse:
        x = x[:, ::-1]
    model = explosive(return_sequences=return_sequences, reverse=reverse)
    found = found_in(model, np.ascontiguousarray(x))
    assert (found.kind, found.operation, found.layer) == ("inf", "recurrent step", "0")
    when = WHEN + 4
    assert (found.sample, found.time_step) == (BAD, T - 1 - when if reverse else when)
    assert found.index[:2] == (found.sample, found.time_step)
    assert found.passed_on == ("1",)
    assert f"sample {BAD}, time step {found.time_step}" in found.cause
    np.testing.assert_allclose(found.inputs["state"].largest, 1e30, rtol=1e-5)


@pytest.mark.parametrize("sequences", [MANY, FEW])
@pytest.mark.parametrize("reverse", [False, True])
def test_with_lengths(sequences, reverse, recurrent):
    """The longest sequence comes first in the kernels, and padding has no part in it."""
    lengths = np.array([3, 9, 8, 5, 4, 0])[:sequences]
    x = np.zeros((sequences, T, 1), np.float32)
    x[BAD, 7 - WHEN if reverse else WHEN] = 1
    x[0, 4:] = 1e30
    found = found_in(explosive(reverse=reverse), x, lengths=lengths)
    when = WHEN + 4
    assert (found.sample, found.time_step) == (BAD, 7 - when if reverse else when)


def test_the_reverse_direction_of_two(recurrent):
    model = fg.Sequential(
        fg.RNN(1, 1, "identity", bidirectional=True, weight_init="ones", return_sequences=True),
        fg.Dense(2, 1),
        rng=0,
    )
    model.params["0.weight_hh_l0"][...] = 0.5
    model.params["0.weight_hh_l0_reverse"][...] = 1e10
    found = found_in(model, inputs(MANY)[:, ::-1].copy())
    assert (found.operation, found.layer) == ("recurrent step", "0")
    assert (found.sample, found.time_step) == (BAD, T - 1 - (WHEN + 4))


def test_the_second_level(recurrent):
    model = fg.Sequential(
        fg.RNN(1, 1, "identity", num_layers=2, weight_init="ones"), fg.Dense(1, 1), rng=0
    )
    model.params["0.weight_hh_l0"][...] = 0
    model.params["0.weight_hh_l1"][...] = 1e10
    found = found_in(model, inputs(MANY))
    assert (found.operation, found.layer) == ("recurrent step", "0")
    assert (found.sample, found.time_step) == (BAD, WHEN + 4)


@pytest.mark.parametrize("sequences", [MANY, FEW])
def test_the_product_of_the_inputs(sequences, recurrent):
    model = fg.Sequential(fg.RNN(1, 1, "identity", weight_init="ones"), fg.Dense(1, 1), rng=0)
    model.params["0.weight_ih_l0"][...] = 1e10
    found = found_in(model, inputs(sequences, 1e30))
    assert found.operation == "product"
    assert (found.layer, found.sample, found.time_step) == ("0", BAD, WHEN)


def test_a_gate_that_is_closed_on_something_infinite(recurrent):
    """GRU: r is 0, and what it is multiplied with overflows one step after the input."""
    model = fg.Sequential(fg.GRU(1, 1), fg.Dense(1, 1), rng=0)
    model.params["0.weight_ih_l0"][:, 0] = 0, 0, 10
    model.params["0.weight_hh_l0"][:, 0] = 0, 0, 3e38
    model.params["0.bias_ih_l0"][...] = -1000, -1000, 0
    model.params["0.bias_hh_l0"][...] = 0, 0, 3e38
    found = found_in(model, inputs(MANY))
    assert (found.kind, found.operation) == ("nan", "recurrent step")
    assert (found.layer, found.sample, found.time_step) == ("0", BAD, WHEN + 1)


def test_a_normalized_lstm(recurrent):
    """The first state makes sums that overflow, and have no mean then."""
    model = fg.Sequential(fg.LSTM(1, 4, layer_norm=True), fg.Dense(4, 1), rng=0)
    model.params["0.weight_hh_l0"][...] = np.where(np.arange(16) % 2, 3e38, -3e38)[:, None]
    model.params["0.norm_c_bias_l0"][...] = 1e3
    found = found_in(model, inputs(MANY))
    assert (found.kind, found.operation, found.layer) == ("nan", "recurrent step", "0")
    assert (found.sample, found.time_step) == (0, 1)


@pytest.mark.parametrize("cell", [fg.RNN, fg.LSTM, fg.GRU])
@pytest.mark.parametrize("sequences", [MANY, FEW])
@pytest.mark.parametrize("reverse", [False, True])
def test_an_input_that_is_nan(cell, sequences, reverse, recurrent):
    model = fg.Sequential(cell(1, 3, reverse=reverse), fg.Dense(3, 1), rng=0)
    x = np.random.default_rng(0).standard_normal((sequences, T, 1)).astype(np.float32)
    x[BAD, WHEN] = np.nan
    found = fg.health.provenance(model, x)
    assert (found.kind, found.operation, found.tensor) == ("nan", "input data", "x")
    assert (found.sample, found.time_step, found.index) == (BAD, WHEN, (BAD, WHEN, 0))
    assert found.passed_on == ("0", "1")


@pytest.mark.parametrize("cell", [fg.RNN, fg.LSTM, fg.GRU])
def test_padding_that_is_nan_is_no_origin(cell, recurrent):
    model = fg.Sequential(cell(1, 3), fg.Dense(3, 1), rng=0)
    x = inputs(MANY)
    x[BAD, 5:] = np.nan
    lengths = np.full(MANY, 5)
    assert fg.health.provenance(model, x, lengths=lengths) is None
    x[BAD + 1, 4] = np.inf
    found = fg.health.provenance(model, x, lengths=lengths)
    assert (found.sample, found.time_step, found.kind) == (BAD + 1, 4, "inf")


@pytest.mark.parametrize("cell", [fg.RNN, fg.LSTM, fg.GRU])
@pytest.mark.parametrize("name", ["weight_ih_l0", "weight_hh_l1", "bias_ih_l1"])
def test_a_weight_that_is_nan(cell, name, recurrent):
    model = fg.Sequential(cell(1, 3, num_layers=2), fg.Dense(3, 1), rng=0)
    model.params[f"0.{name}"].flat[1] = np.nan
    found = found_in(model, inputs(MANY))
    assert (found.operation, found.tensor, found.layer) == ("weights", f"0.{name}", "0")
    assert np.ravel_multi_index(found.index, model.params[f"0.{name}"].shape) == 1
    # a bias becomes part of the gates of all steps at once
    assert (found.sample, found.time_step) == (None, None if "bias" in name else 0)
    assert found.passed_on == ("1",)


@pytest.mark.parametrize("sequences", [MANY, FEW])
@pytest.mark.parametrize("lengths", [False, True])
def test_gradients_that_explode_in_time(sequences, lengths, recurrent):
    """States are 0, and only the gradient of one sample, from its last step on, grows."""
    model = fg.Sequential(
        fg.RNN(1, 1, "identity", recurrent_init=np.full((1, 1), 1e10)), fg.Dense(1, 1), rng=0
    )
    model.params["1.weight"][...] = 1
    x = np.zeros((sequences, T, 1), np.float32)
    y = np.zeros((sequences, 1))
    y[BAD] = sequences / 2  # a gradient of -1
    steps = np.full(sequences, T)
    steps[BAD] = 7
    trainer = fg.Trainer(model, "mse")
    with pytest.raises(fg.GradientError) as caught:
        trainer.step(x, y, lengths=steps if lengths else None)
    found = caught.value.provenance
    assert (found.kind, found.operation, found.backward) == ("inf", "recurrent step", True)
    last = (7 if lengths else T) - 1
    assert (found.sample, found.time_step) == (BAD, last - 4)


def test_a_window_says_the_time_of_the_whole_sequence(recurrent):
    """With bptt, whose windows are 4 steps long."""
    model = explosive(return_sequences=True)
    model.params["1.weight"][...] = 1e-30
    trainer = fg.Trainer(model, "mse", fg.SGD(1e-300), rng=0)
    with pytest.raises(fg.GradientError) as caught:
        trainer.epoch(inputs(MANY), np.zeros((MANY, T, 1)), batch_size=3, bptt=4)
    found = caught.value.provenance
    assert (found.operation, found.row, found.time_step) == ("recurrent step", BAD, WHEN + 4)


def test_a_state_that_goes_on(recurrent):
    model = fg.Sequential(fg.LSTM(1, 3, stateful=True), fg.Dense(3, 1), rng=0)
    trainer = fg.Trainer(model, "mse")
    trainer.step(inputs(MANY), np.zeros((MANY, 1)))
    kept = {name: array.copy() for name, array in model._memory.lasting().items()}
    model._memory.lasting()[f"{MANY}.0.c_l0"][BAD, 1] = np.inf
    with pytest.raises(fg.GradientError) as caught:
        trainer.step(inputs(MANY), np.zeros((MANY, 1)))
    found = caught.value.provenance
    assert (found.operation, found.tensor, found.layer) == ("initial state", "0.c_l0", "0")
    assert found.index == (BAD, 1)
    kept[f"{MANY}.0.c_l0"][BAD, 1] = np.inf
    for name, array in model._memory.lasting().items():
        np.testing.assert_array_equal(array, kept[name])


def test_layers_that_look_at_each_step(backend):
    """A dense layer over sequences knows the time step, too, and so does the loss."""
    model = fg.Sequential(fg.Dense(1, 2, weight_init="ones"), fg.Dense(2, 1), rng=0)
    model.params["1.weight"][...] = 1e4
    found = fg.health.provenance(model, inputs(MANY, 1e35))
    assert (found.layer, found.sample, found.time_step) == ("1", BAD, WHEN)
    assert found.index == (BAD, WHEN, 0)
    y = np.zeros((MANY, T, 1))
    y[BAD, WHEN] = 1e200
    model = fg.Sequential(fg.Dense(1, 1), rng=0, dtype="float64")
    found = fg.health.provenance(model, inputs(MANY), y, "mse")
    assert (found.operation, found.sample, found.time_step) == ("loss", BAD, WHEN)
