"""Branches side by side: the kernels that merge them, and models with them at every depth."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from harness import golden
from nets import assert_close, bits

import fastgrad as fg

ROWS = [0, 1, 7, 15, 16, 17, 33, 300]
BOTH = pytest.mark.parametrize("merge", ["concat", "sum"])


@pytest.mark.parametrize(("wide", "start", "features"), [(1, 0, 1), (7, 2, 5), (70, 33, 17)])
@pytest.mark.parametrize("rows", ROWS)
def test_columns(run, rng, dtype, rows, wide, start, features):
    x = rng.standard_normal((rows, features)).astype(dtype)
    y = rng.standard_normal((rows, wide)).astype(dtype)
    wanted = y.copy()
    wanted[:, start : start + features] = x
    assert bits(run("put_columns", x=x, start=start, y=y).y) == bits(wanted)
    out = np.empty_like(x)
    assert bits(run("take_columns", y=wanted, start=start, x=out).x) == bits(x)


def test_columns_hold_whatever_they_hold(run, dtype):
    x = np.array([[np.nan, np.inf, -0.0], [1e-45, -np.inf, np.nan]], dtype)
    y = run("put_columns", x=x, start=1, y=np.zeros((2, 5), dtype)).y
    assert bits(y[:, 1:4]) == bits(x)
    assert bits(run("take_columns", y=y, start=1, x=np.empty_like(x)).x) == bits(x)


@BOTH
def test_golden(engine, dtype, merge):
    """PyTorch's cat, and sum, of two branches."""
    true = {k.partition(".")[2]: v for k, v in golden("layers").items() if k.startswith(merge)}
    wide = len(true["a"])
    model = fg.Sequential(
        fg.Parallel(
            fg.Dense(5, wide, "tanh", weight_init=true["a"], bias=False),
            fg.Sequential(
                fg.Dense(5, 6, "sigmoid", weight_init=true["b"], bias=False),
                fg.Dense(6, 4, weight_init=true["c"], bias=False),
                dtype=dtype,
            ),
            merge=merge,
        ),
        dtype=dtype,
    )
    assert_close(model.forward(true["x"]), true["y"], dtype, 20)
    assert_close(model.backward(true["dy"]), true["dx"], dtype, 40)
    for name, wanted in (("0.0.weight", "da"), ("0.1.0.weight", "db"), ("0.1.1.weight", "dc")):
        assert_close(model.grads[name], true[wanted], dtype, 40)


def net(merge="concat", dtype="float64", rng=0):
    """Branches in a residual block, in a branch, and below and above other layers."""
    return fg.Sequential(
        fg.Parallel(fg.Dense(5, 8, "tanh"), fg.Dense(5, 8, "gelu"), merge="sum"),
        fg.Residual(
            fg.Parallel(fg.Dense(8, 3, "silu"), fg.Activation("tanh"), fg.Dense(8, 2)),
            fg.Dense(13, 8),
            learn_scale=True,
        ),
        fg.Concat(fg.Activation("identity"), fg.BatchNorm(8)),
        fg.Parallel(
            fg.Sequential(
                fg.Concat(fg.Dense(16, 4), fg.Dense(16, 3, "tanh")), fg.Dense(7, 6, "tanh")
            ),
            fg.Residual(fg.Dense(16, 16), fg.Dense(16, 16))
            if merge == "concat"
            else fg.Dense(16, 6, "softplus"),
            fg.Sequential(fg.Dropout(0.3), fg.Dense(16, 6)),
            merge=merge,
        ),
        fg.Dense(28 if merge == "concat" else 6, 3),
        rng=rng,
        dtype=dtype,
    )


@BOTH
def test_outputs(engine, rng, merge):
    """Each branch is a model of its own with the same parameters."""
    x = rng.standard_normal((20, 5))
    first = fg.Sequential(fg.Dense(5, 4, "tanh"), fg.Dense(4, 3), rng=1, dtype="float64")
    others = [
        fg.Sequential(fg.Dense(5, 3, "relu"), rng=seed, dtype="float64") for seed in range(2, 4)
    ]
    model = fg.Sequential(fg.Parallel(first, *others, merge=merge), dtype="float64")
    parts = [branch.forward(x) for branch in (first, *others)]
    wanted = np.concatenate(parts, axis=1) if merge == "concat" else sum(parts)
    for got in (model.forward(x), model.predict(x, 7)):
        assert_close(got, wanted, np.float64, 4)
    dy = rng.standard_normal(wanted.shape)
    dx = model.backward(dy)
    shares = np.split(dy, 3, axis=1) if merge == "concat" else [dy] * 3
    branches = zip((first, *others), shares, strict=True)
    assert_close(dx, sum(branch.backward(share) for branch, share in branches), np.float64, 4)


