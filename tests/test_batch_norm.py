"""Batch normalization: its kernels, and the layer with the statistics that it keeps."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from harness import exact, golden
from nets import bits
from rounding import H, assert_within, rounding

import fastgrad as fg

SIZES = [(2, 1), (2, 3), (7, 15), (16, 16), (17, 33), (33, 64), (300, 131)]
EPS = 1e-3
NUMPY_WARNS = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def batch(rng, size, dtype):
    """x, dy, weight, bias."""
    x, dy = rng.normal(1, 2, size), rng.standard_normal(size)
    weight, bias = rng.uniform(0.5, 1, (2, size[1]))
    return [array.astype(dtype) for array in (x, dy, weight, bias)]


def statistics(x):
    wide = x.astype(np.float64)
    return {"mean": wide.mean(axis=0), "var": wide.var(axis=0)}


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_forward(run, rng, dtype, size, affine):
    x, _, weight, bias = batch(rng, size, dtype)
    given = {"x": x, "eps": EPS}
    if affine:
        given |= {"weight": weight, "bias": bias}
    out, true = run("batch_norm_forward", **given), exact("batch_norm_forward", **given)
    # a sum of N terms errs by N roundings of float64 at most
    count = 20 + size[0]
    assert_within(out.mean, true.mean, rounding(np.abs(x).mean(axis=0), np.float64, count))
    square = rounding(true.var, np.float64, count)
    assert_within(out.var, true.var, square)
    root = np.sqrt(true.var + EPS)
    terms = (np.abs(x) + np.abs(true.mean)) / root + 1
    assert_within(out.y, true.y, rounding(terms, dtype) + rounding(np.abs(true.y), np.float64))


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_backward(run, rng, dtype, size, affine):
    x, dy, weight, _ = batch(rng, size, dtype)
    given = {"x": x, "dy": dy, "eps": EPS, **statistics(x)}
    if affine:
        given |= {"weight": weight}
    out, true = run("batch_norm_backward", **given), exact("batch_norm_backward", **given)
    root = np.sqrt(given["var"] + EPS)
    reach = (np.abs(x) + np.abs(given["mean"])) / root  # of a normed value, before it cancels
    each = np.abs(dy) * reach
    count = 20 + size[0]
    assert_within(out.dbias, true.dbias, rounding(np.abs(dy).sum(axis=0), dtype, 2))
    products = rounding(each.sum(axis=0), dtype)
    assert_within(out.dweight, true.dweight, products)
    along = np.abs(dy).mean(axis=0) + reach * each.mean(axis=0)
    bound = rounding((np.abs(dy) + along) / root, dtype)
    assert_within(out.dx, true.dx, bound + rounding(bound, np.float64, count))
    alone = given | {"dx": None, "dweight": None, "dbias": None}
    assert vars(run("batch_norm_backward", **alone)).keys() == {"status"}


def test_gradient(run, rng):
    x, dy, weight, bias = batch(rng, (19, 7), np.float64)
    steps = [rng.standard_normal(array.shape) for array in (x, weight, bias)]

    def value(h):
        moved = [a + h * d for a, d in zip((x, weight, bias), steps, strict=True)]
        given = dict(zip(("x", "weight", "bias"), moved, strict=True))
        return (dy * run("batch_norm_forward", eps=EPS, **given).y).sum()

    given = {"x": x, "weight": weight, "dy": dy, "eps": EPS, **statistics(x)}
    out = run("batch_norm_backward", **given)
    parts = zip((out.dx, out.dweight, out.dbias), steps, strict=True)
    slope = sum((gradient * step).sum() for gradient, step in parts)
    numeric = (value(H) - value(-H)) / (2 * H)
    scale = sum(np.abs(g * s).sum() for g, s in zip((out.dx, out.dweight), steps[:2], strict=True))
    # the third derivative along steps of about the size of the spread is some ten times the first
    assert_within(slope, numeric, 100 * H**2 * scale + rounding(np.abs(dy), np.float64).sum() / H)


@pytest.mark.parametrize("size", ["2x1", "7x3", "33x17"])
def test_golden(run, dtype, size):
    """PyTorch's BatchNorm1d, with eps 1e-3 and momentum 0.3."""
    true = {k.partition(".")[2]: v for k, v in golden("batch_norm").items() if k.startswith(size)}
    n, f = map(int, size.split("x"))
    given = {k: true[k].astype(dtype) for k in ("x", "weight", "bias")}
    forward = run("batch_norm_forward", eps=EPS, **given)
    # normed values reach sqrt(n); what differs is rounding, n / |variance| at worst at two rows
    bound = rounding(30 * n * (1 + np.abs(true["x"]).max()), dtype)
    assert_within(forward.y, true["y"], bound, "y")
    kept = {"mean": forward.mean, "var": forward.var}
    del given["bias"]
    dy = true["dy"].astype(dtype)
    out = run("batch_norm_backward", eps=EPS, dy=dy, **given, **kept)
    for name in ("dx", "dweight", "dbias"):
        assert_within(getattr(out, name), true[name], bound, name)
    start = {"running_mean": true["start"].astype(dtype), "running_var": np.ones(f, dtype)}
    moved = run("batch_norm_update", rows=n, momentum=0.3, **kept, **start)
    for name, first in (("running_mean", true["start"]), ("running_var", 1)):
        terms = np.abs(first) + np.abs(true[name] - 0.7 * first)  # which may cancel
        assert_within(getattr(moved, name), true[name], rounding(terms, dtype), name)
    running = {name: true[name].astype(dtype) for name in ("running_mean", "running_var")}
    affine = {k: true[k].astype(dtype) for k in ("x", "weight", "bias")}
    predicted = run("batch_norm_predict", eps=EPS, **affine, **running).y
    assert_within(predicted, true["predicted"], bound, "predicted")


