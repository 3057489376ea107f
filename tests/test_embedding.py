"""Embedding: its kernels, models that take indices, and what they refuse."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from harness import exact, golden
from nets import assert_close, bits
from rounding import assert_within, rounding

import fastgrad as fg
from fastgrad.data.file_rows import FileRows

SIZES = [0, 1, 7, 15, 16, 17, 33, 300]


def batch(rng, rows, count, features, dtype):
    """Indices, gradients of their vectors, and what an earlier step has left in the table's."""
    x, dy = rng.integers(count, size=rows), rng.standard_normal((rows, features))
    return x, dy.astype(dtype), rng.standard_normal((count, features)).astype(dtype)


@pytest.mark.parametrize("features", [1, 3, 16, 33, 130])
@pytest.mark.parametrize("rows", SIZES)
def test_forward(run, rng, dtype, rows, features):
    x, _, w = batch(rng, rows, 70, features, dtype)
    assert np.array_equal(run("embedding_forward", w=w, x=x).y, w[x])


@pytest.mark.parametrize("features", [1, 3, 16, 33, 130])
@pytest.mark.parametrize("rows", SIZES)
def test_backward(run, rng, dtype, rows, features):
    for count, padding in ((1, -1), (5, 3), (70, 0), (1000, -1)):
        x, dy, left = batch(rng, rows, count, features, dtype)
        given = {"x": x, "dy": dy, "padding": padding, "dw": left}
        out, true = run("embedding_backward", **given), exact("embedding_backward", **given)
        terms = np.zeros(left.shape)
        np.add.at(terms, x, np.abs(dy))
        bound = rounding(terms, np.float64, rows + 1) + rounding(true.dw, dtype, 1)
        assert_within(out.dw, true.dw, bound)
        unused = np.setdiff1d(np.arange(count), x)
        assert not out.dw[unused].any()
        assert not out.dw[padding : padding + 1].any()
        assert out.status[0] == 0


@pytest.mark.parametrize("left", [np.nan, np.inf, 1e-45, -0.0])
def test_what_was_left_in_unused_rows_is_cleared(run, left):
    dw = np.full((40, 5), left, np.float32)
    dw[:, 1:4] = 0
    x, dy = np.array([3, 3, 39]), np.ones((3, 5), np.float32)
    out = run("embedding_backward", x=x, dy=dy, padding=-1, dw=dw).dw
    wanted = np.zeros((40, 5), np.float32)
    wanted[[3, 39]] = [[2], [1]]
    assert bits(out) == bits(wanted)


def test_many_small_gradients_add_up(run):
    """A sum in float32 would stay at 2^24."""
    x, dy = np.zeros(101, np.int64), np.ones((101, 1), np.float32)
    dy[0] = 2**24
    dw = np.zeros((1, 1), np.float32)
    assert run("embedding_backward", x=x, dy=dy, padding=-1, dw=dw).dw[0, 0] == 2**24 + 100


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_a_gradient_that_is_not_finite_raises_the_status(run, rng, dtype, bad):
    x, dy, dw = batch(rng, 20, 9, 70, dtype)
    x[7] = 4
    given = {"x": x, "dy": dy, "dw": dw}
    assert run("embedding_backward", padding=-1, **given).status[0] == 0
    dy[7, 69] = bad
    assert run("embedding_backward", padding=-1, **given).status[0] == 1
    assert run("embedding_backward", padding=4, **given).status[0] == 0


def test_gradient(run, rng):
    """y is linear in w: the derivative along a direction is a plain product."""
    x, dy, w = batch(rng, 33, 20, 17, np.float64)
    step = rng.standard_normal(w.shape)
    dw = run("embedding_backward", x=x, dy=dy, padding=-1, dw=w).dw
    wanted = (dy * run("embedding_forward", w=step, x=x).y).sum()
    assert_within((dw * step).sum(), wanted, rounding(np.abs(dy * step[x]).sum(), np.float64))


@pytest.mark.parametrize(("case", "padding"), [("rows", -1), ("steps", 4)])
def test_golden(run, dtype, case, padding):
    """PyTorch's embedding."""
    true = {k.partition(".")[2]: v for k, v in golden("layers").items() if k.startswith(f"{case}.")}
    w, x = true["weight"].astype(dtype), true["x"].reshape(-1)
    features = w.shape[1]
    y = run("embedding_forward", w=w, x=x).y
    assert np.array_equal(y, true["y"].reshape(-1, features))
    dy = true["dy"].reshape(-1, features).astype(dtype)
    dw = run("embedding_backward", x=x, dy=dy, padding=padding, dw=w).dw
    assert_within(dw, true["dweight"], rounding(true["dweight"], dtype, 1) + 1e-14)