@BOTH
def test_gradients(engine, merge):
    rng = np.random.default_rng(0)
    model = net(merge)
    for view in model.params.values():
        view += 0.1 * rng.standard_normal(view.shape)
    assert fg.gradcheck(model, rng.standard_normal((9, 5)), rng=0)
    assert fg.gradcheck(model, rng.standard_normal((3, 4, 5)), rng=0)


@BOTH
def test_gradients_without_that_of_the_input(engine, rng, merge):
    model = net(merge)
    x, dy = rng.standard_normal((9, 5)), rng.standard_normal((9, 3))
    found = []
    for input_grad in (True, False):
        model._count[...] = 0  # drops the same
        model.flat_grads[...] = 0
        model.forward(x)
        assert (model.backward(dy, input_grad) is not None) == input_grad
        found.append(model.flat_grads.copy())
    assert_close(found[1], found[0], np.float64, 4)


@BOTH
def test_threads_change_nothing(threads, dtype, merge):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((600, 40)), rng.integers(3, size=600)
    results = set()
    for count in (1, 2, 3, 5):
        threads(count)
        branches = (
            fg.Dense(64, 50, "relu"),
            fg.Sequential(fg.BatchNorm(64), fg.Dense(64, 70, "tanh"), fg.Dense(70, 50), rng=0),
            fg.Sequential(fg.Dense(64, 50), fg.LayerNorm(50), rng=0),
        )
        model = fg.Sequential(
            fg.Dense(40, 64, "relu"),
            fg.Parallel(*branches, merge=merge),
            fg.Residual(fg.Parallel(fg.Activation("tanh"), fg.Activation("relu"), merge="sum")),
            fg.Dense(150 if merge == "concat" else 50, 3),
            rng=0,
            dtype=dtype,
        )
        trainer = fg.Trainer(model, "cross_entropy", clip=fg.ClipPerLayer(0.1), rng=0)
        losses = [trainer.epoch(x, y, 250) for _ in range(4)]
        assert losses[-1] < losses[0]
        dx = model.backward(model.forward(x))
        results.add(bits(model.flat_params, model.flat_grads, dx, losses))
    assert len(results) == 1


class Double(fg.Layer):
    """A layer in Python."""

    def forward(self, x, params, train):
        return 2 * x

    def backward(self, dy, params, grads):
        return 2 * dy


class Block(fg.Layer):
    """A layer of somebody else that records kernels."""

    def parameters(self):
        return {"weight": ((5, 5), fg.initializers.orthogonal())}

    def record(self, tape, x, params, grads, train):
        y, weight = tape.empty(x.shape), params["weight"]
        tape.call("dense_forward", x, weight, None, "tanh", 0.0, y, None)

        def backward(dy, input_grad):
            dx = tape.empty(x.shape)
            rest = dy, dx, grads["weight"], None, tape.status
            tape.call("dense_backward", x, weight, y, None, "tanh", 0.0, *rest)
            tape.release(dy)
            return dx

        return y, backward


@BOTH
def test_layers_of_others_are_branches(engine, rng, merge):
    model = fg.Sequential(
        fg.Parallel(Double(), Block(), fg.Dropout(0), merge=merge),
        fg.Dense(15 if merge == "concat" else 5, 2),
        rng=0,
        dtype="float64",
    )
    assert fg.gradcheck(model, rng.standard_normal((9, 5)), rng=0)
    assert model.inputs == (5 if merge == "sum" else None)  # three times what goes in comes out
    fg.Trainer(model, "mse").step(rng.standard_normal((9, 5)), rng.standard_normal((9, 2)))


def test_branches_of_indices(engine):
    rng = np.random.default_rng(0)
    model = fg.Sequential(
        fg.Concat(fg.Embedding(30, 4), fg.Sequential(fg.Embedding(20, 2), fg.Dense(2, 3, "tanh"))),
        fg.Flatten(5, 7),
        fg.Dense(35, 2),
        rng=0,
        dtype="float64",
    )
    assert model.indices == 20
    assert fg.gradcheck(model, rng.integers(20, size=(6, 5)), rng=0)
    with pytest.raises(ValueError, match=r"x must lie in \[0, 20\), got 20"):
        model.forward(np.full((2, 5), 20))