def test_a_large_mean_does_not_hide_the_spread(run, rng):
    """The rows' own rounding is all that is lost: 1e6 in float32 is off by 0.03."""
    x = (1e6 + rng.standard_normal((500, 3))).astype(np.float32)
    out = run("batch_norm_forward", x=x, eps=1e-5)
    wide = x.astype(np.float64)
    assert_within(out.var, wide.var(axis=0), rounding(wide.var(axis=0), np.float64, 1000))
    # the mean itself is rounded to float32 once
    wanted = (wide - wide.mean(axis=0)) / wide.std(axis=0)
    assert_within(out.y, wanted, 1e6 * 2**-24 * 1.01 / wide.std(axis=0) + 1e-5)


def test_large_values_do_not_overflow(run, rng):
    x = (1e30 * rng.standard_normal((20, 5))).astype(np.float32)
    out = run("batch_norm_forward", x=x, eps=1e-5)
    assert np.isfinite(out.y).all()
    assert_within(out.y.std(axis=0), np.ones(5), 1e-5)


def test_a_constant_column_becomes_the_bias(run):
    x, bias = np.full((9, 4), 3.5), np.arange(4.0)
    out = run("batch_norm_forward", x=x, bias=bias, eps=1e-5)
    assert np.array_equal(out.y, np.tile(bias, (9, 1)))
    kept = {"mean": out.mean, "var": out.var}
    back = run("batch_norm_backward", x=x, dy=np.eye(9, 4), eps=1e-5, **kept)
    assert np.isfinite(back.dx).all()


@NUMPY_WARNS
@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_a_gradient_that_is_not_finite_raises_the_status(run, rng, dtype, bad):
    x, dy, weight, _ = batch(rng, (5, 70), dtype)
    given = {"x": x, "dy": dy, "weight": weight, "eps": EPS, **statistics(x)}
    assert run("batch_norm_backward", **given).status[0] == 0
    dy[4, 69] = bad
    assert run("batch_norm_backward", **given).status[0] == 1


# ---- the layer ------------------------------------------------------------------------------


def network(dtype="float64", rng=0, **options):
    return fg.Sequential(
        fg.Dense(5, 70, "relu"),
        fg.BatchNorm(70, **options),
        fg.Residual(fg.BatchNorm(70, affine=False), fg.Dense(70, 70, "tanh")),
        fg.Sequential(fg.BatchNorm(70), fg.Dense(70, 3), rng=0),
        rng=rng,
        dtype=dtype,
    )


def test_gradients_of_a_model(engine, rng):
    model = network()
    before = model.flat_buffers.copy()
    assert fg.gradcheck(model, rng.standard_normal((30, 5)), rng=0)
    assert fg.gradcheck(model, rng.standard_normal((10, 3, 5)), rng=0)
    y = rng.integers(3, size=30)
    assert fg.gradcheck(model, rng.standard_normal((30, 5)), loss="cross_entropy", y=y, rng=0)
    assert np.array_equal(model.flat_buffers, before)


def test_running_statistics(engine, rng):
    model = fg.Sequential(fg.BatchNorm(4, momentum=0.25), rng=0, dtype="float64")
    mean, var = np.zeros(4), np.ones(4)
    for _ in range(3):
        x = rng.normal(3, 2, (20, 4))
        y = model.forward(x)
        assert_within(y, (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5), 1e-13)
        mean = 0.75 * mean + 0.25 * x.mean(axis=0)
        var = 0.75 * var + 0.25 * x.var(axis=0, ddof=1)
    assert_within(model.buffers["0.running_mean"], mean, 1e-14)
    assert_within(model.buffers["0.running_var"], var, 1e-13)
    x = rng.standard_normal((7, 4))
    wanted = (x - mean) / np.sqrt(var + 1e-5)
    assert_within(model.predict(x, 3), wanted, 1e-13)
    assert_within(model.forward(x, train=False), wanted, 1e-13)
    assert_within(model.buffers["0.running_mean"], mean, 1e-14)


def test_buffers_are_no_parameters():
    model = network()
    names = [f"{n}.running_{k}" for n in ("1", "2.0", "3.0") for k in ("mean", "var")]
    assert list(model.buffers) == names
    assert not set(names) & {*model.params, *model.grads}
    assert np.array_equal(model.buffers["1.running_var"], np.ones(70))


