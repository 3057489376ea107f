"""L1 and L2: the kernel, what is penalized, and training with them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from harness import exact, golden
from nets import assert_close, bits, chain
from rounding import assert_within, central_difference, rounding

import fastgrad as fg
from fastgrad import backends, penalties

SIZES = [0, 1, 7, 15, 16, 17, 33, 4095, 4096, 4097, 9000]
FACTORS = {"l1": (0.25, 0.0), "l2": (0.0, 0.125), "both": (0.25, 0.125), "none": (0.0, 0.0)}
factors = pytest.mark.parametrize(("l1", "l2"), FACTORS.values(), ids=FACTORS)


def arguments(w, g, l1, l2, blocks=None):
    blocks = np.array([0, w.size] if blocks is None else blocks, np.int64)
    count = len(blocks) - 1
    given = {"l1": np.broadcast_to(l1, count), "l2": np.broadcast_to(l2, count)}
    given = {name: np.array(values, np.float64) for name, values in given.items()}
    return {"w": w, "blocks": blocks, "g": g, "loss": np.array([2.0]), **given}


def sizes_of_terms(w, l1, l2):
    return l1 * np.abs(w) + l2 * w.astype(np.float64) ** 2


@factors
def test_against_the_reference(run, rng, dtype, l1, l2):
    for size in SIZES:
        w, g = rng.standard_normal((2, size)).astype(dtype)
        w[rng.random(size) < 0.1] = 0
        given = arguments(w, g, l1, l2)
        out, true = run("penalty", **given), exact("penalty", **given)
        terms = np.abs(g) + l1 + 2 * l2 * np.abs(w)
        assert_within(out.g, true.g, rounding(terms, dtype, 4), f"g, {size=}")
        total = sizes_of_terms(w, l1, l2).sum()
        bound = rounding(total, np.float64, size + 4)
        assert_within(out.sums, true.sums, bound, f"sums, {size=}")
        assert_within(out.loss, true.loss, bound + rounding(2, np.float64, 1), f"loss, {size=}")
        assert out.status[0] == 0


def test_blocks_have_factors_of_their_own(run, rng, dtype):
    """And what lies around them, or has none, is left alone to the last bit."""
    w, g = rng.standard_normal((2, 100)).astype(dtype)
    blocks = [3, 20, 20, 55, 90]
    l1, l2 = [0.5, 1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.25]
    out = run("penalty", **arguments(w, g, l1, l2, blocks))
    for block, (first, last) in enumerate(pairwise(blocks)):
        alone = run("penalty", **arguments(w[first:last], g[first:last], l1[block], l2[block]))
        assert bits(out.g[first:last]) == bits(alone.g)
        assert out.sums[block] == alone.sums[0]
    assert bits(out.g[:3], out.g[20:55], out.g[90:]) == bits(g[:3], g[20:55], g[90:])
    assert out.loss[0] == 2 + out.sums.sum()


@factors
def test_golden(run, dtype, l1, l2):
    """Penalties of Keras; the gradients are PyTorch's."""
    values = {k.removeprefix("penalties."): v for k, v in golden("regularization").items()}
    case = {(0.25, 0): "l1", (0, 0.125): "l2", (0.25, 0.125): "both"}.get((l1, l2))
    if case is None:
        return
    w = values["w"].astype(dtype)
    out = run("penalty", **arguments(w, np.zeros_like(w), l1, l2))
    loss = values[f"{case}.loss"]
    assert_within(out.loss, 2 + loss, rounding(2 + loss, np.float64, w.size + 4), "loss")
    terms = l1 + 2 * l2 * np.abs(w)
    assert_within(out.g, values[f"{case}.grad"], rounding(terms, dtype, 4), "g")


@factors
def test_gradient(run, rng, l1, l2):
    w, direction = rng.choice([-1, 1], 50) * rng.uniform(0.1, 1, 50), rng.standard_normal(50)
    zero = np.zeros(50)

    def loss(w):
        return run("penalty", **arguments(w, zero, l1, l2)).loss[0]

    slope = run("penalty", **arguments(w, zero, l1, l2)).g @ direction
    # |w| is straight and w^2 has no third derivative: only rounding is left, over the step
    noise = rounding(2 + sizes_of_terms(w, l1, l2).sum(), np.float64, 60) / 6e-6
    assert_within(slope, central_difference(loss, w, direction), noise)


