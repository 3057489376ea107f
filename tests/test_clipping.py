"""Clips as users meet them: constructors, accounts, what becomes of gradients and of trainings."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from clips import SHAPES, Recorded
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import bits, chain
from rounding import assert_within, rounding

import fastgrad as fg
from fastgrad import backends, clipping
from fastgrad.arena import Part

CLIPS = {
    "ClipValue": fg.ClipValue(0.05),
    "ClipNorm": fg.ClipNorm(0.5),
    "ClipPerLayer": fg.ClipPerLayer(0.3),
    "ClipPerTensor": fg.ClipPerTensor(0.3),
    "GradFloor": fg.GradFloor(2.0),
    "AGC": fg.AGC(0.05, exclude_last=False),
    "AutoClip": fg.AutoClip(),
    "ZClip": fg.ZClip(),
    "ZClip, bounded": fg.ZClip(warmup=3, max_norm=0.5),
}
every_clip = pytest.mark.parametrize("clip", CLIPS.values(), ids=CLIPS)
NAN, INF = math.nan, math.inf

BAD = [  # constructor, arguments, error, the words of its message
    (fg.ClipValue, {"limit": 0}, ValueError, "limit (0, inf) 0"),
    (fg.ClipValue, {"limit": INF}, ValueError, "limit (0, inf) inf"),
    (fg.ClipNorm, {"max_norm": -1.0}, ValueError, "max_norm (0, inf) -1.0"),
    (fg.ClipNorm, {"max_norm": True}, TypeError, "max_norm number True"),
    (fg.ClipPerLayer, {"max_norm": NAN}, ValueError, "max_norm (0, inf) nan"),
    (fg.ClipPerTensor, {"max_norm": "1"}, TypeError, "max_norm number '1'"),
    (fg.GradFloor, {"min_norm": None}, TypeError, "min_norm number None"),
    (fg.AGC, {"factor": 0}, ValueError, "factor (0, inf) 0"),
    (fg.AGC, {"factor": [0.1]}, TypeError, "factor number [0.1]"),
    (fg.AGC, {"eps": 0}, ValueError, "eps (0, inf) 0"),
    (fg.AGC, {"exclude_last": 1}, TypeError, "exclude_last True False 1"),
    (fg.AutoClip, {"percentile": -1}, ValueError, "percentile [0, 100] -1"),
    (fg.AutoClip, {"percentile": 100.5}, ValueError, "percentile [0, 100] 100.5"),
    (fg.AutoClip, {"percentile": NAN}, ValueError, "percentile [0, 100] nan"),
    (fg.AutoClip, {"window": 0}, ValueError, "window at least 1 0"),
    (fg.AutoClip, {"window": 10.0}, TypeError, "window integer 10.0"),
    (fg.ZClip, {"threshold": 0}, ValueError, "threshold (0, inf) 0"),
    (fg.ZClip, {"alpha": 1}, ValueError, "alpha (0, 1) 1"),
    (fg.ZClip, {"alpha": 0.0}, ValueError, "alpha (0, 1) 0.0"),
    (fg.ZClip, {"warmup": 0}, ValueError, "warmup at least 1 0"),
    (fg.ZClip, {"max_norm": 0}, ValueError, "max_norm (0, inf) 0"),
    (fg.ZClip, {"max_norm": INF}, ValueError, "max_norm (0, inf) inf"),
    (fg.ZClip, {"min_std": -0.1}, ValueError, "min_std [0, inf) -0.1"),
    (clipping.from_config, {"config": None}, ValueError, "clip mapping name None"),
    (clipping.from_config, {"config": {"max_norm": 1}}, ValueError, "clip mapping name"),
    (clipping.from_config, {"config": {"name": "Clip"}}, ValueError, "clip ClipNorm 'Clip'"),
    (clipping.from_config, {"config": {"name": "ClipNorm"}}, TypeError, "clip max_norm"),
    (
        clipping.from_config,
        {"config": {"name": "ZClip", "z": 1}},
        TypeError,
        "clip ZClip threshold unexpected 'z'",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("make", "arguments", "error", "words"), BAD)
def test_bad_arguments_are_explained(make, arguments, error, words):
    with pytest.raises(error) as caught:
        make(**arguments)
    missing = [word for word in words.split() if word not in str(caught.value)]
    assert not missing, f"{missing} in: {caught.value}"


@every_clip
def test_configs(clip):
    again = clipping.from_config(json.loads(json.dumps(clip.config())))
    assert type(again) is type(clip)
    assert again.config() == clip.config()
    assert repr(again) == repr(clip)
    assert eval(repr(clip), vars(fg)).config() == clip.config()


@pytest.mark.parametrize("kind", [list, tuple, iter, lambda clips: (clip for clip in clips)])
def test_any_iterable_of_clips(kind):
    """A generator must not be found empty after the first look."""
    clips = [fg.ClipNorm(1.0), fg.ClipValue(0.1)]
    trainer = fg.Trainer(chain(5, 8, 3), "mse", clip=kind(clips))
    assert trainer.clips == tuple(clips)
    trainer.step(np.ones((4, 5)), np.full((4, 3), 9.0))
    assert trainer.gradient_norm() < 1
    assert [report.steps for report in trainer.clip_reports()] == [1, 1]


@pytest.mark.parametrize("bad", [1.0, "norm", fg.ClipNorm, [None], (0.5 for _ in "a"), {"a": 1}])
def test_what_is_no_clip_is_refused(bad):
    with pytest.raises(TypeError, match=r"clip must be a Clip such as ClipNorm\(1.0\), or a list"):
        fg.Trainer(chain(5, 8, 3), "mse", clip=bad)


def test_reports_can_be_read():
    trainer = fg.Trainer(chain(5, 8, 3), "mse", clip=fg.ClipNorm(1e-3), rng=0)
    before = trainer.clip_reports()[0]
    assert (before.fraction, before.mean_kept, before.extreme_factor) == (0, 1, 1)
    assert "acted in 0 of 0 steps" in repr(before)
    for _ in range(3):
        trainer.step(np.ones((4, 5)), np.ones((4, 3)))
    report = trainer.clip_reports()[0]
    assert report.since(before) == report
    assert (report.since(report).steps, report.since(report).mean_kept) == (0, 1)
    assert 0 < report.extreme_factor <= report.mean_kept < 1
    trainer.epoch(np.ones((8, 5)), np.ones((8, 3)), 4)
    now, epoch = trainer.clip_reports()[0], trainer.clip_reports(epoch=True)[0]
    assert epoch == now.since(report)
    assert (now.steps, epoch.steps, epoch.acted) == (5, 2, 2)
    for word in ("3 of 3 steps (100.0%)", "kept 0.0", f"x {report.last_factor:.3g}"):
        assert word in repr(report)


@every_clip
@pytest.mark.parametrize(
    "shapes", [{}, {"0.scale": ()}, {"0.weight": (1, 1)}, {"4.weight": (17, 3), "4.bias": (17,)}]
)
def test_few_parameters(clip, shapes, backend, dtype):
    """None at all, a single one, one layer."""
    one = Recorded(clip, shapes, dtype)
    for value in (0.0, 1.0, 1e10):
        out = one.feed(np.full(one.size, value, dtype))
        assert np.isfinite(out).all()
        assert np.ptp(out, axis=0) == 0 if one.size == 1 else True
    assert one.report.steps == 3


@every_clip
def test_layers_without_parameters(clip, backend):
    model = fg.Sequential(fg.Activation("tanh"), fg.Dropout(0.1), rng=0)
    trainer = fg.Trainer(model, "mse", clip=clip)
    trainer.step(np.ones((4, 5)), np.ones((4, 5)))
    between = fg.Dense(5, 8), fg.Activation("relu"), fg.Dropout(0.1), fg.Dense(8, 5)
    trainer = fg.Trainer(fg.Sequential(*between, rng=0), "mse", clip=clip)
    assert trainer.step(np.ones((4, 5)), np.ones((4, 5))) > 0
    assert trainer.clip_reports()[0].steps == 1


@every_clip
def test_what_lies_between_tensors_stays_zero(clip, backend, dtype, rng):
    one = Recorded(clip, SHAPES, dtype)
    padding = np.ones(one.grads.flat.size, bool)
    for part in one.grads.parts:
        padding[part.start : part.stop] = False
    assert padding.any()
    for _ in range(5):
        one.feed(100 * rng.standard_normal(one.size))
        assert not one.grads.flat[padding].any()
        assert not np.signbit(one.grads.flat[padding]).any()


def test_parts_of_an_arena():
    parts = Recorded(fg.ClipNorm(1.0), SHAPES, np.float32).grads.parts
    assert parts[1] == Part("0.bias", 48, (7,))
    assert (parts[1].size, parts[1].stop) == (7, 55)
    assert [part.name for part in parts] == list(SHAPES)


GRADIENTS = st.tuples(st.integers(0, 2**32 - 1), st.floats(-30, 30), st.floats(0, 3))


def drawn(seed, exponent, spread, size):
    """Gradients of very different sizes, some of them 0."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(size) * 10 ** (exponent + spread * rng.standard_normal(size))
    return values * (rng.random(size) > 0.2)