# ---- models ---------------------------------------------------------------------------------


def words(dtype="float64", rng=0, **options):
    """Some words of a text to one of three classes."""
    return fg.Sequential(
        fg.Embedding(50, 6, **options),
        fg.LayerNorm(6),
        fg.Flatten(4, 6),
        fg.Dense(24, 8, "tanh"),
        fg.Dense(8, 3),
        rng=rng,
        dtype=dtype,
    )


def texts(rng, rows=60):
    return rng.integers(50, size=(rows, 4)), rng.integers(3, size=rows)


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8, np.uint64])
@pytest.mark.parametrize("shape", [(9,), (5, 4)])
def test_each_index_takes_its_row(engine, rng, kind, shape):
    model = fg.Sequential(fg.Embedding(50, 6), rng=0)
    x = rng.integers(50, size=shape).astype(kind)
    wanted = model.params["0.weight"][x]
    assert wanted.shape == (*shape, 6)
    for got in (model.forward(x), model.predict(x, 2), model.predict(x.tolist())):
        assert np.array_equal(got, wanted)


def test_gradients_of_models(engine):
    rng = np.random.default_rng(0)
    x, y = texts(rng)
    assert fg.gradcheck(words(), x, rng=0)
    assert fg.gradcheck(words(), x, loss="cross_entropy", y=y, rng=0)
    assert fg.gradcheck(words(padding_idx=7), np.where(x == 7, 8, x), rng=0)
    one = fg.Sequential(fg.Embedding(9, 5), fg.Dense(5, 3, "tanh"), rng=0, dtype="float64")
    assert fg.gradcheck(one, rng.integers(9, size=40), rng=0)
    check = fg.gradcheck(one, rng.integers(9, size=(7, 5)), rng=0)
    assert check
    assert "x" not in check.errors


def test_the_gradient_is_that_of_this_batch_alone(engine, rng, dtype):
    model = fg.Sequential(fg.Embedding(50, 6, padding_idx=-1), rng=0, dtype=dtype)
    for shape in ((20,), (3, 4), (1,), (20,)):
        x, dy = rng.integers(50, size=shape), rng.standard_normal((*shape, 6)).astype(dtype)
        model.flat_grads[...] = rng.standard_normal(model.flat_grads.shape)  # somebody's
        model.forward(x)
        assert model.backward(dy, input_grad=False) is None
        wanted = np.zeros((50, 6))
        np.add.at(wanted, x, dy)
        wanted[49] = 0
        assert_close(model.grads["0.weight"], wanted, dtype, 2)


def test_the_default_table_is_that_of_pytorch():
    weight = fg.Sequential(fg.Embedding(4000, 10, padding_idx=-2), rng=0).params["0.weight"]
    assert not weight[-2].any()
    rest = np.delete(weight, 3998, axis=0)
    # five standard errors
    assert abs(rest.mean()) < 5 / np.sqrt(rest.size)
    assert abs(rest.var() - 1) < 5 * np.sqrt(2 / rest.size)
    given = np.ones((3, 2))
    table = fg.Sequential(fg.Embedding(3, 2, padding_idx=0, weight_init=given), rng=0)
    assert np.array_equal(table.params["0.weight"], given)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_it_trains_as_a_dense_layer_of_one_hot_rows_does(engine, rng, optimizer):
    x, y = rng.integers(12, size=200), rng.integers(3, size=200)
    table = rng.standard_normal((12, 6))
    found = []
    for first, rows in (
        (fg.Embedding(12, 6, weight_init=table), x),
        (fg.Dense(12, 6, bias=False, weight_init=np.ascontiguousarray(table.T)), np.eye(12)[x]),
    ):
        model = fg.Sequential(first, fg.Activation("tanh"), fg.Dense(6, 3), rng=0, dtype="float64")
        clip = fg.ClipNorm(0.1)
        trainer = fg.Trainer(model, "cross_entropy", optimizer, clip, rng=0)
        losses = [trainer.epoch(rows, y, 64) for _ in range(5)]
        losses.append(trainer.step(rows[:9], y[:9]))
        found.append((losses, model.params["0.weight"], trainer.evaluate(rows, y)))
    (losses, weight, loss), (others, turned, other) = found
    assert_close(losses, others, np.float64, 200)
    assert_close(weight, turned.T, np.float64, 10_000)
    assert loss == pytest.approx(other, rel=1e-11)


