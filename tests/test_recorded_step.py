"""The recorded step, optimizer and clip included, against the same loop in plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from nets import assert_close, bits, chain, train

import fastgrad as fg

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS, ROWS, WIDTHS = 8, 9, (5, 8, 7, 3)
# Forward, backward and gradients are sums of such lengths, and 20 roundings more, in every step.
ROUNDINGS = STEPS * 3 * (sum(WIDTHS) + ROWS + 20)

OPTIMIZERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.02, "alpha": 0.7, "eps": 1e-3, "weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.8}),
    ("Adam", {}),
    ("Adam", {"lr": 0.02, "betas": (0.5, 0.8), "eps": 1e-3, "weight_decay": 0.1}),
    ("Adam", {"betas": (0, 0)}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.02, "betas": (0.5, 0.8), "weight_decay": 0.5}),
]


def norm(arrays):
    return np.sqrt(sum((array**2).sum() for array in arrays))


def by_norm(low, high):
    """All given gradients times the factor that brings their norm into [low, high]."""

    def scale(grads):
        size = norm(grads.values())
        return {name: g * min(max(size, low), high) / size for name, g in grads.items()}

    return scale


def by_layer(clip):
    """`clip` on each layer's gradients."""

    def clipped(grads):
        groups = {}
        for name, gradient in grads.items():
            groups.setdefault(name[0], {})[name] = gradient
        return {name: g for group in groups.values() for name, g in clip(group).items()}

    return clipped


def by_value(grads):
    return {name: np.clip(gradient, -0.02, 0.02) for name, gradient in grads.items()}


CLIPS = {
    "ClipValue": (fg.ClipValue(0.02), by_value),
    "ClipNorm": (fg.ClipNorm(0.2), by_norm(0, 0.2)),
    "ClipNorm, idle": (fg.ClipNorm(1e9), dict),
    "ClipPerLayer": (fg.ClipPerLayer(0.2), by_layer(by_norm(0, 0.2))),
    "ClipPerTensor": (
        fg.ClipPerTensor(0.1),
        lambda grads: {k: g for n in grads for k, g in by_norm(0, 0.1)({n: grads[n]}).items()},
    ),
    "GradFloor": (fg.GradFloor(0.3), by_layer(by_norm(0.3, np.inf))),
    "GradFloor, idle": (fg.GradFloor(1e-9), dict),
    "two": ([fg.ClipNorm(0.2), fg.ClipValue(0.02)], lambda g: by_value(by_norm(0, 0.2)(g))),
}


def compare(kind, **options):
    """Train a model and its float64 twin in NumPy on the same data."""
    clip, plain_clip = options.pop("clip", (None, None))
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((ROWS, 5)), rng.standard_normal((ROWS, 3))
    model = chain(*WIDTHS, dtype=kind)
    name, settings = options.pop("optimizer", ("SGD", {"lr": 0.1}))
    losses, params = train(model, x, y, STEPS, optimizer=name, clip=plain_clip, **settings)
    trainer = fg.Trainer(model, "mse", getattr(fg, name)(**settings), clip)
    assert_close([trainer.step(x, y) for _ in range(STEPS)], losses, kind, ROUNDINGS, "loss")
    for view, wanted in zip(model.params.values(), params.values(), strict=True):
        assert_close(view, wanted, kind, ROUNDINGS)
    assert trainer.steps == STEPS
    return trainer


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_optimizers_are_their_formulas(optimizer, dtype, backend):
    compare(dtype, optimizer=optimizer)


@pytest.mark.parametrize("optimizer", [OPTIMIZERS[0], OPTIMIZERS[8]], ids=str)
@pytest.mark.parametrize("clip", CLIPS.values(), ids=CLIPS)
def test_clips_are_their_formulas(clip, optimizer, dtype, backend):
    compare(dtype, clip=clip, optimizer=optimizer)


