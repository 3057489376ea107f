"""One step of every optimizer's kernel against its formula in float64."""

from __future__ import annotations

import numpy as np
import pytest
from harness import exact
from rounding import assert_within, rounding

from fastgrad.backends import contract

SIZES = [0, 1, 7, 15, 16, 17, 33, 4095, 4096, 4097]

# `without`: the state that a configuration does without
ELEMENTWISE = {
    # lr, momentum, dampening, weight_decay, nesterov
    "sgd": ("sgd", [0.1, 0, 0, 0, 0], ["velocity"]),
    "sgd, decay": ("sgd", [0.1, 0, 0, 0.01, 0], ["velocity"]),
    "sgd, momentum": ("sgd", [0.1, 0.9, 0.2, 0.01, 0], []),
    "sgd, nesterov": ("sgd", [0.1, 0.9, 0, 0.01, 1], []),
    # lr, alpha, eps, weight_decay, momentum
    "rmsprop": ("rmsprop", [0.01, 0.99, 1e-8, 0.01, 0], ["velocity", "mean"]),
    "rmsprop, momentum": ("rmsprop", [0.01, 0.9, 1e-6, 0, 0.9], ["mean"]),
    "rmsprop, centered": ("rmsprop", [0.01, 0.9, 1e-6, 0.1, 0], ["velocity"]),
    "rmsprop, both": ("rmsprop", [0.01, 0.9, 1e-6, 0.1, 0.9], []),
    # lr, lr_decay, weight_decay, eps
    "adagrad": ("adagrad", [0.1, 0.5, 0.1, 1e-10], []),
    # lr, rho, eps, weight_decay
    "adadelta": ("adadelta", [0.5, 0.9, 1e-6, 0.1], []),
    # lr, etas, step_sizes
    "rprop": ("rprop", [0.1, 0.5, 1.2, 0.3, 0.6], []),
    # lr, betas, weight_decay
    "lion": ("lion", [0.1, 0.9, 0.99, 0.1], []),
    # lr, betas, eps, weight_decay, decoupled, factor of lr
    "adam": ("adam", [0.01, 0.8, 0.99, 1e-6, 0, 0, 1], ["largest"]),
    "adam, coupled": ("adam", [0.01, 0.8, 0.99, 1e-6, 0.1, 0, 0.5], ["largest"]),
    "adam, decoupled": ("adam", [1e-3, 0.9, 0.999, 1e-8, 0.1, 1, 3], ["largest"]),
    "adam, amsgrad": ("adam", [0.01, 0.8, 0.99, 1e-6, 0.1, 0, 1], []),
    # lr, betas, eps, weight_decay
    "adamax": ("adamax", [0.01, 0.8, 0.9, 1e-6, 0.1], []),
    # lr, betas, eps, weight_decay, decoupled, momentum_decay
    "nadam": ("nadam", [0.01, 0.8, 0.99, 1e-6, 0.1, 0, 0.4], []),
    "nadam, decoupled": ("nadam", [0.01, 0.9, 0.99, 1e-6, 0.1, 1, 4e-3], []),
    # lr, betas, eps, weight_decay, decoupled
    "radam": ("radam", [0.01, 0.8, 0.99, 1e-6, 0.1, 0], []),
    "radam, decoupled": ("radam", [0.01, 0.8, 0.99, 1e-6, 0.1, 1], []),
}
LAYERWISE = {
    # lr, betas, eps, weight_decay
    "lamb": ("lamb", [0.1, 0.9, 0.99, 1e-6, 0.1], []),
    # lr, momentum, weight_decay, trust_coefficient, eps, nesterov
    "lars": ("lars", [0.1, 0.9, 0.1, 0.5, 1e-3, 0], []),
    "lars, nesterov": ("lars", [0.1, 0.9, 0.1, 0.5, 0, 1], []),
    "lars, no momentum": ("lars", [0.1, 0, 0, 0.5, 0, 0], ["velocity"]),
}


def drawn(kernel, rng, size, dtype, without):
    """Gradient, parameters and state, whose terms have one sign in every element, so that only the
    last subtraction cancels; a square is so large that a variance does not."""
    sign = rng.choice([-1, 1], size)
    given = {}
    for a in contract.arguments(kernel):
        if a.dims == ("P",) and a.name != "update":
            values = sign * rng.uniform(0.1, 1, size)
            if a.name == "square":
                values = 2 + np.abs(values)
            elif a.name in ("largest", "square_delta", "step_size"):
                values = np.abs(values)
            elif a.name == "previous":
                values = rng.integers(-1, 2, size)
            given[a.name] = None if a.name in without else values.astype(dtype)
    return given


