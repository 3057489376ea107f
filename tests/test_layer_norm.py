"""Layer norm and RMS norm: their kernels, and models that have them."""

from __future__ import annotations

import numpy as np
import pytest
from harness import exact, golden
from nets import assert_close, bits, chain
from rounding import H, assert_within, rounding

import fastgrad as fg

SIZES = [(0, 3), (1, 1), (7, 15), (16, 16), (17, 33), (300, 70), (3, 1100)]
center = pytest.mark.parametrize("center", [0, 1], ids=["rms", "layer"])
sizes = pytest.mark.parametrize("size", SIZES, ids="{0[0]}x{0[1]}".format)
affine = pytest.mark.parametrize("affine", ["weight bias", "weight", "bias", ""])


def problem(rng, size, dtype, center=1, affine="weight bias", mean=1.0, spread=1.0):
    """Arguments of the forward kernel, and dy."""
    x, dy = rng.standard_normal((2, *size))
    own = {name: rng.standard_normal(size[1]).astype(dtype) for name in affine.split()}
    given = {"x": (mean + spread * x).astype(dtype), "center": center, "eps": 1e-5, **own}
    return given, dy.astype(dtype)


def backward_of(run, given, out, dy, **more):
    """The backward kernel, with gradients of the parameters that there are."""
    own = {f"d{name}": None for name in ("weight", "bias") if name not in given}
    inputs = {name: given[name] for name in ("x", "weight", "center") if name in given}
    return run("layer_norm_backward", **inputs, mean=out.mean, scale=out.scale, dy=dy, **own | more)


class Terms:
    """What the results of one problem are sums of, and how far rounding may take them."""

    def __init__(self, given, dy):
        self.count, self.features = dy.shape
        self.dtype = dy.dtype
        self.out = exact("layer_norm_forward", **given)
        x = given["x"].astype(np.float64)
        self.weight = np.float64(given.get("weight", 1))
        self.bias = np.float64(given.get("bias", 0))
        self.scale = self.out.scale[:, None]
        self.v = (x - self.out.mean[:, None]) * self.scale
        self.dy, self.g = np.abs(dy, dtype=np.float64), np.abs(dy * self.weight)
        size = np.abs(x).mean(axis=1, keepdims=True)
        # A sum of F terms in float64, in whatever order; the mean's enters every v.
        self.of_mean = rounding(size, np.float64, self.features)
        self.of_scale = rounding(self.scale, np.float64, self.features + 10)
        # Two differences, a product, and the three numbers that go into them.
        self.of_v = rounding(self.v, self.dtype, 6) + self.of_mean * self.scale
        self.of_v += np.abs(self.v) * self.of_scale / self.scale

    def check_forward(self, got, true=None):
        true = true or self.out
        bound = np.abs(self.weight) * self.of_v
        bound = bound + rounding(np.abs(self.v * self.weight) + np.abs(self.bias), self.dtype, 4)
        assert_within(got.y, true.y, bound, "y")
        assert_within(got.mean, self.out.mean, self.of_mean[:, 0], "mean")
        assert_within(got.scale, self.out.scale, self.of_scale[:, 0], "scale")

    def check_backward(self, got, true):
        v = np.abs(self.v)
        if "dweight" in vars(got):
            # sums of 8 rows, and the sum of those
            sums = rounding((self.dy * v).sum(axis=0), self.dtype, self.count / 8 + 12)
            sums += (self.dy * self.of_v).sum(axis=0)
            assert_within(got.dweight, true.dweight, sums, "dweight")
        if "dbias" in vars(got):
            bound = rounding(self.dy.sum(axis=0), self.dtype, self.count / 8 + 12)
            assert_within(got.dbias, true.dbias, bound, "dbias")
        if "dx" not in vars(got):
            return
        g, dot = self.g.mean(axis=1, keepdims=True), (self.g * v).mean(axis=1, keepdims=True)
        # lanes of 8 terms, then sums in float64
        bound = rounding(self.g + g + v * dot, self.dtype, 24)
        bound = bound + rounding(g + v * dot, np.float64, self.features)
        bound = bound + self.of_v * dot + v * (self.g * self.of_v).mean(axis=1, keepdims=True)
        bound = bound + (self.g + g + v * dot) * self.of_scale / self.scale
        tiny = float(np.finfo(self.dtype).tiny)  # what may count as zero, in dx or what it is of
        assert_within(got.dx, true.dx, self.scale * bound + 4 * tiny, "dx")