def groups_of(clip, one, flat):
    """The gradient in the pieces that this clip looks at."""
    parts, start, by_layer = [], 0, {}
    for part in one.grads.parts:
        piece = flat[start : start + part.size]
        start += part.size
        parts += list(piece.reshape(part.shape)) if len(part.shape) > 1 else [piece]
        by_layer.setdefault(part.name[0], []).append((part, piece))
    if isinstance(clip, fg.AGC):
        return parts
    if isinstance(clip, fg.ClipPerTensor):
        return [piece for pieces in by_layer.values() for _, piece in pieces]
    if isinstance(clip, (fg.ClipPerLayer, fg.GradFloor)):
        return [np.concatenate([piece for _, piece in pieces]) for pieces in by_layer.values()]
    return [flat]


@every_clip
@pytest.mark.parametrize("name", ["reference", "cython"])
@settings(max_examples=30, deadline=None)
@given(gradient=GRADIENTS)
def test_properties(clip, name, gradient):
    """Norms within bounds, directions kept, nothing changed by doing it again."""
    before = backends.active().name
    backends.use_backend(name)
    try:
        one = Recorded(clip)
        one.params.flat[...] = 0.3
        flat = drawn(*gradient, one.size)
        once = one.feed(flat)
        twice = one.feed(once)
    finally:
        backends.use_backend(before)
    if isinstance(clip, fg.ClipValue):
        np.testing.assert_array_equal(once, np.clip(flat, -clip.limit, clip.limit))
        np.testing.assert_array_equal(twice, once)
        return
    few = rounding(1, np.float64, one.size + 4)
    if not isinstance(clip, fg.AutoClip):  # whose history has changed
        assert_within(twice, once, few * np.abs(once), "twice")
    for g, out in zip(groups_of(clip, one, flat), groups_of(clip, one, once), strict=True):
        size, norm = np.linalg.norm(g), np.linalg.norm(out)
        if size == 0:
            assert not out.any()
            continue
        assert_within(out, g * (norm / size), 2 * few * np.abs(out), "direction")
        if isinstance(clip, fg.GradFloor):
            assert norm >= 2 * (1 - few)
            continue
        assert norm <= size * (1 + few)
        most = getattr(clip, "max_norm", None)
        if isinstance(clip, fg.AGC):
            most = 0.05 * max(0.3 * np.sqrt(g.size), 1e-3)
        assert norm <= (most or np.inf) * (1 + few)
        if norm < size * (1 - few):
            assert norm == pytest.approx(most, rel=few)