def assert_step(run, kernel, given, dtype, what):
    out, true = run(kernel, **given), exact(kernel, **given)
    for name in ("ratios", *given):
        if name not in vars(out):
            continue
        array = getattr(true, name)
        moved = np.abs(given["p"]) + np.abs(array - given["p"]) if name == "p" else 0
        assert_within(
            getattr(out, name), array, rounding(np.abs(array) + moved, dtype), what + name
        )


@pytest.mark.parametrize(("kernel", "hyper", "without"), ELEMENTWISE.values(), ids=ELEMENTWISE)
@pytest.mark.parametrize("step", [0, 7, 10_000])
def test_one_step(run, rng, dtype, kernel, hyper, without, step):
    for size in SIZES:
        given = drawn(kernel, rng, size, dtype, without)
        given |= {"hyper": np.array(hyper, np.float64), "step": np.array([step])}
        assert_step(run, kernel, given, dtype, f"{size=}, ")


@pytest.mark.parametrize(("kernel", "hyper", "without"), LAYERWISE.values(), ids=LAYERWISE)
def test_one_step_of_tensors(run, rng, dtype, kernel, hyper, without):
    for size in SIZES:
        given = drawn(kernel, rng, size, dtype, without)
        given["blocks"] = np.sort([0, *rng.integers(size + 1, size=6), size])
        given["groups"] = np.array([0, 1, 1, 5, 7])  # one of them without a block
        given["hyper"] = np.array(hyper, np.float64)
        if kernel == "lamb":
            given["step"] = np.array([3])
        assert_step(run, kernel, given, dtype, f"{size=}, ")


@pytest.mark.parametrize("kernel", ["lamb", "lars"])
@pytest.mark.parametrize("empty", ["g", "p"])
def test_a_norm_of_zero_leaves_lr_alone(run, dtype, kernel, empty):
    hyper = {"lamb": [0.5, 0, 0, 1e-6, 0], "lars": [0.5, 0.9, 0, 1e-3, 0, 0]}[kernel]
    given = {"g": np.full(5, 2, dtype), "p": np.ones(5, dtype), "hyper": np.array(hyper)}
    given[empty] = np.zeros(5, dtype)
    state = ("mean", "square") if kernel == "lamb" else ("velocity",)
    given |= {name: np.zeros(5, dtype) for name in state}
    given |= {"step": np.zeros(1, np.int64)} if kernel == "lamb" else {}
    out = run(kernel, **given, blocks=np.array([0, 5]), groups=np.array([0, 1]))
    assert out.ratios.tolist() == [1]
    step = 0.5 * given["g"] if kernel == "lars" else 0.5 * np.sign(given["g"])
    assert_within(out.p, given["p"] - step, rounding(1, dtype) + 1e-6)


@pytest.mark.parametrize("value", [1e-30, 1e30])
def test_norms_beyond_the_range_of_squares(run, value):
    """The squares of these float32 numbers are 0 or infinite in float32."""
    g, p = np.full(5, value, np.float32), np.full(5, 1 / value, np.float32)
    given = {"g": g, "p": p, "velocity": np.zeros(5, np.float32)}
    hyper = np.array([value**2 / 2, 0, 0, 1, 0, 0])
    out = run("lars", **given, hyper=hyper, blocks=np.array([0, 5]), groups=np.array([0, 1]))
    assert_within(out.ratios, value**-2, rounding(value**-2, np.float32))
    assert_within(out.p, p - value / 2, rounding(max(1 / value, value), np.float32))


MATRICES = [(1, 1), (1, 7), (7, 1), (15, 16), (16, 15), (17, 33), (33, 17), (13, 40), (40, 40)]


