"""Layer-normalized LSTMs: whole layers, with all that other recurrent layers can do."""

from __future__ import annotations

import numpy as np
import pytest
from nets import bits
from rounding import assert_within, rounding

import fastgrad as fg

N, T, INPUTS, H = 4, 6, 3, 12
LENGTHS = [3, 6, 0, 4]
OPTIONS = {
    "plain": {},
    "last": {"return_sequences": False},
    "one way back": {"reverse": True},
    "no bias": {"bias": False},
    "learned": {"learn_initial": True},
    "levels": {"num_layers": 2, "bidirectional": True, "learn_initial": True},
    "one hot": {"one_hot": True, "bidirectional": True},
}
options = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
lengths = pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])


def make(rng, inputs=INPUTS, units=H, dtype="float64", **options):
    """A model of one layer; no parameter has a value that would hide an error, such as 0 or 1."""
    options = {"return_sequences": True, "layer_norm": True} | options
    model = fg.Sequential(fg.LSTM(inputs, units, **options), rng=0, dtype=dtype)
    for name, view in model.params.items():
        scale = "norm" in name and "weight" in name
        view[...] = scale + 0.5 * rng.standard_normal(view.shape)
    return model


def data(rng, model, rows=N, times=T):
    if model.indices is not None:
        return rng.integers(model.indices, size=(rows, times))
    signs = rng.choice([-1, 1], (rows, times, model.inputs))
    return signs * rng.uniform(0.5, 1.5, signs.shape)  # near 0 a norm is steep


def passes(model, x, dy, lengths):
    """Output, gradient of x and of all parameters."""
    y = model.forward(x, lengths=lengths)
    dx = model.backward(dy, input_grad=model.indices is None)
    found = {"y": y, **{name: g.copy() for name, g in model.grads.items()}}
    return found if dx is None else found | {"dx": dx}


@lengths
@options
def test_gradients(backend, rng, options, lengths):
    model = make(rng, **options)
    x = data(rng, model)
    names = list(model.params)
    given = [model.params[name].copy() for name in names]
    if model.indices is None:
        given.append(x)

    def put(arrays):
        for name, array in zip(names, arrays, strict=False):
            model.params[name][...] = array
        return arrays[-1] if model.indices is None else x

    def function(*arrays):
        return model.forward(put(arrays), lengths=lengths)

    def vjp(dy, *arrays):
        found = passes(model, put(arrays), dy, lengths)
        return [found[name] for name in (*names, "dx") if name in found]

    assert fg.gradcheck(function, *given, vjp=vjp)


@options
def test_padding_changes_no_bit(backend, rng, dtype, options):
    model = make(rng, dtype=dtype, **options)
    x, found = data(rng, model), []
    dy = rng.standard_normal(model.forward(x).shape)
    padding = np.arange(T) >= np.array(LENGTHS)[:, None]
    for garbage in (0, 1, 1e30):
        if model.indices is not None and garbage > 1:
            continue
        x[padding] = garbage
        found.append(bits(*passes(model, x, dy, LENGTHS).values()))
    assert len(set(found)) == 1


@pytest.mark.parametrize("size", [(3, 130), (40, 33), (70, 16)], ids="{0[0]}x{0[1]}".format)
@pytest.mark.parametrize("one_hot", [False, True])
def test_threads_change_no_bit(rng, dtype, threads, size, one_hot):
    rows, units = size
    model = make(rng, 37, units, dtype, one_hot=one_hot, bidirectional=True)
    x = data(rng, model, rows, 7)
    dy, steps = rng.standard_normal((rows, 7, 2 * units)), rng.integers(8, size=rows)
    found = []
    for count in (1, 2, 3, 5):
        threads(count)
        found.append({k: bits(v) for k, v in passes(model, x, dy, steps).items()})
    assert all(f == found[0] for f in found)


@lengths
def test_indices_stand_for_one_hot_vectors(backend, rng, lengths):
    model = make(rng, 7, one_hot=True)
    plain = make(rng, 7)
    for name, view in plain.params.items():
        view[...] = model.params[name]
    x, dy = data(rng, model), rng.standard_normal((N, T, H))
    got = passes(model, x, dy, lengths)
    wanted = passes(plain, np.eye(7)[x], dy, lengths)
    del wanted["dx"]
    assert got.keys() == wanted.keys()
    for name, array in wanted.items():
        # sums over N T rows and 4 H gates, at each of T steps
        bound = rounding(np.abs(array).max(), np.float64, T * (N * T + 4 * H + 20) * 4)
        assert_within(got[name], array, bound, name)


