"""Clips that adapt: to the parameters (AGC), and to the norms seen before (AutoClip, ZClip)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from clips import Recorded, feed_norm
from harness import golden
from rounding import assert_within, rounding

import fastgrad as fg

VALUES = golden("adaptive_clips")
NORMS = VALUES["norms"]


def pair(norm):
    return np.array([[norm, 1.0]])


# AGC


def agc(run, params, grads, factor):
    """Gradients of these tensors after AGC, whose groups are made here by hand."""
    for p, g in zip(params, grads, strict=True):
        rows, columns = p.shape if p.ndim > 1 else (1, p.size)
        cut = {"blocks": np.arange(rows + 1) * columns, "groups": np.arange(rows + 1)}
        sizes = run("group_norms", x=p.ravel(), **cut).norms
        bounds = run("relative_bounds", norms=sizes, factor=factor, eps=1e-3).bounds
        norms = run("group_norms", x=g.ravel(), **cut).norms
        report = np.zeros(6)
        yield run("rescale", norms=norms, bounds=bounds, **cut, g=g.ravel(), report=report).g


def tensors(name, dtype=np.float64):
    return [VALUES[f"{name}{k}"].astype(dtype) for k in range(4)]


@pytest.mark.parametrize("factor", [0.01, 0.5])
def test_golden_agc(run, dtype, factor):
    clipped = agc(run, tensors("p", dtype), tensors("g", dtype), factor)
    for k, got in enumerate(clipped):
        true = VALUES[f"agc_{factor}.g{k}"].ravel()
        assert_within(got, true, rounding(true, dtype), f"g{k}")


@pytest.mark.parametrize("factor", [0.01, 0.5])
@pytest.mark.parametrize("exclude_last", [False, True])
def test_agc_takes_rows_of_weights_and_whole_vectors(factor, exclude_last, backend, dtype):
    params, grads = tensors("p"), tensors("g")
    names = "0.weight", "0.bias", "1.weight", "1.bias"
    shapes = {name: p.shape for name, p in zip(names, params, strict=True)}
    clip = Recorded(fg.AGC(factor, exclude_last=exclude_last), shapes, dtype)
    for name, p in zip(names, params, strict=True):
        clip.params.views[name] = p
    got = clip.feed(np.concatenate([g.ravel() for g in grads]))
    kept = 2 if exclude_last else 4
    true = [VALUES[f"agc_{factor}.g{k}"] if k < kept else grads[k] for k in range(4)]
    true = np.concatenate([g.ravel() for g in true])
    assert_within(got, true, rounding(true, dtype))
    seen = np.concatenate([g.ravel() for g in grads[:kept]])
    left = np.linalg.norm(true[: seen.size]) / np.linalg.norm(seen)
    assert_within(clip.report.kept_sum, left, rounding(left, np.float64, seen.size), "kept")


def test_agc_lets_a_row_of_zeros_move(backend):
    """eps counts as the norm of its parameters."""
    clip = Recorded(fg.AGC(0.5, eps=0.25), {"0.weight": (2, 3), "1.weight": (1, 2)})
    clip.params.views["0.weight"][1] = [0, 3, 4]
    got = clip.feed([3.0, 0, 4, 0, 0, 100, 7, 7])
    assert_within(got, [0.075, 0, 0.1, 0, 0, 2.5, 7, 7], rounding(1, np.float64))


def test_agc_of_one_layer_says_that_it_would_clip_nothing(backend):
    shapes = {"0.weight": (2, 2), "0.bias": (2,)}
    with pytest.raises(ValueError, match=r"1 layer with parameters.* use exclude_last=False"):
        Recorded(fg.AGC(), shapes)
    with pytest.raises(ValueError, match="exclude_last=False"):
        fg.Trainer(fg.Sequential(fg.Dense(3, 2), rng=0), "mse", clip=fg.AGC())
    clip = Recorded(fg.AGC(1.0, exclude_last=False), shapes)
    clip.params.flat[...] = 1
    assert_within(clip.feed([3, 4, 0.3, 0.4, 5, 12]), [*np.sqrt([0.72, 1.28]), 0.3, 0.4,
                  *np.array([5, 12]) / 13 * np.sqrt(2)], rounding(2, np.float64))  # fmt: skip


# AutoClip


def percentiles(run, norms, percentile, window):
    """Bounds after each norm, and the norms kept by size."""
    state = {"arrived": np.zeros(window), "ordered": np.zeros(window), "count": np.array([0])}
    for norm in norms:
        out = run("percentile_bounds", norms=pair(norm), percentile=percentile, **state)
        state = {name: getattr(out, name) for name in state}
        yield out.bounds[0], out.ordered[: min(window, out.count[0])]


@pytest.mark.parametrize("percentile", [0, 10, 37.5, 50, 100])
def test_golden_autoclip(run, percentile):
    true = VALUES[f"autoclip_{percentile}"]
    bounds = np.array([b for b, _ in percentiles(run, NORMS, float(percentile), 50)])
    assert not bounds[:, 0].any()
    assert_within(bounds[:, 1], true, rounding(true, np.float64))


@pytest.mark.parametrize("window", [1, 2, 7, 33])
def test_the_window_moves(run, rng, window):
    """With ties, and norms that do not count."""
    drawn = rng.choice([0, np.inf, np.nan, 0.5, 1, 1e-310, *rng.exponential(size=40)], 100)
    kept = []
    for norm, (bounds, ordered) in zip(drawn, percentiles(run, drawn, 30.0, window), strict=True):
        kept = (kept + [norm] * int(0 < norm < np.inf))[-window:]
        assert ordered.tolist() == sorted(kept)
        true = np.percentile(kept, 30) if kept else np.inf
        assert_within(bounds[1], true, rounding(true, np.float64))


def test_autoclip_in_its_first_steps(backend):
    clip = Recorded(fg.AutoClip(percentile=50, window=3))
    assert feed_norm(clip, 0) == 0
    assert feed_norm(clip, 8) == 8
    assert feed_norm(clip, 2) == 2  # the median of 2 and 8 is 5
    assert feed_norm(clip, 20) == pytest.approx(8)
    assert clip.report.acted == 1
    assert feed_norm(clip, 30) == pytest.approx(20)  # 8 has left
    assert feed_norm(clip, 0) == 0
    assert clip.state["count"] == [4]


@pytest.mark.parametrize("kind", [fg.AutoClip, fg.ZClip])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nothing_is_poisoned(kind, bad, backend):
    """A gradient that is not finite leaves no trace but in the account."""
    clip, clean = Recorded(kind()), Recorded(kind())
    for k, norm in enumerate(NORMS):
        if k in (0, 3, 40):
            gradient = np.ones(clip.size)
            gradient[5] = bad
            np.testing.assert_array_equal(clip.feed(gradient), gradient)
        assert feed_norm(clip, norm) == feed_norm(clean, norm)
    for name in clip.state.keys() - {"report"}:
        np.testing.assert_array_equal(clip.state[name], clean.state[name])
    assert clip.report.acted == clean.report.acted > 0


@pytest.mark.parametrize("kind", [fg.AutoClip, fg.ZClip])
def test_a_norm_beyond_float64_is_clipped_and_forgotten(kind, backend):
    """Each element is finite, and the direction is kept."""
    clip = Recorded(kind())
    for _ in range(30):
        feed_norm(clip, 2.0)
    before = {name: clip.state[name].copy() for name in clip.state.keys() - {"report"}}
    got = clip.feed(np.full(clip.size, 1.7e308))
    assert_within(got, 2 / np.sqrt(clip.size), rounding(1, np.float64, clip.size))
    for name, array in before.items():
        np.testing.assert_array_equal(clip.state[name], array)


# ZClip


def z_scores(run, norms, threshold=2.5, alpha=0.97, warmup=25, min_std=0.0, max_norm=np.inf):
    given = {"threshold": threshold, "alpha": alpha, "warmup": warmup}
    given |= {"min_std": min_std, "max_norm": max_norm}
    moments = np.zeros(3)
    for norm in norms:
        out = run("z_score_bounds", norms=pair(norm), **given, moments=moments)
        moments = out.moments
        yield out.bounds[0, 1], *moments


@pytest.mark.parametrize(
    ("name", "options"),
    [("zclip", {}), ("zclip_2", {"threshold": 2.0, "alpha": 0.9, "warmup": 10})],
)
def test_golden_zclip(run, name, options):
    """Without the least deviation it is the paper's algorithm."""
    limits, seen, means, deviations = np.array([*z_scores(run, NORMS, **options)]).T
    assert seen.tolist() == [*range(1, 51)]
    # a limit is a difference that the norms before have rounded, each of them a few times
    count = 8 * len(NORMS)
    assert_within(means, VALUES[f"{name}.means"], rounding(means, np.float64, count))
    terms = means + deviations
    assert_within(deviations, VALUES[f"{name}.deviations"], rounding(terms, np.float64, count))
    true = VALUES[f"{name}.limits"]
    assert 2 < np.isfinite(true).sum() < 25
    finite = np.where(np.isfinite(true), true, 0)
    assert_within(limits, true, rounding(8 * (finite + terms), np.float64, count))