@affine
@center
@sizes
def test_both_ways(run, rng, dtype, size, center, affine):
    given, dy = problem(rng, size, dtype, center, affine)
    terms, out = Terms(given, dy), run("layer_norm_forward", **given)
    terms.check_forward(out)
    terms.check_backward(
        backward_of(run, given, terms.out, dy), backward_of(exact, given, terms.out, dy)
    )


@center
@pytest.mark.parametrize("f", [1, 7, 33])
def test_golden_values(run, dtype, f, center):
    values = golden("norm")
    names = ("weight", "bias") if center else ("weight",)
    given = {name: values[f"{f}.{name}"].astype(dtype) for name in ("x", *names)}
    given |= {"center": center, "eps": 1e-5}
    dy = values[f"{f}.dy"].astype(dtype)
    out = run("layer_norm_forward", **given)
    got = backward_of(run, given, out, dy)
    case = f"{f}.{'layer' if center else 'rms'}"
    true = type(out)(**{k: values.get(f"{case}.{k}") for k in ("y", "dx", "dweight", "dbias")})
    terms = Terms(given, dy)
    terms.check_forward(out, true)
    terms.check_backward(got, true)


@center
def test_gradient(run, rng, center):
    """Along one direction, and no further off than the third derivative and rounding allow.

    With t the norm of the direction over that of the row, 1 / sqrt(1 + 2 a h + t^2 h^2) generates
    the Legendre polynomials: its n-th derivative at 0 is at most n! t^n.
    """
    given, dy = problem(rng, (17, 33), np.float64, center)
    along = {name: rng.standard_normal(given[name].shape) for name in ("x", "weight", "bias")}

    def value(h):
        moved = {name: given[name] + h * d for name, d in along.items()}
        return (dy * run("layer_norm_forward", **given | moved).y).sum()

    out = run("layer_norm_forward", **given)
    got = backward_of(run, given, out, dy)
    slope = sum((getattr(got, f"d{name}") * d).sum() for name, d in along.items())
    terms = Terms(given, dy)
    e = along["x"] - center * along["x"].mean(axis=1, keepdims=True)
    e, v = np.abs(e) * terms.scale, np.abs(terms.v)
    t = np.sqrt((e**2).mean(axis=1, keepdims=True))
    third = np.abs(given["weight"]) * 6 * (t**3 * v + t**2 * e)
    third += 3 * np.abs(along["weight"]) * 2 * (t**2 * v + t * e)
    noise = rounding(v * np.abs(given["weight"]) + np.abs(given["bias"]), np.float64, 33 + 20)
    bound = terms.dy * (H**2 / 6 * 2 * third + noise / H)  # twice: of all h below H
    assert_within(slope, (value(H) - value(-H)) / (2 * H), bound.sum())


@center
@pytest.mark.parametrize(("mean", "spread"), [(1e6, 1), (0, 1e20), (-1e20, 1e18), (0, 1e-20)])
def test_rows_of_any_size_keep_their_digits(run, rng, center, mean, spread):
    """The bounds are those of every row: a float32 mean would be off by 0.03 spreads of 1e6."""
    given, dy = problem(rng, (9, 70), np.float32, center, mean=mean, spread=spread)
    terms, out = Terms(given, dy), run("layer_norm_forward", **given)
    terms.check_forward(out)
    assert np.isfinite(out.y).all()
    true = backward_of(exact, given, terms.out, dy)
    terms.check_backward(backward_of(run, given, terms.out, dy), true)