def test_stateful_layers_go_on(backend, rng, dtype):
    whole, model = (make(np.random.default_rng(0), dtype=dtype, stateful=s) for s in (False, True))
    x = data(rng, model)
    parts = [model.forward(x[:, :2]), model.forward(x[:, 2:])]
    bound = rounding(1, dtype, T * (4 * H + 40))
    assert_within(np.concatenate(parts, axis=1), whole.forward(x), bound)
    model.reset_states()
    assert bits(model.forward(x[:, :2])) == bits(parts[0])


def test_without_scales_the_steps_see_biases_alone(backend, rng):
    """Where weights of norms are 0, whatever comes in: h and c are known."""
    model = make(rng)
    for name, view in model.params.items():
        if "norm" in name and "weight" in name:
            view[...] = 0
    p = {name[2:-3]: view for name, view in model.params.items()}
    z = p["bias_ih"] + p["bias_hh"] + p["norm_ih_bias"] + p["norm_hh_bias"]
    i, f, g, o = np.split(z, 4)
    c = np.zeros(H)
    y = model.forward(data(rng, model))
    for t in range(T):
        c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(p["norm_c_bias"]) / (1 + np.exp(-o))
        assert_within(y[:, t], np.tile(h, (N, 1)), rounding(1, np.float64))
    assert_within(
        model.states["0.c_l0"], np.tile(c, (N, 1)), rounding(np.abs(c), np.float64, 20 * T)
    )


def test_the_scale_of_weights_does_not_matter(backend, rng):
    """But for eps: of sums that are large it is nothing."""
    model = make(rng)
    x = data(rng, model)
    states = {name: rng.standard_normal((N, H)) for name in ("0.h_l0", "0.c_l0")}
    for name in ("0.weight_ih_l0", "0.weight_hh_l0"):
        model.params[name][...] *= 1e6
    y = model.forward(x, states=states)
    for name in ("0.weight_ih_l0", "0.weight_hh_l0"):
        model.params[name][...] *= 1024
    assert_within(model.forward(x, states=states), y, 1e-9)


def test_parameters_and_what_they_start_with():
    model = fg.Sequential(fg.LSTM(3, 4, layer_norm=True, forget_bias=2.0), rng=0)
    shapes = {name: view.shape for name, view in model.params.items() if "norm" in name}
    blocks = {"ih": 16, "hh": 16, "c": 4}
    assert shapes == {
        f"0.norm_{name}_{what}_l0": (width,)
        for name, width in blocks.items()
        for what in ("weight", "bias")
    }
    for name in shapes:
        assert (model.params[name] == ("weight" in name)).all()
    assert np.array_equal(model.params["0.bias_ih_l0"], np.repeat([0, 2, 0, 0], 4))


def test_save_and_load(tmp_path, rng):
    model = make(rng, num_layers=2, bidirectional=True)
    path = tmp_path / "model.safetensors"
    model.save(path)
    again = fg.load(path)
    assert again.layers[0].layer_norm
    assert repr(again) == repr(model)
    assert "layer_norm=True" in repr(again)
    x = data(rng, model)
    assert bits(again.forward(x)) == bits(model.forward(x))
    assert "layer_norm" not in fg.LSTM(3, 4).config()


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"peepholes": True}, ValueError, "layer_norm has no peepholes: choose one of the two"),
        ({"layer_norm": 1}, TypeError, "layer_norm must be True or False, got 1"),
    ],
)
def test_what_is_refused(how, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        fg.LSTM(3, 4, **{"layer_norm": True} | how)
    with pytest.raises(TypeError, match="layer_norm"):
        fg.GRU(3, 4, layer_norm=True)


def test_training(backend, rng):
    """Which of three marks a sequence started with."""
    y = rng.integers(3, size=128)
    x = rng.integers(3, 6, size=(128, 12))
    x[:, 0] = y
    layers = fg.LSTM(6, 16, layer_norm=True, one_hot=True), fg.Dense(16, 3)
    trainer = fg.Trainer(fg.Sequential(*layers, rng=0), "cross_entropy", fg.Adam(0.02), rng=0)
    losses = [trainer.step(x, y) for _ in range(60)]
    assert losses[0] > 0.9
    assert losses[-1] < 0.1