def test_branches_that_standardize(rng):
    x = rng.normal(5, 3, (50, 4))
    model = fg.Sequential(
        fg.Concat(fg.Sequential(fg.Standardize(4), fg.Dense(4, 3)), fg.Standardize(4)),
        rng=0,
        dtype="float64",
    )
    model.fit_input(x)
    assert_close(model.predict(x)[:, 3:], (x - x.mean(axis=0)) / x.std(axis=0), np.float64, 20)
    assert np.array_equal(model.buffers["0.0.0.mean"], model.buffers["0.1.mean"])


def test_names_are_paths():
    model = net()
    assert list(model.params)[:4] == ["0.0.weight", "0.0.bias", "0.1.weight", "0.1.bias"]
    assert "1.0.2.weight" in model.params
    assert "3.0.0.1.weight" in model.params
    assert list(model.buffers) == ["2.1.running_mean", "2.1.running_var"]
    starts = model.layer_starts()
    own = {name.rpartition(".")[0] for name in model.params}
    assert len(starts) == len(own)


@BOTH
def test_it_is_saved_loaded_copied_and_nested(tmp_path, rng, merge):
    model, x = net(merge), rng.standard_normal((6, 5))
    model.save(tmp_path / "net.safetensors")
    again = fg.load(tmp_path / "net.safetensors")
    outer = fg.Sequential(model, dtype="float64")
    for other in (again, pickle.loads(pickle.dumps(model)), outer):
        assert np.array_equal(other.predict(x), model.predict(x))
    assert repr(again) == repr(model)
    assert list(again.params) == list(model.params)


def test_an_error_names_the_branches():
    model = fg.Sequential(
        fg.Dense(4, 4), fg.Concat(fg.Dense(4, 2), fg.Dense(4, 2)), fg.Dense(4, 2), rng=0
    )
    model.params["1.1.weight"][0, 0] = np.nan
    with pytest.raises(fg.GradientError, match=r"the output of layer 1 \(Parallel\) is not finite"):
        fg.Trainer(model, "mse").step(np.ones((3, 4)), np.ones((3, 2)))


class Last(fg.Layer):
    """The last time step."""

    def output_shape(self, shape):
        return shape[0], shape[-1]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: fg.Parallel(), ValueError, "needs at least 2 branches, got 0"),
        (lambda: fg.Concat(fg.Dense(3, 4)), ValueError, "needs at least 2 branches, got 1"),
        (
            lambda: fg.Parallel(fg.Dense(3, 4), fg.Dense(3, 4), merge="mean"), ValueError,
            "merge must be one of concat, sum, got 'mean'",
        ),
        (lambda: fg.Concat(fg.Dense(3, 4), "relu"), TypeError, "layer 1 must be a fastgrad.Layer"),
        (
            lambda: fg.Concat(fg.Activation("relu"), fg.Dense(3, 4), fg.Dense(5, 4)), ValueError,
            "differ in features: branch 1 takes 3, branch 2 takes 5",
        ),
        (
            lambda: fg.Parallel(fg.Dense(3, 4), fg.Dense(3, 5), merge="sum"), ValueError,
            "differ in features: branch 0 gives 4, branch 1 gives 5",
        ),
        (
            lambda: fg.Parallel(fg.Dense(3, 4), fg.Activation("relu"), merge="sum"), ValueError,
            "differ in features: branch 0 gives 4, branch 1 gives 3",
        ),
        (
            lambda: fg.Concat(fg.Embedding(3, 4), fg.Dense(3, 4)), ValueError,
            "some branches of a Parallel take indices, and others real numbers",
        ),
        (
            lambda: fg.Sequential(fg.Concat(fg.Dense(3, 4), fg.Dense(3, 2)), fg.Dense(5, 4)),
            ValueError, r"layer 1 \(Dense\) takes 5 features, but layer 0 gives 6",
        ),
        (
            lambda: fg.Sequential(fg.Dense(3, 4), fg.Concat(fg.Dense(4, 4), fg.Standardize(4))),
            ValueError, r"layer 1 \(Parallel\) must be the first",
        ),
        (
            lambda: fg.Sequential(fg.Concat(fg.Dense(3, 4), Last())).forward(np.ones((5, 2, 3))),
            ValueError, r"give outputs \(5, 2, 4\), \(5, 3\)",
        ),
    ],
)  # fmt: skip
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make()