def test_gradients_of_several_minibatches_make_one_step(engine, rng):
    """What adds them up leaves gradients in rows that the next minibatch does not use."""
    x, y = texts(rng)
    found = []
    for size, accumulate in ((20, 1), (5, 4)):
        model = words()
        trainer = fg.Trainer(model, "cross_entropy", accumulate=accumulate, rng=0)
        for _ in range(3):
            trainer.epoch(x, y, size)
        assert trainer.steps == 9
        found.append(model.flat_params.copy())
    assert_close(*found, np.float64, 10_000)


def test_threads_change_nothing(threads, dtype):
    rng = np.random.default_rng(0)
    x = (3000 * rng.beta(0.3, 3, size=(600, 8))).astype(np.int64)  # some are much more frequent
    y = rng.integers(4, size=600)
    results = set()
    for count in (1, 2, 3, 5):
        threads(count)
        model = fg.Sequential(
            fg.Embedding(3000, 70, padding_idx=0),
            fg.Flatten(8, 70),
            fg.Dense(560, 4),
            rng=0,
            dtype=dtype,
        )
        trainer = fg.Trainer(model, "cross_entropy", rng=0)
        losses = [trainer.epoch(x, y, 250) for _ in range(3)]
        assert losses[-1] < losses[0]
        results.add(bits(model.flat_params, model.flat_grads, model.predict(x), losses))
    assert len(results) == 1


def test_fit_takes_indices(engine, rng):
    x = rng.integers(50, size=(200, 4))
    y = (x.sum(axis=1) > 100).astype(int)
    model = words("float32", padding_idx=0)
    weight = rng.uniform(0.5, 1, 200)
    run = fg.fit(model, x, y, loss="cross_entropy", optimizer=fg.Adam(0.01), epochs=30,
                 batch_size=32, validation=0.2, sample_weight=weight, progress=False,
                 rng=0)  # fmt: skip
    assert run.history["loss"][-1] < 0.5 * run.history["loss"][0]
    assert len(run.history["val_accuracy"]) == 30
    assert not model.params["0.weight"][0].any()
    held = fg.fit(model, x, y, loss="cross_entropy", epochs=1, validation=(x, y), progress=False)
    assert held.history["val_loss"]


def test_it_is_saved_loaded_copied_and_nested(tmp_path, rng):
    x, _ = texts(rng)
    model = words(padding_idx=3)
    model.save(tmp_path / "words.safetensors")
    again = fg.load(tmp_path / "words.safetensors")
    outer = fg.Sequential(model, fg.Dense(3, 3), rng=0, dtype="float64")
    for other in (again, pickle.loads(pickle.dumps(model)), fg.Sequential(model, dtype="float64")):
        assert np.array_equal(other.predict(x), model.predict(x))
    assert repr(again) == repr(model)
    assert list(outer.params)[:2] == ["0.0.weight", "0.1.weight"]
    assert fg.gradcheck(outer, np.where(x == 3, 4, x), rng=0)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_error_names_the_table(engine):
    model = fg.Sequential(fg.Embedding(4, 2), fg.Dense(2, 1, bias=False), rng=0)
    model.params["0.weight"][...] = 0
    model.params["1.weight"][...] = 1e30
    before = bits(model.flat_params)
    with pytest.raises(fg.GradientError, match=r"gradient of 0\.weight is not finite"):
        fg.Trainer(model, "mse").step([1, 2], np.full((2, 1), 1e15))
    assert bits(model.flat_params) == before


GOOD = np.zeros((6, 4), np.int64)
RANGE, TYPE = ValueError, TypeError
CASES = {
    "floats": (GOOD.astype(float), TYPE, "must hold integers, got dtype float64"),
    "bools": (GOOD > 0, TYPE, "must hold integers, got dtype bool"),
    "text": (GOOD.astype(str), TYPE, "must hold real numbers"),
    "none": (None, TYPE, "is missing"),
    "too high": (GOOD + 50 * (np.arange(24).reshape(6, 4) == 9), RANGE,
                 r"must lie in \[0, 50\), got 50 at index \(2, 1\)"),
    "too low": (GOOD - 1, RANGE, r"must lie in \[0, 50\), got -1 at index \(0, 0\)"),
    "beyond int64": (GOOD.astype(np.uint64) + np.uint64(2**63), RANGE, f"got {2**63} at"),
    "three axes": (GOOD[None], RANGE, r"has shape \(1, 6, 4\), needs \(N,\) or \(N, T\)"),
    "no axes": (3, RANGE, r"has shape \(\), needs \(N,\) or \(N, T\)"),
    "no rows": (GOOD[:0], RANGE, r"has shape \(0, 4\)"),
    "other steps": (GOOD[:, :3], RANGE, r"Flatten needs \(N, 4, 6\), got shape \(6, 3, 6\)"),
}  # fmt: skip