def test_zclip_during_warm_up(backend):
    free, bounded = Recorded(fg.ZClip(warmup=4)), Recorded(fg.ZClip(warmup=4, max_norm=3.0))
    for norm in (1.0, 100.0, 2.0, 5.0):
        assert feed_norm(free, norm) == pytest.approx(norm, rel=1e-15)
        assert feed_norm(bounded, norm) == pytest.approx(min(norm, 3), rel=1e-15)
    for clip in (free, bounded):  # which knows the norms from before its own clipping
        mean, std = np.mean([1, 100, 2, 5]), np.std([1, 100, 2, 5])
        assert clip.state["moments"] == pytest.approx([4, mean, std], rel=1e-14)
        assert feed_norm(clip, 1e6) < 150
    assert (free.report.acted, bounded.report.acted) == (1, 3)


def test_zclip_follows_after_a_run_without_noise(backend):
    """Norms double for good after they have been all the same: the limit must come along."""
    clip = Recorded(fg.ZClip())
    for _ in range(200):
        assert feed_norm(clip, 1.0) == pytest.approx(1, rel=1e-15)
    assert feed_norm(clip, 1.2) == pytest.approx(1.2)  # within 2.5 * 0.1 of the mean
    after = [feed_norm(clip, 2.0) for _ in range(300)]
    assert 1 < after[0] < 1.1
    assert after[-1] == pytest.approx(2)
    stuck = Recorded(fg.ZClip(min_std=1e-12))
    for _ in range(200):
        feed_norm(stuck, 1.0)
    assert [feed_norm(stuck, 2.0) for _ in range(300)][-1] < 1.001


def test_zclip_starts_from_zeros(backend):
    """Dead at first, then alive: no limit of 0, and the norm comes through."""
    clip = Recorded(fg.ZClip(warmup=5))
    for _ in range(5):
        assert feed_norm(clip, 0.0) == 0
    after = [feed_norm(clip, 1.0) for _ in range(100)]
    assert min(after) > 0.1
    assert after[-1] == pytest.approx(1)


@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1e-20, 1e20, 1e170, 1e300])
def test_zclip_knows_no_scale(scale, run):
    """Squares of these norms would leave float64."""
    plain = np.array([*z_scores(run, NORMS[:44], min_std=0.1)])
    scaled = np.array([*z_scores(run, scale * NORMS[:44], min_std=0.1)])
    bound = rounding(8 * (plain[:, 2:3] + plain[:, 3:]), np.float64, 400)
    assert_within(scaled[:, [0, 2, 3]] / scale, plain[:, [0, 2, 3]], bound)