def reports(*clips, scale=1.0):
    """What clips say of three steps, and the gradients that the last of them was given."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((ROWS, 5)), rng.standard_normal((ROWS, 3))
    trainers = [
        fg.Trainer(chain(*WIDTHS, dtype="float64"), "mse", fg.SGD(1e-30), clip)
        for clip in (None, list(clips))
    ]
    for trainer in trainers:
        for _ in range(3):
            trainer.step(x, scale * y)
    given = {name: view.copy() for name, view in trainers[0].model.grads.items()}
    return given, trainers[1], trainers[1].clip_reports()


def layers(grads):
    return [norm([grads[f"{k}.weight"], grads[f"{k}.bias"]]) for k in range(3)]


def test_norm_reports(backend):
    clips = fg.ClipNorm(0.2), fg.ClipPerLayer(0.05), fg.GradFloor(0.01), fg.ClipNorm(5.0)
    given, trainer, (whole, each, floor, idle) = reports(*clips)
    total = norm(given.values())
    clipped = np.array(layers(given)) * 0.2 / total
    assert (whole.steps, whole.acted, whole.fraction) == (3, 3, 1.0)
    assert whole.last_norm == pytest.approx(total, rel=1e-12)
    assert whole.last_factor == pytest.approx(0.2 / total, rel=1e-12)
    assert each.last_norm == pytest.approx(clipped.max(), rel=1e-12)
    assert each.last_factor == pytest.approx(0.05 / clipped.max(), rel=1e-12)
    kept = norm(np.minimum(clipped, 0.05)) / norm(clipped)
    assert each.mean_kept == pytest.approx(kept, rel=1e-12)
    assert (floor.steps, floor.acted, floor.last_factor) == (3, 0, 1.0)
    assert (idle.steps, idle.acted, idle.fraction, idle.last_factor) == (3, 0, 0.0, 1.0)
    assert idle.last_norm == pytest.approx(trainer.gradient_norm(), rel=1e-12)
    assert bits(*reports(fg.ClipNorm(5.0))[0].values()) == bits(*given.values())


def test_value_report(backend):
    given, _, (report,) = reports(fg.ClipValue(0.02))
    flat = np.concatenate([gradient.ravel() for gradient in given.values()])
    outside = (abs(flat) > 0.02).sum()
    assert 0 < outside < flat.size
    assert (report.steps, report.acted) == (3, 3)
    assert report.last_norm == pytest.approx(np.linalg.norm(flat), rel=1e-12)
    kept = np.linalg.norm(np.clip(flat, -0.02, 0.02)) / np.linalg.norm(flat)
    assert report.last_factor == report.extreme_factor == pytest.approx(kept, rel=1e-12)
    assert report.mean_kept == pytest.approx(kept, rel=1e-12)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_a_floor_lifts_every_layer(scale, backend):
    lowest = 3.0
    given, trainer, (report,) = reports(fg.GradFloor(lowest), scale=scale)
    before, after = np.array(layers(given)), np.array(layers(trainer.model.grads))
    np.testing.assert_allclose(after, np.maximum(before, lowest), rtol=1e-12)
    assert report.acted == 3 * bool((before < lowest).any())
    assert report.last_factor == pytest.approx(max(1, lowest / before.min()), rel=1e-12)


def test_a_floor_leaves_zero_alone(backend):
    model = chain(5, 8, 3, weight_init="zeros")
    model.flat_params[...] = 0
    trainer = fg.Trainer(model, "mse", fg.SGD(0.1), fg.GradFloor(1.0))
    trainer.step(np.ones((4, 5)), np.zeros((4, 3)))
    assert not model.flat_params.any()
    assert trainer.clip_reports()[0].acted == 0


@pytest.mark.parametrize("kind", [fg.ClipNorm, fg.ClipPerLayer, fg.GradFloor])
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_norms_beyond_the_range_of_squares(kind, scale, backend):
    """The squares of these float32 gradients are 0 or infinite in float32."""
    model = fg.Sequential(fg.Dense(3, 2, weight_init="zeros"), rng=0)
    trainer = fg.Trainer(model, "mae", fg.SGD(1e-30), kind(1.0))
    trainer.step(np.full((1, 3), scale), np.full((1, 2), -1.0))
    size = np.sqrt(6 * (0.5 * scale) ** 2 + 2 * 0.5**2)
    wanted = max(1.0, size) if kind is fg.GradFloor else min(1.0, size)
    assert trainer.gradient_norm() == pytest.approx(wanted, rel=1e-6)