@every_clip
def test_a_restored_state_continues_bit_for_bit(clip, engine, rng):
    """Parameters, optimizer and clip as after three epochs, put into a trainer that is new."""
    x, y = rng.standard_normal((90, 5)), 30 * rng.standard_normal((90, 3))

    def trainer():
        return fg.Trainer(chain(5, 8, 3), "mse", fg.SGD(1e-3, momentum=0.9), clip, rng=0)

    def everything(one):
        return bits(*one.arrays().values())

    old, new, by_steps = trainer(), trainer(), trainer()
    for _ in range(3):
        old.epoch(x, y, 8, shuffle=False)
    for k in range(3 * 12):
        if k % 12 == 0:
            by_steps.stepper.begin_epoch()
        by_steps.step(x[8 * (k % 12) :][:8], y[8 * (k % 12) :][:8])
    assert everything(by_steps) == everything(old)

    new.step(x, y)  # what it remembers of that must go
    assert new.arrays().keys() == old.arrays().keys()
    for name, array in old.arrays().items():
        new.arrays()[name][...] = array
    for one in (old, new):
        one.epoch(x, y, 8, shuffle=False)
    assert everything(new) == everything(old)
    assert new.clip_reports() == old.clip_reports()


def test_one_clip_may_serve_two_trainers(rng):
    clip = fg.AutoClip()
    x, y = rng.standard_normal((9, 5)), rng.standard_normal((9, 3))
    trainers = [fg.Trainer(chain(5, 8, 3), "mse", clip=[clip, clip]) for _ in range(2)]
    for _ in range(5):
        assert len({trainer.step(x, y) for trainer in trainers}) == 1
    assert [report.steps for trainer in trainers for report in trainer.clip_reports()] == [5] * 4


# A deep net with large weights, in which a gradient grows from layer to layer; from the 30th of the
# 60 minibatches on, every sixth has inputs 50 times as large.
ROWS = np.random.default_rng(0).standard_normal((60 * 32, 8))
TARGETS = np.tanh(ROWS @ np.random.default_rng(1).standard_normal((8, 2)))
SPIKED = ROWS.reshape(60, 32, 8).copy()
SPIKED[30::6] *= 50
SPIKED = SPIKED.reshape(ROWS.shape)


def trained_through_spikes(clip):
    """Loss on the data without spikes, before and after."""
    large = fg.initializers.normal(1.25 * np.sqrt(2 / 16))
    layers = [fg.Dense(i, 16, "leaky_relu", weight_init=large) for i in (8, *[16] * 6)]
    model = fg.Sequential(*layers, fg.Dense(16, 2, weight_init="xavier_uniform"), rng=1)
    trainer = fg.Trainer(model, "mse", fg.SGD(0.02), clip)
    before = trainer.evaluate(ROWS, TARGETS)
    for _ in range(8):
        trainer.epoch(SPIKED, TARGETS, 32, shuffle=False)
    return before, trainer.evaluate(ROWS, TARGETS)


def test_without_a_clip_it_diverges(one_thread):
    with pytest.raises(fg.GradientError, match=r"step 3\d: "):
        trained_through_spikes(None)


CURES = {name: clip for name, clip in CLIPS.items() if name != "GradFloor"}
CURES["AGC and another for the last layer"] = [fg.AGC(0.05), fg.ClipPerLayer(0.5)]


@pytest.mark.parametrize("clip", CURES.values(), ids=CURES)
def test_with_a_clip_it_trains(clip, one_thread):
    before, after = trained_through_spikes(clip)
    assert after < before / 3
