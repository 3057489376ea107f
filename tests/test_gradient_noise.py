"""Gradient noise: the numbers that are drawn, and what training makes of them."""

from __future__ import annotations

import numpy as np
import pytest
from harness import call
from nets import bits, chain
from rounding import assert_within, rounding
from scipy.stats import norm

import fastgrad as fg
from fastgrad import backends
from fastgrad.backends.reference.dropout import random_bits
from fastgrad.backends.reference.noise import normals
from fastgrad.blocks import blocks_of

SIZES = [0, 1, 7, 15, 16, 17, 33, 4095, 4096, 4097]
SIGMAS = 5  # a sound generator strays farther once in 1.7 million tests; these do not change
RARE = 2 * norm.sf(SIGMAS)
FARTHEST = np.sqrt(64 * np.log(2))


def arguments(eta=1.0, gamma=0.0, seed=0, layer=-1, count=0):
    return {"eta": eta, "gamma": gamma, "seed": seed, "layer": layer, "count": np.array([count])}


def noise(run, size, dtype=np.float64, blocks=None, scale=(1.0,), **given):
    g = np.zeros(size, dtype)
    blocks = np.array([0, size] if blocks is None else blocks)
    return run("gradient_noise", g=g, blocks=blocks, scale=np.array(scale), **arguments(**given)).g


def reference(*args, **given):
    return call(backends.load("reference"), *args, **given)


@pytest.mark.parametrize("size", SIZES)
def test_every_backend_draws_the_same(run, rng, dtype, size):
    """The logarithm may be off by 4 ulp, of which the root leaves two; its sine by two."""
    g = rng.standard_normal(size).astype(dtype)
    edges = np.sort([0, *rng.integers(size + 1, size=2), size])
    for seed, layer, count in ((0, -1, 0), (2**63 - 1, -3, 10**12), (-1, 0, 7)):
        given = arguments(0.3, 0.55, seed, layer, count)
        given |= {"blocks": edges, "scale": np.array([1.0, 0.0, 2.0]), "g": g}
        out, true = (r("gradient_noise", **given) for r in (run, reference))
        terms = np.abs(g) + np.abs(true.g - g)
        assert_within(out.g, true.g, rounding(terms, dtype, 12))
        assert bits(out.g[edges[1] : edges[2]]) == bits(g[edges[1] : edges[2]])
        assert np.array_equal(out.report, [1, 1, np.nan, 1, 1, 1], equal_nan=True)


def assert_standard_normal(z):
    """Moments by their variances; the distribution by Massart's bound (1990)."""
    n = z.size
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(np.mean(z**power) - mean) < SIGMAS * np.sqrt(variance / n), power
    ordered, ranks = norm.cdf(np.sort(z)), np.arange(n + 1) / n
    distance = max(np.max(ranks[1:] - ordered), np.max(ordered - ranks[:-1]))
    assert distance < np.sqrt(np.log(2 / RARE) / (2 * n))
    assert np.abs(z).max() < FARTHEST


@pytest.mark.parametrize("seed", [0, 1, 2**62 + 1])
def test_it_is_normal(run, dtype, seed):
    for count in (0, 1, 10**6):
        assert_standard_normal(noise(run, 300_000, dtype, seed=seed, count=count).astype(float))


def test_it_is_normal_over_steps(run):
    """Elements of their own, each over many steps."""
    z = np.array([noise(run, 3, count=count) for count in range(20_000)])
    for column in z.T:
        assert_standard_normal(column)


def test_float32_draws_the_same_numbers():
    """But for the rounding of u, which moves u's logarithm by eps / 2 at most, and that of h."""
    places, eps = np.arange(100_000), float(np.finfo(np.float32).eps)
    short, long = (normals(0, 0, -1, places, np.dtype(kind)) for kind in (np.float32, np.float64))
    assert np.abs(short - long).max() < np.sqrt(eps) + FARTHEST * eps


def assert_uncorrelated(a, b):
    """Nor their sizes: the mean of n products of numbers of variance 1 has variance 1 / n."""
    for x, y in ((a, b), ((a**2 - 1) / np.sqrt(2), (b**2 - 1) / np.sqrt(2))):
        assert abs(np.mean(x * y)) < SIGMAS / np.sqrt(a.size)