@pytest.mark.parametrize(
    ("values", "slopes"),
    [([0.0, -0.0], [0, 0]), ([3.0, -3.0], [1, -1]), ([np.inf, -np.inf], [1, -1])],
)
def test_the_slope_of_the_absolute_value(run, dtype, values, slopes):
    w = np.array(values, dtype)
    out = run("penalty", **arguments(w, np.zeros_like(w), 1.0, 0.0))
    np.testing.assert_array_equal(out.g, slopes)


@pytest.mark.parametrize("name", ["cython:base", "cython:v3", "cython:v4"])
def test_denormals_count_as_zero(name, dtype):
    try:
        ops = backends.load(name)
    except ImportError as error:
        pytest.skip(str(error))
    w = np.full(40, np.finfo(dtype).smallest_subnormal * np.array(1000, dtype))
    given = arguments(w, np.zeros_like(w), 1.0, 0.0)
    sums = np.ones(1)
    ops.penalty(w, given["blocks"], given["l1"], given["l2"], given["g"], sums, given["loss"], None)
    assert not given["g"].any()
    if dtype == np.float64:  # a denormal float32 is a normal float64, in which sums are made
        assert sums[0] == 0


@factors
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_what_is_not_finite_raises_the_flag(run, dtype, l1, l2, value):
    for place in (0, 20, 32):
        w = np.ones(33, dtype)
        w[place] = value
        out = run("penalty", **arguments(w, np.zeros_like(w), l1, l2))
        assert out.status[0] == (l1 > 0 or l2 > 0)
        assert np.isfinite(np.delete(out.g, place)).all()
        if np.isnan(value) and out.status[0]:
            assert np.isnan(out.g[place])


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_gradient_that_overflows_raises_the_flag(run):
    """Though the loss, a float64, is finite."""
    w = np.full(5, 1e10, np.float32)
    out = run("penalty", **arguments(w, np.zeros_like(w), 0.0, 1e30))
    assert np.isfinite(out.loss[0])
    assert out.status[0] == 1


def test_the_flag_is_optional_and_never_lowered(run, dtype):
    given = arguments(np.ones(5, dtype), np.ones(5, dtype), 1.0, 1.0)
    assert run("penalty", **given, status=np.ones(1, np.int64)).status[0] == 1
    assert run("penalty", **given, status=None).loss[0] == 12


def tower():
    return fg.Sequential(
        fg.Dense(5, 8, "tanh"),
        fg.BatchNorm(8),
        fg.Residual(fg.Dense(8, 8, "relu"), learn_scale=True),
        fg.Sequential(fg.Dense(8, 4), fg.LayerNorm(4), rng=0),
        fg.Dense(4, 3, bias=False),
        rng=0,
        dtype="float64",
    )


PENALIZED = {
    "all weights": (fg.L2(0.5), {"0": 0.5, "2.0": 0.5, "3.0": 0.5, "4": 0.5}),
    "one layer not": (fg.L2(0.5, {"3": 0.0}), {"0": 0.5, "2.0": 0.5, "4": 0.5}),
    "one layer more": (fg.L2(0.5, {"2": 1}), {"0": 0.5, "2.0": 1, "3.0": 0.5, "4": 0.5}),
    "the longest name": (
        fg.L1(0.5, {"2.0.weight": 2, "2": 1, "0.weight": 0}), {"2.0": 2, "3.0": 0.5, "4": 0.5},
    ),
    "none": (fg.L1(0.0), {}),
}  # fmt: skip


@pytest.mark.parametrize(("penalty", "wanted"), PENALIZED.values(), ids=PENALIZED)
def test_what_is_penalized(penalty, wanted):
    wanted = {f"{layer}.weight": strength for layer, strength in wanted.items()}
    assert penalty.strengths(tower().params) == wanted


def test_a_full_name_brings_in_what_is_no_weight():
    penalty = fg.L2(0.0, {"0.bias": 1, "1.weight": 2, "2.scale": 3})
    assert penalty.strengths(tower().params) == {"0.bias": 1, "1.weight": 2, "2.scale": 3}


X = np.random.default_rng(0).standard_normal((20, 5))
Y = np.random.default_rng(1).integers(3, size=20)


