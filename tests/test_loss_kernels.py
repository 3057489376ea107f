"""The losses: values and gradients against the reference, PyTorch and finite differences."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from harness import exact, golden
from rounding import H, assert_within, central_difference, rounding
from scipy.special import expit, log_softmax

REGRESSIONS = ["mse", "mae", "huber", "binary_cross_entropy"]
CROSS_ENTROPIES = ["binary_cross_entropy", "cross_entropy", "soft_cross_entropy"]
LOSSES = [*REGRESSIONS, "cross_entropy", "soft_cross_entropy"]
losses = pytest.mark.parametrize(
    ("kernel", "smoothing"),
    [(kernel, 0.0) for kernel in LOSSES] + [(kernel, 0.3) for kernel in CROSS_ENTROPIES],
)
weightings = pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])

DELTA = 0.7
SIZES = list(product((1, 7, 15, 16, 17, 33), repeat=2))
SIZES += [(64, 10), (65, 10), (130, 3), (3, 300)]  # rows go through softmax 64 at a time


def example(kernel, smoothing, rng, dtype, shape, weighted=False):
    """Targets differ from the outputs by some tenths or by more than one, never by 0 or delta."""
    rows, columns = shape
    z = rng.normal(0, 3, shape)
    targets = {
        "binary_cross_entropy": rng.choice([0, 1, rng.uniform()], shape),
        "cross_entropy": rng.integers(columns, size=rows),
        "soft_cross_entropy": rng.uniform(size=shape),  # rows need not sum to 1
    }
    distance = rng.choice([-1.5, -0.3, 0.3, 1.5], shape) * rng.uniform(0.5, 2, shape)
    given = {"z": z, "target": targets.get(kernel, z + distance)}
    if weighted:
        given["sample_weight"] = rng.uniform(0.1, 3, rows)
        given["sample_weight"][: rows // 7] = 0
    if weighted and kernel == "cross_entropy":
        given["class_weight"] = rng.uniform(0.1, 3, columns)
    given = {name: a.astype(dtype) if a.dtype.kind == "f" else a for name, a in given.items()}
    given |= {"smoothing": smoothing} if kernel in CROSS_ENTROPIES else {}
    return given | ({"delta": DELTA} if kernel == "huber" else {})


def shares(z, target, sample_weight=None, class_weight=None, smoothing=0.0, **_):
    """What each row counts in the mean; a smoothed row has the weights of its classes in it."""
    sample = np.ones(len(z)) if sample_weight is None else sample_weight.astype(np.float64)
    weight = sample if class_weight is None else sample * class_weight[target]
    return (sample if smoothing else weight) / weight.sum()


def magnitudes(kernel, z, target, delta=DELTA, class_weight=None, smoothing=0.0, **_):
    """The sizes of the terms that make up the loss of each row, and of those of its gradient."""
    z, columns = z.astype(np.float64), z.shape[1]
    if kernel in REGRESSIONS:
        size = np.abs(z - target)
        loss, gradient = {
            "mse": (size**2, 2 * size),
            "mae": (size, np.ones_like(z)),
            "huber": (1.5 * size * np.minimum(size, delta), np.minimum(size, delta)),
            "binary_cross_entropy": (
                np.maximum(z, 0)
                + np.abs(z) * (target + smoothing / 2)
                + np.log1p(np.exp(-np.abs(z))),
                expit(z) + target + smoothing / 2,
            ),
        }[kernel]
        return loss.mean(axis=1), gradient / columns
    if kernel == "cross_entropy":
        target = np.eye(columns)[target]
    target = (1 - smoothing) * target + smoothing / columns
    if class_weight is not None and smoothing:
        target = target * class_weight
    mass = target.sum(axis=1, keepdims=True, dtype=np.float64)
    below = z.max(axis=1, keepdims=True) - z  # minus the argument of exp, which is rounded, too
    gradient = mass * np.exp(log_softmax(z, axis=1)) * (1 + below) + target
    return mass[:, 0] * (1 + np.log(columns)) + np.sum(target * below, axis=1), gradient


def bounds(kernel, dtype, given):
    """Sums are in float64, whatever the dtype."""
    share = shares(**given)
    loss, gradient = magnitudes(kernel, **given)
    rows = rounding(loss, dtype) + rounding(loss, np.float64, given["z"].shape[1])
    return {
        "rows": rows,
        "loss": share @ rows + rounding(share @ loss, np.float64, len(share)),
        "dz": rounding(share[:, None] * gradient, dtype),
    }


@losses
@weightings
def test_against_the_reference(run, rng, dtype, kernel, smoothing, weighted):
    for shape in SIZES:
        given = example(kernel, smoothing, rng, dtype, shape, weighted)
        out, true = run(kernel, **given), exact(kernel, **given)
        for name, bound in bounds(kernel, dtype, given).items():
            assert_within(getattr(out, name), getattr(true, name), bound, f"{name}, {shape}")
        assert out.status[0] == 0


@losses
def test_no_rows(run, rng, dtype, kernel, smoothing):
    given = example(kernel, smoothing, rng, dtype, (0, 5))
    assert run(kernel, **given).loss[0] == exact(kernel, **given).loss[0]


GOLDEN = {
    "mse": "mse",
    "mae": "mae",
    "huber_1.0": "huber",
    "huber_0.5": "huber",
    "cross_entropy": "cross_entropy",
    "cross_entropy_class_weight": "cross_entropy",
    "cross_entropy_soft": "soft_cross_entropy",
    "cross_entropy_large": "cross_entropy",
    "binary_cross_entropy_1": "binary_cross_entropy",
    "binary_cross_entropy_5": "binary_cross_entropy",
    "binary_cross_entropy_large": "binary_cross_entropy",
}


@pytest.mark.parametrize("case", GOLDEN)
@weightings
def test_golden(run, dtype, case, weighted):
    values, prefix = golden("losses"), f"{case}.weighted_" if weighted else f"{case}."
    arrays = {"z": values[f"{case}.outputs"], "target": values[f"{case}.targets"]}
    arrays |= {"sample_weight": values["sample_weight"]} if weighted else {}
    arrays |= {"class_weight": values["class_weight"]} if case.endswith("class_weight") else {}
    given = {name: a.astype(dtype) if a.dtype.kind == "f" else a for name, a in arrays.items()}
    given |= {"delta": float(case.removeprefix("huber_"))} if case.startswith("huber") else {}
    given |= {"smoothing": 0.0} if GOLDEN[case] in CROSS_ENTROPIES else {}
    bound = bounds(GOLDEN[case], dtype, given)
    out = run(GOLDEN[case], **given)
    assert_within(out.loss, values[f"{prefix}loss"], bound["loss"], "loss")
    assert_within(out.dz, values[f"{prefix}grad"], bound["dz"], "dz")


SMOOTHED = {"labels": "cross_entropy", "class_weight": "cross_entropy"}
SMOOTHED |= {"soft": "soft_cross_entropy", "binary": "binary_cross_entropy"}


@pytest.mark.parametrize("case", SMOOTHED)
@pytest.mark.parametrize("smoothing", [0.125, 0.5, 1.0])
@weightings
def test_golden_smoothing(run, dtype, case, smoothing, weighted):
    """PyTorch's cross entropy, Keras' binary one; one of the classes weighs nothing."""
    values = {k.removeprefix("smoothing."): v for k, v in golden("regularization").items()}
    result = f"{case}_{smoothing}.{'weighted_' if weighted else ''}"
    target = {"class_weight": "labels"}.get(case, case)
    arrays = {"z": values["logits"], "target": values[target]}
    arrays |= {"sample_weight": values["sample_weight"]} if weighted else {}
    arrays |= {"class_weight": values["class_weight"]} if case == "class_weight" else {}
    given = {name: a.astype(dtype) if a.dtype.kind == "f" else a for name, a in arrays.items()}
    given["smoothing"] = smoothing
    bound = bounds(SMOOTHED[case], dtype, given)
    out = run(SMOOTHED[case], **given)
    assert_within(out.loss, values[f"{result}loss"], bound["loss"], "loss")
    assert_within(out.dz, values[f"{result}grad"], bound["dz"], "dz")


@losses
@weightings
def test_gradient(run, rng, kernel, smoothing, weighted):
    given = example(kernel, smoothing, rng, np.float64, (15, 7), weighted)
    z, direction = given["z"], rng.standard_normal((15, 7))
    numeric = central_difference(lambda z: run(kernel, **given | {"z": z}).loss[0], z, direction)
    bound, share = bounds(kernel, np.float64, given), shares(**given)
    gradient = run(kernel, **given).dz
    # the third derivative of log(sum(exp(z))) is at most the cube of the widest step
    truncation = H**2 / 6 * share @ np.ptp(direction, axis=1) ** 3
    noise = bound["loss"] + rounding(np.sum(np.abs(gradient * z)), np.float64, 1)
    assert_within(np.sum(gradient * direction), numeric, noise / H + truncation)


EXTREMES = [  # kernel, z, target, loss of the row, gradient
    ("cross_entropy", [1e4, -1e4, -1e4], 0, 0, [0, 0, 0]),
    ("cross_entropy", [1e4, -1e4, -1e4], 1, 2e4, [1, -1, 0]),
    ("cross_entropy", [-1e4, -1e4, -1e4, -1e4], 3, np.log(4), [0.25, 0.25, 0.25, -0.75]),
    ("soft_cross_entropy", [1e4, -1e4], [0.75, 0.25], 5e3, [0.25, -0.25]),
    ("soft_cross_entropy", [-1e4, 1e4], [0, 1], 0, [0, 0]),
    ("binary_cross_entropy", [1e4, -1e4], [1, 0], 0, [0, 0]),
    ("binary_cross_entropy", [1e4, -1e4], [0, 1], 1e4, [0.5, -0.5]),
    ("mse", [1e4], [-1e4], 4e8, [4e4]),
    ("mae", [1e4, 0], [-1e4, 0], 1e4, [0.5, 0]),
    ("huber", [1e4, 1.0], [-1e4, 1.0], 1e4 - 0.25, [0.5, 0]),
]


@pytest.mark.parametrize(("kernel", "z", "target", "loss", "gradient"), EXTREMES)
def test_extremes(run, dtype, kernel, z, target, loss, gradient):
    z, target = np.array([z], dtype), np.array([target])
    given = {"z": z, "target": target if kernel == "cross_entropy" else target.astype(dtype)}
    given |= {"smoothing": 0.0} if kernel in CROSS_ENTROPIES else {}
    out = run(kernel, **given, **({"delta": 1.0} if kernel == "huber" else {}))
    assert_within(out.rows, loss, rounding(loss, dtype), "rows")
    assert_within(out.loss, loss, rounding(loss, dtype), "loss")
    assert_within(out.dz, [gradient], rounding(np.abs([gradient]), dtype), "dz")


@losses
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_loss_that_is_not_finite_raises_the_flag(run, rng, dtype, kernel, smoothing, value):
    given = example(kernel, smoothing, rng, dtype, (3, 17))
    for i in np.ndindex(given["z"].shape):
        bad = given["z"].copy()
        bad[i] = value
        out = run(kernel, **given | {"z": bad})
        assert not np.isfinite(out.loss[0])
        assert out.status[0] == 1
        assert not np.isfinite(out.rows[i[0]])
        assert np.isfinite(np.delete(out.rows, i[0])).all()


@losses
def test_the_flag_is_optional_and_never_lowered(run, rng, dtype, kernel, smoothing):
    given = example(kernel, smoothing, rng, dtype, (3, 17))
    assert run(kernel, **given, status=np.ones(1, np.int64)).status[0] == 1
    assert run(kernel, **given, status=None).loss[0] == run(kernel, **given).loss[0]


@losses
def test_rows_without_weight_have_no_loss_and_no_gradient(run, rng, dtype, kernel, smoothing):
    given = example(kernel, smoothing, rng, dtype, (3, 17))
    out = run(kernel, **given, sample_weight=np.zeros(3, dtype))
    assert out.loss[0] == 0
    assert out.status[0] == 0
    np.testing.assert_array_equal(out.dz, 0)
    np.testing.assert_array_equal(out.rows, run(kernel, **given).rows)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_rows_of_classes_without_weight_have_no_loss_and_no_gradient(run, rng, dtype, smoothing):
    """Though smoothing gives a part of them to classes that weigh something."""
    given = example("cross_entropy", smoothing, rng, dtype, (3, 17))
    weight = np.ones(17, dtype)
    weight[given["target"]] = 0
    out = run("cross_entropy", **given, class_weight=weight)
    assert out.loss[0] == 0
    assert out.status[0] == 0
    np.testing.assert_array_equal(out.dz, 0)


@pytest.mark.parametrize("kernel", ["cross_entropy", "soft_cross_entropy"])
def test_a_smoothed_target_does_not_allow_a_class_that_cannot_be(run, dtype, kernel):
    z = np.array([[1.0, -np.inf, 0.5]], dtype)
    given = {"z": z, "target": np.array([0])}
    if kernel == "soft_cross_entropy":
        given["target"] = np.array([[1, 0, 0]], dtype)
    out = run(kernel, **given, smoothing=0.1)
    assert not np.isfinite(out.loss[0])
    assert out.status[0] == 1
    if kernel == "cross_entropy":  # but one without weight
        out = run(kernel, **given, smoothing=0.1, class_weight=np.array([1, 0, 2], dtype))
        assert np.isfinite(out.loss[0])
        assert np.isfinite(out.dz).all()