def test_draws_have_nothing_to_do_with_each_other():
    others = [{}, {"count": 1}, {"count": 2}, {"layer": -2}, {"layer": 0}, {"seed": 1}, {"seed": 2}]
    draws = [noise(reference, 100_000, **other) for other in others]
    for i, a in enumerate(draws):
        for b in draws[:i]:
            assert_uncorrelated(a, b)


def test_neighbours_have_nothing_to_do_with_each_other():
    for given in ({}, {"seed": 3, "layer": -2, "count": 4}):
        z = noise(reference, 200_000, **given)
        for lag in {1, 2, 3, 255, 257, *2 ** np.arange(16)}:
            assert_uncorrelated(z[:-lag], z[lag:])


def test_dropout_has_nothing_to_do_with_it():
    """It hashes the same seed and step, but counts its layers from 0 upwards."""
    places = np.arange(100_000, dtype=np.uint64)
    for layer in range(3):
        mask = random_bits(0, 0, layer, places) / 2**31 - 1.0
        for of_noise in (-1, -2):
            z = normals(0, 0, of_noise, places, np.dtype(float))
            for lag in (0, 1, 50_000):
                assert_uncorrelated(z[lag:], mask[: z.size - lag] * np.sqrt(3))


def test_places_go_on_beyond_31_bits():
    """There two places of an element would fill 32."""
    parts = [normals(1, 2, -1, np.arange(2**16) + k * 2**31, np.dtype(float)) for k in range(4)]
    for i, a in enumerate(parts):
        for b in parts[:i]:
            assert_uncorrelated(a, b)


@pytest.mark.parametrize("eta", [0.0, 0.01, 0.3, 100.0])
@pytest.mark.parametrize("gamma", [0.0, 0.55, 2.0])
@pytest.mark.parametrize("count", [0, 1, 999])
def test_the_variance_falls_as_it_is_told(run, eta, gamma, count):
    z = noise(run, 50, count=count)
    wanted = np.sqrt(eta / (1 + count) ** gamma) * z
    got = noise(run, 50, eta=eta, gamma=gamma, count=count)
    assert_within(got, wanted, rounding(wanted, np.float64))


def test_blocks_leave_out_what_is_between_parts():
    model = chain(5, 8, 3)
    blocks, scale = blocks_of(model.parts, {"0.bias": 2.0, "1.weight": 3.0})
    parts = {part.name: part for part in model.parts}
    named = (parts["0.bias"], parts["1.weight"])
    assert blocks.tolist() == [edge for part in named for edge in (part.start, part.stop)]
    assert scale.tolist() == [2.0, 0.0, 3.0]
    long = fg.Sequential(fg.Dense(5000, 2), rng=0)
    blocks, scale = blocks_of(long.parts, {"0.weight": 1.0})
    assert (blocks.tolist(), scale.tolist()) == ([0, 4096, 8192, 10000], [1.0] * 3)
    blocks, scale = blocks_of(long.parts, {})
    assert (blocks.tolist(), scale.tolist()) == ([0], [])


RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((40, 5)), RNG.integers(3, size=40)


def steps(clip, count=4, dtype="float64", **options):
    """The gradients of so many steps of which none moves the parameters."""
    model = chain(5, 8, 3, dtype=dtype)
    trainer = fg.Trainer(model, "cross_entropy", fg.SGD(1e-30), clip, rng=0, **options)
    found = []
    for _ in range(count):
        trainer.step(X, Y)
        found.append(model.flat_grads.copy())
    return np.array(found), trainer