@pytest.mark.parametrize("batch_size", [250, 1000])
def test_threads_change_nothing(threads, dtype, batch_size):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((1000, 5)), rng.integers(3, size=1000)
    results = set()
    for count in (1, 2, 3, 5):
        threads(count)
        model = network(dtype)
        trainer = fg.Trainer(model, "cross_entropy", rng=0)
        losses = [trainer.epoch(x, y, batch_size) for _ in range(8)]
        results.add(bits(model.flat_params, model.flat_buffers, model.predict(x), losses))
    assert len(results) == 1


@NUMPY_WARNS
def test_a_failed_step_leaves_the_running_statistics(engine):
    model = fg.Sequential(fg.Dense(3, 4), fg.BatchNorm(4), fg.Dense(4, 2), rng=0, dtype="float64")
    trainer = fg.Trainer(model, "mse")
    x, y = np.random.default_rng(0).standard_normal((2, 8, 3))
    trainer.step(x, y[:, :2])
    before = bits(model.flat_params, model.flat_buffers)
    with pytest.raises(fg.GradientError):
        trainer.step(x, np.full((8, 2), 1e200))
    assert bits(model.flat_params, model.flat_buffers) == before


def test_it_is_saved_loaded_copied_and_restored(tmp_path, rng):
    model = network(eps=1e-4, momentum=0.2)
    x = rng.standard_normal((40, 5))
    model.forward(x)
    model.save(tmp_path / "model.safetensors")
    again = fg.load(tmp_path / "model.safetensors")
    for other in (again, pickle.loads(pickle.dumps(model))):
        assert np.array_equal(other.predict(x), model.predict(x))
        assert bits(other.flat_buffers) == bits(model.flat_buffers)
        assert repr(other) == repr(model)
    outer = fg.Sequential(model, rng=0, dtype="float64")
    assert np.array_equal(outer.predict(x), model.predict(x))


def test_early_stopping_restores_the_statistics_of_the_best_epoch(rng):
    x, y = rng.standard_normal((100, 5)), rng.integers(3, size=100)
    held = rng.standard_normal((100, 5)), rng.integers(3, size=100)
    model = network("float32")
    stop = fg.EarlyStopping(patience=2)
    run = fg.fit(model, x, y, loss="cross_entropy", optimizer=fg.Adam(0.05), epochs=30,
                 validation=held, callbacks=[stop], progress=False, rng=0)  # fmt: skip
    assert run.stopped
    best = run.history["val_loss"][stop.best_epoch - 1]
    assert fg.Trainer(model, "cross_entropy").evaluate(*held) == pytest.approx(best, rel=1e-12)


def plain(norm, layers=30, width=64):
    """Loss before and after some epochs of sigmoids with small weights, on separable data."""
    small = fg.initializers.normal(0.05)
    parts = []
    for i in range(layers):
        parts.append(fg.Dense(width if i else 2, width, weight_init=small))
        parts += [fg.BatchNorm(width)] if norm else []
        parts.append(fg.Activation("tanh"))
    model = fg.Sequential(*parts, fg.Dense(width, 2), rng=0)
    x = np.random.default_rng(0).standard_normal((256, 2))
    y = (x[:, 0] > 0).astype(int)
    trainer = fg.Trainer(model, "cross_entropy", fg.Adam(1e-3), rng=0)
    return [trainer.epoch(x, y, 64) for _ in range(15)]


def test_it_cures_a_loss_that_is_stuck():
    """Weights this small take the signal, and its gradient, down by 0.4 in each of 30 layers."""
    stuck, cured = plain(False), plain(True)
    assert stuck[-1] > 0.6
    assert cured[-1] < 0.3


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: fg.BatchNorm(0), ValueError, "features must be at least 1, got 0"),
        (lambda: fg.BatchNorm(2.0), TypeError, "features must be an integer, got 2.0"),
        (lambda: fg.BatchNorm(2, eps=0), ValueError, r"eps must lie in \(0"),
        (lambda: fg.BatchNorm(2, momentum=1.5), ValueError, r"momentum must lie in \[0, 1\]"),
        (lambda: fg.BatchNorm(2, momentum=None), TypeError, "momentum must be a number"),
        (
            lambda: fg.Sequential(fg.Dense(3, 5), fg.BatchNorm(4)), ValueError,
            "layer 1 .BatchNorm. takes 4 features, but layer 0 gives 5",
        ),
    ],
)  # fmt: skip
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_minibatch_of_one_is_an_error():
    model = network("float32")
    trainer = fg.Trainer(model, "cross_entropy", rng=0)
    before = bits(model.flat_params, model.flat_buffers)
    x, y = np.ones((9, 5)), np.zeros(9, int)
    with pytest.raises(ValueError, match=r"BatchNorm needs at least 2 rows .* got 1"):
        trainer.step(x[:1], y[:1])
    with pytest.raises(ValueError, match="batch_size that does not leave one row over"):
        trainer.epoch(x, y, 4)
    with pytest.raises(ValueError, match="BatchNorm needs at least 2 rows"):
        model.forward(x[:1])
    assert bits(model.flat_params, model.flat_buffers) == before
    assert model.predict(x[:1]).shape == (1, 3)
    trainer.step(x, y)