@pytest.mark.parametrize("features", [1, 5, 70])
def test_a_row_of_one_number_gives_the_bias(run, rng, dtype, features):
    given, dy = problem(rng, (4, features), dtype)
    given["x"][...] = np.array([[0], [-3.25], [1e6], [7]])
    out = run("layer_norm_forward", **given)
    assert np.array_equal(out.y, np.broadcast_to(given["bias"], out.y.shape))
    assert_within(out.scale, np.full(4, 1e-5**-0.5), rounding(out.scale, np.float64, 4))
    got = backward_of(run, given, out, dy)
    assert not got.dweight.any()
    assert np.isfinite(got.dx).all()
    Terms(given, dy).check_backward(got, backward_of(exact, given, out, dy))


@center
def test_dx_may_lie_where_dy_does(ops, rng, dtype, threads, center):
    """However many threads sum columns of dy while others would overwrite its rows."""
    given, dy = problem(rng, (645, 201), dtype, center)
    x, weight = given["x"], given["weight"]
    y, mean, scale = np.empty_like(x), np.empty(645), np.empty(645)
    ops.layer_norm_forward(x, weight, given["bias"], center, 1e-5, None, y, mean, scale)
    results = set()
    for count in (1, 2, 3, 5):
        threads(count)
        for apart in (True, False):
            gradient = dy.copy()
            dx = np.empty_like(dy) if apart else gradient
            sums = np.empty((2, 201), dtype)
            ops.layer_norm_backward(
                x, weight, center, mean, scale, gradient, None, dx, sums[0], sums[1], None
            )
            results.add(bits(dx, sums))
    assert len(results) == 1


@center
def test_rows_behind_the_last_step_are_left_alone(run, rng, dtype, center):
    given, dy = problem(rng, (20, 33), dtype, center)
    offsets = np.array([0, 5, 9, 11])
    given["x"][11:] = dy[11:] = np.nan
    alone = run("layer_norm_forward", **given | {"x": given["x"][:11]})
    out = run("layer_norm_forward", **given, offsets=offsets)
    assert np.isnan(out.y[11:]).all()  # as harness.call had made it
    assert all(bits(getattr(out, k)[:11]) == bits(getattr(alone, k)) for k in vars(alone))
    wanted = backward_of(run, given | {"x": given["x"][:11]}, alone, dy[:11])
    got = backward_of(run, given, out, dy, offsets=offsets)
    assert np.isnan(got.dx[11:]).all()
    assert bits(got.dx[:11]) == bits(wanted.dx)
    assert bits(got.dweight, got.dbias) == bits(wanted.dweight, wanted.dbias)
    assert got.status[0] == 0


def test_steps_of_more_rows_than_there_are_are_refused(run, rng):
    given, dy = problem(rng, (20, 3), np.float32)
    out, offsets = run("layer_norm_forward", **given), np.array([0, 15, 21])
    with pytest.raises(ValueError, match="forward: offsets end at 21, but there are 20 rows"):
        run("layer_norm_forward", **given, offsets=offsets)
    with pytest.raises(ValueError, match="backward: offsets end at 21, but there are 20 rows"):
        backward_of(run, given, out, dy, offsets=offsets)


@center
@pytest.mark.parametrize("left_out", ["dx", "dweight", "dbias", "status"])
def test_outputs_may_be_left_out(run, rng, dtype, center, left_out):
    given, dy = problem(rng, (7, 33), dtype, center)
    out = run("layer_norm_forward", **given)
    whole = backward_of(run, given, out, dy)
    part = backward_of(run, given, out, dy, **{left_out: None})
    for name in {"dx", "dweight", "dbias"} - {left_out}:
        assert bits(getattr(part, name)) == bits(getattr(whole, name))


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("bad", [np.inf, np.nan])
@pytest.mark.parametrize("where", range(0, 40, 3))
def test_a_gradient_that_is_not_finite_raises_the_status(run, rng, dtype, bad, where):
    given, dy = problem(rng, (9, 40), dtype)
    out = run("layer_norm_forward", **given)
    assert backward_of(run, given, out, dy).status[0] == 0
    dy[rng.integers(9), where] = bad
    assert backward_of(run, given, out, dy).status[0] == 1
    assert backward_of(run, given, out, dy, dweight=None).status[0] == 1
    assert backward_of(run, given, out, dy, dbias=None).status[0] == 1
    assert backward_of(run, given, out, dy, dweight=None, dbias=None).status[0] == 0


