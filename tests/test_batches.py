"""Batches from iterables, generators and functions."""

from __future__ import annotations

from itertools import count, cycle

import numpy as np
import pytest
from nets import bits, chain

import fastgrad as fg

pytestmark = pytest.mark.usefixtures("one_thread")

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 5)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
WEIGHTS = RNG.uniform(0.5, 2, 40)
SIZES = [16, 7, 1, 16]


def parts(weighted=False):
    ends = np.cumsum(SIZES)
    cuts = [slice(end - size, end) for size, end in zip(SIZES, ends, strict=True)]
    return [(X[cut], Y[cut], WEIGHTS[cut])[: 3 if weighted else 2] for cut in cuts]


def fit(batches, model=None, **options):
    options = {"loss": "cross_entropy", "epochs": 3, "progress": False, "rng": 0} | options
    return fg.fit(model or chain(5, 8, 3), batches, **options)


def steps(batches, times=1):
    """The bits of a model that has seen these batches, and the losses."""
    model = chain(5, 8, 3)
    trainer = fg.Trainer(model, "cross_entropy", rng=0)
    losses = [[trainer.step(*batch) for batch in batches] for _ in range(times)]
    return bits(model.flat_params), losses


class Restarts:
    """An iterable that is no list."""

    def __iter__(self):
        return iter(parts())


SOURCES = {
    "a list": lambda: (parts(), {}),
    "a tuple": lambda: (tuple(parts()), {}),
    "lists in a list": lambda: ([list(part) for part in parts()], {}),
    "an iterable": lambda: (Restarts(), {}),
    "a function": lambda: (lambda: iter(parts()), {}),
    "a generator function": lambda: (lambda: (part for part in parts()), {}),
    "a function of endless ones": lambda: (lambda: cycle(parts()), {"steps_per_epoch": 4}),
    "an endless generator": lambda: ((p for p in cycle(parts())), {"steps_per_epoch": 4}),
    "an iterator that is long enough": lambda: (iter(parts() * 3), {"steps_per_epoch": 4}),
}


@pytest.mark.parametrize("source", SOURCES)
def test_an_epoch_is_its_batches(source, backend):
    batches, options = SOURCES[source]()
    run = fit(batches, validation=(X, Y), **options)
    params, losses = steps(parts(), 3)
    assert bits(run.model.flat_params) == params
    means = [np.average(values, weights=SIZES) for values in losses]
    assert run.history["loss"] == pytest.approx(means, rel=1e-14)
    assert run.trainer.steps == 12
    assert len(run.history["val_loss"]) == len(run.history["samples_per_second"]) == 3


def test_weights_come_with_the_batches():
    run = fit(parts(weighted=True), epochs=1)
    assert bits(run.model.flat_params) == steps(parts(weighted=True))[0]
    assert bits(run.model.flat_params) != steps(parts())[0]


def test_fewer_steps_than_there_are_batches():
    run = fit(parts(), steps_per_epoch=2, epochs=2)
    assert bits(run.model.flat_params) == steps(parts()[:2], 2)[0]
    run = fit(iter(parts()), steps_per_epoch=2, epochs=2)  # an iterator goes on
    assert bits(run.model.flat_params) == steps(parts())[0]


def test_nothing_is_taken_that_is_not_trained_on():
    numbers = count()
    batches = ((X[:4], Y[:4]) for _ in numbers)
    fit(batches, steps_per_epoch=5, epochs=3)
    assert next(numbers) == 15


def test_a_schedule_knows_how_long_training_is():
    run = fit(parts(), steps_per_epoch=4)
    assert run.trainer.stepper.total_steps == 12
    assert fit(parts()).trainer.stepper.total_steps is None


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, ValueError])
def test_what_a_generator_raises_arrives(error):
    def batches():
        yield parts()[0]
        yield parts()[1]
        raise error("from within")

    model = chain(5, 8, 3)
    with pytest.raises(error, match="from within"):
        fit(batches, model)
    assert bits(model.flat_params) == steps(parts()[:2])[0]
    assert fit(parts(), model).trainer.steps == 12


CASES = {  # what fit is given, the error, what it says, and batches trained on by then
    "an iterator for two epochs": (
        lambda: (iter(parts()), {}),
        ValueError, "an iterator of batches runs only once, and epochs is 3: give steps_per_", 0,
    ),
    "one that ends in the second epoch": (
        lambda: (iter(parts()), {"steps_per_epoch": 3}),
        ValueError, "batches ended after 1 in epoch 2, needs steps_per_epoch 3", 4,
    ),
    "a list that is too short": (
        lambda: (parts(), {"steps_per_epoch": 5}),
        ValueError, "batches ended after 4 in epoch 1, needs steps_per_epoch 5", 4,
    ),
    "a function that gives the same iterator again": (
        lambda: ((lambda once: lambda: once)(iter(parts())), {}),
        ValueError, "batches ended after 0 in epoch 2", 4,
    ),
    "no batches": (lambda: ([], {}), ValueError, "batches ended after 0 in epoch 1", 0),
    "x alone": (
        lambda: ([*parts()[:2], (X[:4],)], {}), TypeError, "batch 3 of epoch 1 .* got tuple of 1", 2
    ),
    "an array": (
        lambda: ([X[:4]], {}), TypeError, r"must be \(x, y\) or \(x, y, .*\), got ndarray", 0
    ),
    "rows of numbers": (lambda: (X.tolist(), {}), TypeError, "batch 1 .* got list of 5", 0),
    "a dict": (lambda: ([{"x": X, "y": Y}], {}), TypeError, "got dict", 0),
    "other features": (
        lambda: ([parts()[0], (X[:4, :3], Y[:4])], {}), ValueError, "batch 2 of epoch 1", 1
    ),
    "a bad label": (
        lambda: ([*parts()[:2], (X[:1], [3])], {}), ValueError, r"y must lie in \[0, 3\)", 2
    ),
    "NaN": (
        lambda: ([*parts()[:2], (X[:1] * np.nan, Y[:1])], {}), ValueError, "x has 5 .* nan at r", 2
    ),
    "a function of a number": (lambda: (lambda: 5, {}), TypeError, "'int' object is not iter", 0),
    "steps_per_epoch 0": (lambda: (parts(), {"steps_per_epoch": 0}), ValueError, "at least 1", 0),
    "steps_per_epoch 1.5": (lambda: (parts(), {"steps_per_epoch": 1.5}), TypeError, "1.5", 0),
    "weights": (
        lambda: (parts(), {"sample_weight": WEIGHTS}), ValueError, "sample_weight must not be", 0
    ),
    "a fraction to validate": (
        lambda: (parts(), {"validation": 0.5}), ValueError, r"validation must be \(X, y\) with b", 0
    ),
    "neither": (lambda: (5, {}), ValueError, r"X has shape \(\), needs \(N, 5\)", 0),
    "no targets": (lambda: (X, {}), TypeError, "y is missing", 0),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_batches_are_explained_and_the_model_is_that_of_the_good_ones(case):
    make, kind, message, good = CASES[case]
    batches, options = make()
    model = chain(5, 8, 3)
    with pytest.raises(kind, match=message) as caught:
        fit(batches, model, **options)
    assert type(caught.value) is kind
    assert bits(model.flat_params) == steps(parts()[:good])[0]


def test_a_gradient_error_has_the_run():
    model = chain(5, 8, 3)
    with pytest.raises(fg.GradientError) as caught:
        fit(lambda: cycle(parts()), model, steps_per_epoch=4, callbacks=[lambda run: spoil(model)])
    assert caught.value.run.epoch == 1


def spoil(model):
    model.params["1.bias"][...] = np.nan