@pytest.mark.parametrize(
    "regularizers", [fg.L1(0.1), [fg.L2(0.1)], [fg.L1(0.1), fg.L2(0.2, {"3.0.bias": 1, "2": 0})]]
)
def test_they_are_added_to_loss_and_gradient(engine, regularizers):
    """And padding between parameters stays 0."""
    losses, gradients = [], []
    for given in (None, regularizers):
        model = tower()
        model.params["3.0.bias"] = np.arange(4)
        trainer = fg.Trainer(model, "cross_entropy", fg.SGD(1e-30), rng=0, regularizers=given)
        losses.append(trainer.step(X, Y))
        gradients.append(model.flat_grads.copy())
        evaluated = trainer.evaluate(X, Y)
    penalty, slope = 0.0, {name: np.zeros_like(view) for name, view in model.params.items()}
    for one in trainer.regularizers:
        for name, strength in one.strengths(model.params).items():
            w = model.params[name]
            l1 = isinstance(one, fg.L1)
            penalty += strength * (np.abs(w) if l1 else w**2).sum()
            slope[name] += strength * (np.sign(w) if l1 else 2 * w)
    assert losses[1] - losses[0] == pytest.approx(penalty, rel=1e-12)
    assert evaluated == pytest.approx(tower_loss(model), rel=1e-12)
    for name, view in model.grads.items():
        start = next(part.start for part in model.parts if part.name == name)
        before = gradients[0][start : start + view.size].reshape(view.shape)
        terms = abs(before) + abs(slope[name])
        assert_within(view, before + slope[name], rounding(terms, np.float64, 4), name)
    inside = np.zeros(model.flat_grads.size, bool)
    for part in model.parts:
        inside[part.start : part.stop] = True
    assert not model.flat_grads[~inside].any()