def tower(*, dtype="float64", rng=0):
    return fg.Sequential(
        fg.LayerNorm(6),
        fg.Residual(fg.RMSNorm(6, eps=0.1), fg.Dense(6, 6, "tanh")),
        fg.Dense(6, 9, "gelu"),
        fg.Residual(fg.LayerNorm(9, bias=False), fg.Dense(9, 9, "tanh"), fg.RMSNorm(9)),
        fg.LayerNorm(9, affine=False),
        fg.RMSNorm(9, affine=False),
        fg.Dense(9, 4),
        fg.LayerNorm(4, eps=0.5),
        rng=rng,
        dtype=dtype,
    )


def disturbed(model, rng):
    for view in model.params.values():
        view += 0.1 * rng.standard_normal(view.shape)
    return model


@pytest.mark.parametrize("shape", [(9, 6), (3, 4, 6)])
def test_gradients_of_a_model(engine, rng, shape):
    model = disturbed(tower(), rng)
    assert fg.gradcheck(model, rng.standard_normal(shape), rng=0)


def test_outputs_are_normalized(engine, rng):
    model = fg.Sequential(fg.LayerNorm(50, eps=1e-12), rng=0, dtype="float64")
    y = model.predict(3 + 7 * rng.standard_normal((5, 4, 50)))
    assert_within(y.mean(axis=-1), np.zeros((5, 4)), rounding(1, np.float64, 50))
    assert_within(y.var(axis=-1), np.ones((5, 4)), rounding(1, np.float64, 50) + 1e-12)
    model = fg.Sequential(fg.RMSNorm(50, eps=1e-12), rng=0, dtype="float64")
    y = model.predict(3 + 7 * rng.standard_normal((5, 4, 50)))
    assert_within((y**2).mean(axis=-1), np.ones((5, 4)), rounding(1, np.float64, 50) + 1e-12)


def test_gradients_without_that_of_the_input(engine, rng):
    model = disturbed(tower(), rng)
    x, dy = rng.standard_normal((9, 6)), rng.standard_normal((9, 4))
    model.forward(x)
    model.backward(dy)
    wanted = model.flat_grads.copy()
    model.flat_grads[...] = 0
    assert model.backward(dy, input_grad=False) is None
    assert_close(model.flat_grads, wanted, np.float64, 4)


@pytest.mark.parametrize(("rows", "batch"), [(1200, 500), (48, 16)], ids=["tall", "wide"])
def test_threads_change_no_training(threads, dtype, rows, batch):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((rows, 150)), rng.integers(3, size=rows)
    results = set()
    for count in (1, 2, 3, 5):
        threads(count)
        blocks = (
            fg.Residual(fg.RMSNorm(330), fg.Dense(330, 90, "relu"), fg.Dense(90, 330))
            for _ in range(3)
        )
        model = fg.Sequential(
            fg.LayerNorm(150), fg.Dense(150, 330, "tanh"), *blocks, fg.LayerNorm(330),
            fg.Dense(330, 3), rng=0, dtype=dtype,
        )  # fmt: skip
        trainer = fg.Trainer(model, "cross_entropy", clip=fg.ClipNorm(0.5), rng=0)
        losses = [trainer.epoch(x, y, batch) for _ in range(4)]
        assert losses[-1] < losses[0]
        results.add(bits(model.flat_params, model.flat_grads, losses))
    assert len(results) == 1