def test_every_step_adds_its_own(engine):
    plain, _ = steps(None)
    noisy, trainer = steps(fg.GradientNoise(0.3, 0.55))
    inside = np.zeros(plain.shape[1], bool)
    for part in trainer.model.parts:
        inside[part.start : part.stop] = True
    places = np.arange(plain.shape[1])
    for step, added in enumerate(noisy - plain):
        z = normals(trainer._recorder.seed, step, -1, places, np.dtype(float))
        wanted = np.where(inside, np.sqrt(0.3 / (1 + step) ** 0.55) * z, 0)
        assert_within(added, wanted, rounding(np.abs(plain[step]) + np.abs(wanted), np.float64))
    assert not noisy[:, ~inside].any()
    report = trainer.clip_reports()[0]
    assert (report.steps, report.acted) == (4, 4)


def test_it_acts_where_it_stands_in_the_list(engine):
    before, trainer = steps([fg.GradientNoise(4.0), fg.ClipNorm(0.5)])
    np.testing.assert_allclose(np.linalg.norm(before, axis=1), 0.5, rtol=1e-12)
    assert trainer.clip_reports()[1].fraction == 1
    after, _ = steps([fg.ClipNorm(0.5), fg.GradientNoise(4.0)])
    assert (np.linalg.norm(after, axis=1) > 1).all()
    assert bits(steps([fg.GradientNoise(0.0)])[0]) == bits(steps(None)[0])
    assert steps(fg.GradientNoise(0.0))[1].clip_reports()[0].acted == 0


def test_two_of_them_are_different(engine):
    plain, one, two = (
        steps(clip)[0]
        for clip in (None, fg.GradientNoise(1.0, 0.0), [fg.GradientNoise(1.0, 0.0)] * 2)
    )
    first, second = one - plain, two - one
    apart = np.abs(first - second)[first != 0]
    assert np.quantile(apart, 0.1) > 0.1


def test_a_step_of_several_minibatches_has_it_once(engine):
    def gradient(clip, accumulate):
        model = chain(5, 8, 3, dtype="float64")
        options = {"rng": 0, "accumulate": accumulate}
        trainer = fg.Trainer(model, "cross_entropy", fg.SGD(1e-30), clip, **options)
        trainer.epoch(X, Y, 40 // accumulate, shuffle=False)
        return model.flat_grads.copy()

    noise = fg.GradientNoise(0.3)
    added = [gradient(noise, count) - gradient(None, count) for count in (1, 4)]
    np.testing.assert_allclose(added[0], added[1], rtol=0, atol=1e-14)


def test_seeds_decide(engine):
    def result(seed=0, rng=0):
        model = fg.Sequential(fg.Dense(5, 3, weight_init="zeros"), rng=seed)
        trainer = fg.Trainer(model, "cross_entropy", clip=fg.GradientNoise(), rng=rng)
        trainer.epoch(X, Y, 40)
        return bits(model.flat_params)

    assert result() == result()
    assert len({result(), result(seed=1), result(rng=1)}) == 3


def test_threads_change_nothing(threads, dtype):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((50, 300)), rng.integers(3, size=50)
    results = set()
    for count in (1, 2, 3):
        threads(count)
        model = chain(300, 200, 3, dtype=dtype)
        trainer = fg.Trainer(model, "cross_entropy", clip=fg.GradientNoise(), rng=0)
        results.add(bits([trainer.epoch(x, y, 20) for _ in range(2)], model.flat_params))
    assert len(results) == 1


@pytest.mark.parametrize("noise", [fg.GradientNoise(), fg.GradientNoise(0.01, 0)])
def test_its_config_makes_it_again(noise):
    arguments = {name: value for name, value in noise.config().items() if name != "name"}
    assert vars(fg.GradientNoise(**arguments)) == vars(noise)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"eta": -1}, ValueError, r"eta must lie in \[0, inf\), got -1"),
        ({"eta": np.inf}, ValueError, r"eta must lie in \[0, inf\), got inf"),
        ({"eta": None}, TypeError, "eta must be a number, got None"),
        ({"gamma": -0.1}, ValueError, r"gamma must lie in \[0, inf\), got -0.1"),
        ({"gamma": "a"}, TypeError, "gamma must be a number, got 'a'"),
        ({"gamma": True}, TypeError, "gamma must be a number, got True"),
    ],
)
def test_bad_input(options, error, message):
    with pytest.raises(error, match=message):
        fg.GradientNoise(**options)