@pytest.mark.parametrize(("x", "error", "message"), CASES.values(), ids=CASES)
def test_bad_indices(x, error, message):
    model = words("float32")
    trainer = fg.Trainer(model, "cross_entropy", rng=0)
    y = np.zeros(6, int)
    trainer.epoch(GOOD, y)
    before = bits(model.flat_params, model.flat_grads, trainer.steps)
    for use in (
        model.forward,
        model.predict,
        lambda x: trainer.step(x, y),
        lambda x: trainer.epoch(x, y),
        lambda x: fg.fit(model, x, y, loss="cross_entropy", progress=False),
        lambda x: fg.fit(model, GOOD, y, loss="cross_entropy", validation=(x, y)),
    ):
        with pytest.raises(error, match=message):
            use(x)
    assert bits(model.flat_params, model.flat_grads, trainer.steps) == before


def test_indices_that_change_between_two_epochs_are_looked_at_again():
    trainer = fg.Trainer(words("float32"), "cross_entropy", rng=0)
    x, y = GOOD.copy(), np.zeros(6, int)
    trainer.epoch(x, y)
    x[3, 3] = 50
    with pytest.raises(ValueError, match=r"X must lie in \[0, 50\), got 50"):
        trainer.epoch(x, y)


def test_indices_in_files_must_be_integers(tmp_path):
    np.save(tmp_path / "x.npy", np.full((9, 4), 1e9))
    np.save(tmp_path / "y.npy", np.zeros(9, int))
    rows, model = FileRows(tmp_path / "x.npy", tmp_path / "y.npy"), words()
    with pytest.raises(TypeError, match="X must hold integers, got dtype float64"):
        model.predict(rows)
    with pytest.raises(TypeError, match="X must hold integers, got dtype float64"):
        fg.fit(model, rows, loss="cross_entropy", epochs=1, progress=False)


def test_layer_sequential_variance_of_a_model_of_indices():
    model = words("float32")
    fg.initializers.lsuv(model, np.random.default_rng(0).integers(50, size=(300, 4)))
    with pytest.raises(ValueError, match=r"x must lie in \[0, 50\), got 50"):
        fg.initializers.lsuv(model, GOOD + 50)


def test_indices_have_no_gradient():
    model = words()
    y = model.forward(GOOD)
    with pytest.raises(ValueError, match=r"indices have no gradient.*input_grad=False"):
        model.backward(y)
    assert model.backward(y, input_grad=False) is None


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: fg.Embedding(0, 2), ValueError, "count must be at least 1, got 0"),
        (lambda: fg.Embedding(2.0, 2), TypeError, "count must be an integer, got 2.0"),
        (lambda: fg.Embedding(2, 0), ValueError, "features must be at least 1, got 0"),
        (lambda: fg.Embedding(3, 2, 3), ValueError, r"padding_idx must lie in \[-3, 3\), got 3"),
        (lambda: fg.Embedding(3, 2, -4), ValueError, "padding_idx must be at least -3, got -4"),
        (lambda: fg.Embedding(3, 2, 1.0), TypeError, "padding_idx must be an integer"),
        (lambda: fg.Flatten(0, 2), ValueError, "steps must be at least 1, got 0"),
        (
            lambda: fg.Sequential(fg.Dense(3, 5), fg.Embedding(4, 2)), ValueError,
            r"layer 1 \(Embedding\) must be the first: it takes the model's input",
        ),
        (
            lambda: fg.Sequential(fg.Dense(3, 5), fg.Sequential(fg.Embedding(4, 2))), ValueError,
            r"layer 1 \(Chain\) must be the first",
        ),
        (lambda: fg.Residual(fg.Embedding(4, 2)), ValueError, "takes no indices"),
        (
            lambda: fg.Sequential(fg.Embedding(4, 2), fg.Dense(3, 5)), ValueError,
            r"layer 1 \(Dense\) takes 3 features, but layer 0 gives 2",
        ),
        (
            lambda: fg.Sequential(fg.Embedding(4, 2), fg.Flatten(3, 2), fg.Dense(2, 1)), ValueError,
            r"layer 2 \(Dense\) takes 2 features, but layer 1 gives 6",
        ),
        (
            lambda: fg.Sequential(fg.Embedding(3, 2, weight_init=np.ones((2, 2)))), ValueError,
            r"expected an array of shape \(3, 2\), got \(2, 2\)",
        ),
    ],
)  # fmt: skip
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()