def test_it_is_saved_and_loaded(tmp_path, rng):
    model = disturbed(tower(), rng)
    model.save(tmp_path / "tower.safetensors")
    again = fg.load(tmp_path / "tower.safetensors")
    x = rng.standard_normal((5, 6))
    assert bits(again.predict(x)) == bits(model.predict(x))
    assert repr(again) == repr(model)


def test_parameters_are_named_as_in_pytorch():
    shapes = {name: view.shape for name, view in tower().params.items()}
    assert shapes["0.weight"] == shapes["0.bias"] == (6,)
    assert shapes["1.0.weight"] == (6,)
    assert "1.0.bias" not in shapes
    assert "3.0.bias" not in shapes
    assert not {name for name in shapes if name[0] in "45"}
    layer = fg.LayerNorm(6, affine=False, bias=False, eps=0.5)
    assert repr(layer) == "LayerNorm(features=6, eps=0.5, affine=False, bias=False)"


def gain(norm, spread, activation, layers=40, width=64):
    """Norm of the gradient that comes out of a tower of layers, over that put in.

    `spread` is the standard deviation of the weights times the root of the width.
    """
    init = fg.initializers.normal(spread / np.sqrt(width))
    parts = []
    for _ in range(layers):
        parts += [fg.Dense(width, width, weight_init=init), *norm, fg.Activation(activation)]
        norm = [fg.LayerNorm(width) for _ in norm]
    model = fg.Sequential(*parts, rng=0, dtype="float64")
    x, dy = np.random.default_rng(0).standard_normal((2, 64, width))
    model.forward(x)
    return np.linalg.norm(model.backward(dy)) / np.linalg.norm(dy)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_layer_norm_cures_gradients_that_vanish_or_explode(activation):
    """Without it a layer of relu multiplies the squared norm by spread^2 / 2.

    With it, by E f'(z)^2 / E f(z)^2 for z of variance 1, whatever the weights are, less two of the
    width's dimensions, along which nothing passes; the first layer's x has mean square 1.
    """
    z, weight = np.polynomial.hermite_e.hermegauss(200)
    f, slope = (np.tanh(z), np.cosh(z) ** -2) if activation == "tanh" else (z * (z > 0), z > 0)
    f2, slope2 = (weight @ f**2 / weight.sum(), weight @ slope**2 / weight.sum())
    wanted = np.sqrt(f2 * (slope2 / f2 * (1 - 2 / 64)) ** 40)
    for spread in (0.3, 8.0):
        got = gain([fg.LayerNorm(64)], spread, activation)
        assert wanted / 3 < got < 3 * wanted
    assert gain([], 0.3, activation) < 1e-15
    if activation == "relu":
        assert gain([], 8.0, activation) > 1e25


@pytest.mark.parametrize("kind", [fg.LayerNorm, fg.RMSNorm])
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"features": 0}, ValueError, "features must be at least 1, got 0"),
        ({"features": 2.5}, TypeError, "features must be an integer"),
        ({"features": 3, "eps": 0}, ValueError, "eps must lie in .0, inf., got 0"),
        ({"features": 3, "eps": -1}, ValueError, "eps must lie in .0, inf., got -1"),
        ({"features": 3, "eps": np.nan}, ValueError, "eps must lie in .0, inf., got nan"),
        ({"features": 3, "eps": "1"}, TypeError, "eps must be a number"),
    ],
)
def test_bad_input(kind, arguments, error, message):
    with pytest.raises(error, match=message):
        kind(**arguments)


@pytest.mark.parametrize("kind", [fg.LayerNorm, fg.RMSNorm])
def test_a_neighbour_of_another_width(kind):
    with pytest.raises(
        ValueError, match=f"layer 1 .{kind.__name__}. takes 5 features, but layer 0"
    ):
        fg.Sequential(fg.Dense(3, 4), kind(5))
    with pytest.raises(ValueError, match=r"layer 1 .Chain. takes 4 features, but layer 0 gives 5"):
        fg.Sequential(kind(5), chain(4, 4))