@pytest.mark.parametrize("shape", MATRICES, ids=str)
@pytest.mark.parametrize(("rounds", "nesterov", "match"), [(1, 1, 0), (5, 0, 1)])
def test_one_step_of_muon(run, rng, dtype, shape, rounds, nesterov, match):
    """A round multiplies an error by less than 5, the slope of its polynomial where singular values
    are, and adds those of three products, each a sum of at most as many terms as the longer side.
    """
    g, p, mean = (rng.standard_normal((3, *shape))).astype(dtype)
    hyper = np.array([0.1, 0, 0, 0, 0, 0, 0, 0.9, nesterov, 0.1, 1e-7, 3.4445, -4.775, 2.0315])
    hyper = np.array([*hyper, rounds, match])
    side = min(shape)
    given = {"g": g, "hyper": hyper, "p": p, "mean": mean}
    room = {"gram": np.full((side, side), np.nan, dtype)}
    room["polynomial"] = room["gram"].copy()
    out, true = run("muon", **given, **room), exact("muon", **given, **room)
    terms = np.abs(0.9 * mean) + np.abs(0.1 * g)
    assert_within(out.mean, true.mean, rounding(terms, dtype))
    longest = 0.1 * max(1, np.sqrt(shape[0] / shape[1]), 0.2 * np.sqrt(max(shape)))
    products = 5**rounds * (3 * max(shape) + 20)
    bound = rounding(np.abs(p), dtype) + rounding(longest, dtype, products)
    assert_within(out.p, true.p, bound)


def test_muon_makes_singular_values_alike(run, rng):
    """Whatever they are, five rounds bring those above a hundredth of the norm near 1."""
    u, _ = np.linalg.qr(rng.standard_normal((12, 12)))
    v, _ = np.linalg.qr(rng.standard_normal((20, 12)))
    g = u * np.geomspace(1e-2, 1, 12) @ v.T
    given = {"g": g, "p": np.zeros_like(g), "mean": np.zeros_like(g)}
    hyper = np.array([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1e-7, 3.4445, -4.775, 2.0315, 5, 0])
    room = {name: np.full((12, 12), np.nan) for name in ("gram", "polynomial")}
    values = np.linalg.svd(run("muon", **given, hyper=hyper, **room).p, compute_uv=False)
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_the_room_of_muon_must_fit(ops):
    shapes = [(3, 7)] * 4 + [(4, 4), (4, 4)]
    g, p, mean, x, y, gram, polynomial = (np.zeros(s) for s in [(3, 7), *shapes[:4], *shapes[4:]])
    with pytest.raises(ValueError, match=r"muon: gram has shape \(4, 4\), needs \(3, 3\)"):
        ops.muon(g, np.zeros(16), p, mean, x, y, gram, polynomial, np.zeros(3))


def test_mu_is_a_function_of_the_step(run):
    """NAdam's product of all mu so far: where it is nothing, where mu has grown, and before."""
    for beta1, decay in [(0.9, 4e-3), (0.9, 0.0), (0.999, 5.0), (0.9999, 0.3), (0.0, 4e-3)]:
        for step in (0, 1, 2, 50, 3_000, 200_000):
            given = {name: np.ones(3) for name in ("g", "p", "mean", "square")}
            given["hyper"] = np.array([0.1, beta1, 0.9, 1e-8, 0, 0, decay])
            given["step"] = np.array([step])
            assert_within(
                run("nadam", **given).p, exact("nadam", **given).p, rounding(1, np.float64, 7000)
            )


def test_a_variance_is_not_negative(run, dtype):
    """Of a gradient that never changes: s - m^2 is rounding, of either sign."""
    g = np.array([0.1, 1 / 3, 0.7, 1e3], dtype)
    state = {"square": g * g * dtype.type(1 - 1e-6), "mean": g, "velocity": None}
    hyper = np.array([1e-3, 0.99, 1e-3, 0, 0])
    given = {"g": g, "hyper": hyper, "step": np.array([9]), "p": np.zeros_like(g)}
    out = run("rmsprop", **given, **state)
    assert np.isfinite(out.p).all()
    assert (out.p < 0).all()


@pytest.mark.parametrize(("kernel", "hyper", "without"), ELEMENTWISE.values(), ids=ELEMENTWISE)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_stays_its_element(run, dtype, kernel, hyper, without, value):
    given = drawn(kernel, np.random.default_rng(0), 40, dtype, without)
    given |= {"hyper": np.array(hyper, np.float64), "step": np.array([3])}
    good = run(kernel, **given)
    given["g"][17] = value
    with np.errstate(invalid="ignore"):
        bad = run(kernel, **given)
    for name in given.keys() & vars(good).keys():
        array = getattr(good, name)
        others = np.arange(40) != 17
        np.testing.assert_array_equal(getattr(bad, name)[others], array[others])
    if np.isnan(value):
        assert np.isnan(bad.p[17])
