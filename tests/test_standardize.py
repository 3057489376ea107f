"""Standardize: its kernels, where its statistics come from, and how they travel."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from harness import exact, golden
from nets import bits
from rounding import assert_within, rounding

import fastgrad as fg
from fastgrad.data.file_rows import FileRows

SIZES = [(0, 3), (1, 1), (7, 15), (16, 16), (17, 33), (300, 5)]


@pytest.mark.parametrize("size", SIZES)
def test_kernels(run, rng, dtype, size):
    x, dy = rng.standard_normal((2, *size)).astype(dtype)
    mean = rng.standard_normal(size[1]).astype(dtype)
    scale = rng.uniform(0.5, 2, size[1]).astype(dtype)
    given = {"x": x, "mean": mean, "scale": scale}
    y, true = run("standardize_forward", **given).y, exact("standardize_forward", **given).y
    assert_within(y, true, rounding((np.abs(x) + np.abs(mean)) / scale, dtype, 2))
    given = {"dy": dy, "scale": scale}
    dx, true = run("standardize_backward", **given).dx, exact("standardize_backward", **given).dx
    assert_within(dx, true, rounding(true, dtype, 1))


def test_gradient(run, rng):
    """y is linear in x: the derivative along a direction is a plain product."""
    x, dy = rng.standard_normal((2, 17, 6))
    scale = rng.uniform(0.5, 2, 6)
    dx = run("standardize_backward", dy=dy, scale=scale).dx
    y = run("standardize_forward", x=x, mean=np.zeros(6), scale=scale).y
    assert_within((dx * x).sum(), (dy * y).sum(), rounding(np.abs(dy * y).sum(), np.float64))


def true_values():
    return {k.partition(".")[2]: v for k, v in golden("layers").items() if k[:11] == "standardize"}


def test_golden_kernels(run, dtype):
    true = true_values()
    given = {name: true[name].astype(dtype) for name in ("x", "mean", "scale")}
    terms = (np.abs(true["x"]) + np.abs(true["mean"])) / true["scale"]
    y = run("standardize_forward", **given).y
    assert_within(y, true["y"], rounding(terms, dtype, 4))  # mean and scale are rounded, too
    dx = run("standardize_backward", dy=true["dy"].astype(dtype), scale=given["scale"]).dx
    assert_within(dx, true["dx"], rounding(true["dx"], dtype, 3))


def test_golden_statistics(dtype):
    true = true_values()
    model = fg.Sequential(fg.Standardize(7), rng=0, dtype=dtype)
    model.fit_input(true["x"])
    for name in ("mean", "scale"):
        found = model.buffers[f"0.{name}"]
        assert_within(found, true[name], rounding(true[name], dtype, 1) + 1e-13, name)


def statistics(x, dtype="float64"):
    """Mean and scale that a model takes from x."""
    model = fg.Sequential(fg.Standardize(x.shape[-1]), rng=0, dtype=dtype)
    model.fit_input(x)
    return model.buffers["0.mean"], model.buffers["0.scale"]


def test_a_large_mean_does_not_hide_the_noise(rng):
    noise = rng.standard_normal((10_000, 2))
    mean, scale = statistics(1e8 + noise)
    stored = 1e8 + noise - 1e8  # what is left of the noise, exactly
    assert_within(mean - 1e8, stored.mean(axis=0), rounding(1e8, np.float64, 2))
    assert_within(scale, stored.std(axis=0), rounding(stored.std(axis=0), np.float64, 20_000))
    # in float32 numbers near 1e8 lie 8 apart: the mean is rounded to one of them
    x = (1e8 + 1e3 * noise).astype(np.float32)
    mean, scale = statistics(x, "float32")
    wide = x.astype(np.float64)
    assert_within(mean, wide.mean(axis=0), 4)
    assert_within(scale, wide.std(axis=0), rounding(wide.std(axis=0), np.float32, 1))


@pytest.mark.parametrize("value", [0.0, 0.1, -1e8, 1e30, 1e-30, 3.4e38])
def test_a_constant_column_becomes_zero(engine, dtype, value):
    """The mean of many 0.1 in float64 is not 0.1, and their deviation not 0."""
    x = np.stack([np.full(5001, value), np.arange(5001)], axis=1).astype(dtype)
    model = fg.Sequential(fg.Standardize(2), rng=0, dtype=dtype)
    model.fit_input(x)
    assert model.buffers["0.scale"][0] == 1
    y = model.predict(x)
    assert not y[:, 0].any()
    assert y[:, 1].std() == pytest.approx(1, rel=1e-5)


def test_a_column_that_varies_by_less_than_a_normal_number_counts_as_constant():
    x = np.array([[0.0], [1e-40]], np.float32)
    assert statistics(x, "float32")[1] == 1


def test_large_values_do_not_overflow(rng):
    x = (1e38 * rng.uniform(-1, 1, (50, 3))).astype(np.float32)
    _, scale = statistics(x, "float32")
    wide = x.astype(np.float64)
    assert_within(scale, wide.std(axis=0), rounding(wide.std(axis=0), np.float32, 1))


def test_statistics_do_not_depend_on_the_memory_of_x(rng):
    x = rng.standard_normal((9000, 3)).astype(np.float32)
    wanted = bits(*statistics(x, "float32"))
    assert bits(*statistics(np.asfortranarray(x), "float32")) == wanted
    assert bits(*statistics(x.astype(np.float64), "float32")) == wanted
    assert bits(*statistics(x.reshape(900, 10, 3), "float32")) == wanted


# ---- models ---------------------------------------------------------------------------------


def network(dtype="float64", rng=0):
    return fg.Sequential(
        fg.Standardize(5), fg.Dense(5, 8, "tanh"), fg.Dense(8, 3), rng=rng, dtype=dtype
    )


def data(rng, rows=200):
    x = rng.normal([1e3, -5, 0, 1e-3, 7], [10, 1, 1, 1e-4, 3], (rows, 5))
    return x, rng.integers(3, size=rows)


def test_gradients_of_a_model(engine, rng):
    x, y = rng.normal(3, [1, 2, 0.5, 1, 3], (30, 5)), rng.integers(3, size=30)
    model = network()
    model.fit_input(x)
    assert fg.gradcheck(model, rng.standard_normal((30, 5)), rng=0)
    assert fg.gradcheck(model, rng.standard_normal((6, 5, 5)), rng=0)
    assert fg.gradcheck(model, x, loss="cross_entropy", y=y, rng=0)


def test_fit_takes_statistics_of_the_training_rows_alone(engine, rng, dtype):
    x, y = data(rng)
    held = x[:50] + 1e4, y[:50]
    model = network(dtype)
    run = fg.fit(model, x, y, loss="cross_entropy", epochs=3, validation=held, progress=False)
    given = x.astype(dtype).astype(np.float64)
    mean, terms = given.mean(axis=0), np.abs(given).mean(axis=0)
    bound = rounding(mean, dtype, 1) + rounding(terms, np.float64, 200)
    assert_within(model.buffers["0.mean"], mean, bound)
    assert run.history["loss"][-1] < run.history["loss"][0]

    drawn = network(dtype)
    fg.fit(drawn, x, y, loss="cross_entropy", epochs=1, validation=0.25, progress=False, rng=3)
    rest = given[np.random.default_rng(3).permutation(200)[50:]]
    bound = rounding(rest.std(axis=0), dtype, 1) + rounding(rest.std(axis=0), np.float64, 200)
    assert_within(drawn.buffers["0.scale"], rest.std(axis=0), bound)


def test_it_trains_as_a_model_of_standardized_rows_does(engine, rng):
    x, y = data(rng)
    plain = fg.Sequential(fg.Dense(5, 8, "tanh"), fg.Dense(8, 3), rng=0, dtype="float64")
    own = network()
    own.fit_input(x)
    rows = (x - own.buffers["0.mean"]) / own.buffers["0.scale"]
    losses = [
        fg.fit(model, given, y, loss="cross_entropy", epochs=3, progress=False, rng=0).history
        for model, given in ((own, x), (plain, rows))
    ]
    assert losses[0]["loss"] == losses[1]["loss"]
    assert np.array_equal(own.flat_params, plain.flat_params)


def test_fit_takes_statistics_of_rows_in_files(tmp_path, rng):
    x, y = data(rng, 10_000)
    x = x.astype(np.float32)
    for name, array in (("x", x), ("y", y)):
        np.save(tmp_path / f"{name}.npy", array)
    rows = FileRows(tmp_path / "x.npy", tmp_path / "y.npy", block_bytes=4096, window_blocks=3)
    model = network("float32")
    fg.fit(model, rows, loss="cross_entropy", epochs=1, progress=False)
    wide = x.astype(np.float64)
    terms = rounding(np.abs(wide).mean(axis=0), np.float64, 10_000)
    mean = wide.mean(axis=0)
    assert_within(model.buffers["0.mean"], mean, rounding(mean, np.float32, 1) + terms)
    deviation = wide.std(axis=0)
    assert_within(model.buffers["0.scale"], deviation, rounding(deviation, np.float32, 1))


def test_batches_have_no_statistics(rng):
    batches = [data(rng, 20) for _ in range(3)]
    model = network()
    with pytest.raises(RuntimeError, match="Standardize has not been fitted"):
        fg.fit(model, batches, loss="cross_entropy", epochs=1, progress=False)
    model.fit_input(batches[0][0])
    fg.fit(model, batches, loss="cross_entropy", epochs=1, progress=False)


def test_statistics_that_are_there_stay(rng):
    x, y = data(rng)
    model = network()
    fg.fit(model, x, y, loss="cross_entropy", epochs=1, progress=False)
    before = bits(model.flat_buffers)
    fg.fit(model, 2 * x, y, loss="cross_entropy", epochs=1, progress=False)
    assert bits(model.flat_buffers) == before
    model.fit_input(2 * x)
    assert_within(model.buffers["0.scale"], (2 * x).std(axis=0), 1e-10)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_without_statistics_nothing_runs(engine, rng):
    x, y = data(rng)
    model = network()
    trainer = fg.Trainer(model, "cross_entropy")
    before = bits(model.flat_params, model.flat_buffers)
    for use in (
        lambda: model.forward(x),
        lambda: model.predict(x),
        lambda: trainer.step(x, y),
        lambda: trainer.epoch(x, y),
        lambda: trainer.evaluate(x, y),
    ):
        with pytest.raises(RuntimeError, match=r"not been fitted: call model\.fit_input\(X\)"):
            use()
    assert bits(model.flat_params, model.flat_buffers) == before
    model.fit_input(x)
    trainer.epoch(x, y)
    model.forward(x)


def test_threads_change_nothing(threads, dtype):
    rng = np.random.default_rng(0)
    x, y = rng.normal(3, 2, (1000, 40)), rng.integers(3, size=1000)
    results = set()
    for count in (1, 2, 3, 5):
        threads(count)
        model = fg.Sequential(
            fg.Standardize(40), fg.Dense(40, 90, "relu"), fg.Dense(90, 3), rng=0, dtype=dtype
        )
        run = fg.fit(model, x, y, loss="cross_entropy", epochs=3, batch_size=500, rng=0)
        dx = model.backward(model.forward(x))
        results.add(bits(model.flat_params, model.predict(x), dx, run.history["loss"]))
    assert len(results) == 1


def test_it_is_saved_loaded_copied_and_nested(tmp_path, rng):
    x, _ = data(rng)
    model = network()
    model.save(tmp_path / "bare.safetensors")
    with pytest.raises(RuntimeError, match="not been fitted"):
        fg.load(tmp_path / "bare.safetensors").predict(x)
    model.fit_input(x)
    model.save(tmp_path / "model.safetensors")
    outer = fg.Sequential(model, fg.Dense(3, 3), rng=0, dtype="float64")
    assert bits(outer.buffers["0.0.scale"]) == bits(model.buffers["0.scale"])
    for other in (fg.load(tmp_path / "model.safetensors"), pickle.loads(pickle.dumps(model))):
        assert np.array_equal(other.predict(x), model.predict(x))
        assert repr(other) == repr(model)
    outer.fit_input(2 * x)
    assert_within(outer.buffers["0.0.scale"], (2 * x).std(axis=0), 1e-10)
    around = fg.Sequential(fg.Residual(fg.Standardize(5), fg.Dense(5, 5)), rng=0, dtype="float64")
    around.fit_input(x)
    assert_within(around.buffers["0.0.scale"], x.std(axis=0), 1e-10)


FAR = np.array([[1e308], [-1e308]] * 9)


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: fg.Standardize(0), ValueError, "features must be at least 1, got 0"),
        (lambda: fg.Standardize("5"), TypeError, "features must be an integer, got '5'"),
        (
            lambda: fg.Sequential(fg.Dense(3, 5), fg.Standardize(5)), ValueError,
            r"layer 1 \(Standardize\) must be the first: it takes the model's input",
        ),
        (
            lambda: fg.Residual(fg.Dense(3, 3), fg.Standardize(3)), ValueError,
            r"layer 1 \(Standardize\) must be the first",
        ),
        (
            lambda: fg.Sequential(fg.Dense(3, 5), fg.Residual(fg.Standardize(5))), ValueError,
            r"layer 1 \(Residual\) must be the first",
        ),
        (
            lambda: fg.Sequential(fg.Standardize(4), fg.Dense(3, 5)), ValueError,
            r"layer 1 \(Dense\) takes 3 features, but layer 0 gives 4",
        ),
        (lambda: network().fit_input(np.ones((3, 4))), ValueError, r"X has shape \(3, 4\), needs"),
        (lambda: network().fit_input(np.full((3, 5), np.nan)), ValueError, "X has 15 values"),
        (lambda: statistics(FAR), ValueError, "column 0 of X has a standard deviation that is not"),
        (lambda: statistics(np.full((2, 2), 1e39), "float32"), ValueError, "not finite"),
    ],
)  # fmt: skip
def test_bad_input(use, error, message):
    with pytest.raises(error, match=message):
        use()