def tower_loss(model):
    """Of a plain trainer, which knows no penalty."""
    return fg.Trainer(model, "cross_entropy").evaluate(X, Y)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_accumulated_minibatches_have_it_once(engine, accumulate):
    """The gradient of a step is that of the mean loss with one penalty, however it is cut."""
    x, y = X[:16], Y[:16]
    model = chain(5, 8, 3, dtype="float64")
    trainer = fg.Trainer(
        model, "cross_entropy", fg.SGD(0.1), rng=0, accumulate=accumulate, regularizers=fg.L2(0.1)
    )
    loss = trainer.epoch(x, y, 16 // accumulate, shuffle=False)
    whole = chain(5, 8, 3, dtype="float64")
    wanted = fg.Trainer(whole, "cross_entropy", fg.SGD(0.1), regularizers=fg.L2(0.1)).step(x, y)
    assert loss == pytest.approx(wanted, rel=1e-13)
    assert_close(model.flat_params, whole.flat_params, np.float64, 100)


def test_l2_is_weight_decay_for_plain_descent(engine, dtype):
    """Of half its strength; biases do not decay."""
    weights = {"0.weight": {"weight_decay": 0.25}, "1.weight": {"weight_decay": 0.25}}
    params = []
    for options in ({"regularizers": fg.L2(0.125)}, {"per_layer": weights}):
        model = chain(5, 8, 3, dtype=dtype)
        trainer = fg.Trainer(model, "cross_entropy", fg.SGD(0.1, momentum=0.9), rng=0, **options)
        for _ in range(3):
            trainer.epoch(X, Y, 7)
        params.append(model.flat_params)
    assert_close(params[0], params[1], dtype, 9 * 3 * 60)


def test_golden_training(engine, dtype):
    """PyTorch, with smoothed labels, both penalties, a clip and a maximal norm."""
    values = {k.removeprefix("network."): v for k, v in golden("regularization").items()}
    model = fg.Sequential(fg.Dense(5, 8, "tanh"), fg.Dense(8, 3), rng=0, dtype=dtype)
    for name in model.params:
        model.params[name] = values[f"init.{name}"]
    trainer = fg.Trainer(
        model,
        fg.CrossEntropy(label_smoothing=0.125),
        fg.SGD(0.25, momentum=0.5),
        fg.ClipNorm(0.5),
        regularizers=[fg.L1(2**-10), fg.L2(0.0, {"0": 2**-7, "1.bias": 2**-5})],
        constraints=fg.MaxNorm(0.75, {"1": None}),
    )
    losses = []
    for _ in range(10):
        losses.append(trainer.step(values["X"], values["y"]))
    roundings = 10 * 3 * (5 + 8 + 3 + 12 + 20)  # as in test_recorded_step
    assert_close(losses, values["losses"], dtype, roundings, "losses")
    for name, view in model.params.items():
        assert_close(view, values[f"final.{name}"], dtype, roundings, name)


def test_threads_change_nothing(threads, dtype):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((50, 300)), rng.integers(3, size=50)
    results = set()
    for count in (1, 2, 3):
        threads(count)
        model = chain(300, 200, 100, 3, dtype=dtype)
        trainer = fg.Trainer(model, "cross_entropy", rng=0, regularizers=[fg.L1(1e-3), fg.L2(1e-3)])
        results.add(bits([trainer.epoch(x, y, 20) for _ in range(2)], model.flat_params))
    assert len(results) == 1


def test_a_penalty_that_overflows_is_an_error(engine):
    model = chain(5, 8, 3, dtype="float64")
    model.params["0.weight"][0, 0] = 1e200
    before = bits(model.flat_params)
    with np.errstate(over="ignore"), pytest.raises(fg.GradientError, match="the loss is inf"):
        fg.Trainer(model, "cross_entropy", regularizers=fg.L2(1.0)).step(X, Y)
    assert bits(model.flat_params) == before


def test_fit_hands_them_on():
    options = {"loss": "cross_entropy", "epochs": 3, "batch_size": 8, "rng": 0}
    run = fg.fit(chain(5, 8, 3), X, Y, validation=0.25, regularizers=fg.L2(0.3), **options)
    assert isinstance(run.trainer.regularizers[0], fg.L2)
    assert run.history["loss"][-1] > run.history["val_loss"][-1] + 1


@pytest.mark.parametrize("penalty", [fg.L1(0.5), fg.L2(0, {"0": 1, "2.bias": 0.5})])
def test_it_is_made_again_from_its_config(penalty):
    again = penalties.from_config(penalty.config())
    assert type(again) is type(penalty)
    assert vars(again) == vars(penalty)
    assert repr(again) == repr(penalty)


BAD = {
    "negative": (lambda: fg.L1(-1), ValueError, r"strength must lie in \[0, inf\), got -1"),
    "NaN": (lambda: fg.L2(np.nan), ValueError, r"strength must lie in \[0, inf\), got nan"),
    "text": (lambda: fg.L2("a"), TypeError, "strength must be a number, got 'a'"),
    "negative for a layer": (
        lambda: fg.L2(1, {"0": -1}), ValueError, r"per_layer\['0'\] must lie in \[0, inf\), got -1",
    ),
    "None for a layer": (
        lambda: fg.L2(1, {"0": None}), TypeError, r"per_layer\['0'\] must be a number, got None",
    ),
    "a list": (lambda: fg.L2(1, ["0"]), TypeError, r"per_layer must map names to values, got \['0"),
    "no such layer": (
        lambda: fg.Trainer(chain(5, 3), "mse", regularizers=fg.L1(1, {"1": 0})),
        ValueError,
        "per_layer: '1' fits none of 0.weight",
    ),
    "a layer without weights": (
        lambda: fg.Trainer(tower(), "mse", regularizers=fg.L1(1, {"1": 0})),
        ValueError,
        "per_layer: '1' fits none of 0.weight, 2.0.weight, 3.0.weight, 4.weight",
    ),
    "a number": (
        lambda: fg.Trainer(chain(5, 3), "mse", regularizers=0.1),
        TypeError,
        "regularizers must be L1 or L2, or a list of them, got 0.1",
    ),
    "a class": (
        lambda: fg.Trainer(chain(5, 3), "mse", regularizers=[fg.L2]),
        TypeError,
        "regularizers must be L1 or L2, or a list of them, got <class",
    ),
    "config without a name": (
        lambda: penalties.from_config({"strength": 1}), ValueError, 'penalty: expected .* "name"',
    ),
    "config of another": (
        lambda: penalties.from_config({"name": "L3"}), ValueError, "expected one of L1, L2",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make", "error", "message"), BAD.values(), ids=BAD)
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make()
