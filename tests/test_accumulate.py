"""Several minibatches to a step: the step of all their rows."""

from __future__ import annotations

import numpy as np
import pytest
from nets import assert_close, bits, chain

import fastgrad as fg

pytestmark = pytest.mark.usefixtures("one_thread")


def data(rng, rows=23):
    return rng.standard_normal((rows, 5)), rng.integers(3, size=rows)


def trained(x, y, size, accumulate, epochs=3, **options):
    model = chain(5, 8, 3, dtype="float64")
    trainer = fg.Trainer(
        model, "cross_entropy", fg.SGD(0.1, momentum=0.9), rng=0, accumulate=accumulate, **options
    )
    losses = [trainer.epoch(x, y, size) for _ in range(epochs)]
    return model, trainer, losses


@pytest.mark.parametrize(("size", "count"), [(4, 1), (4, 2), (4, 3), (1, 5), (5, 4), (23, 2)])
def test_an_epoch_is_that_of_larger_minibatches(size, count, rng, backend):
    """The last step is made of what is left, each minibatch weighing by its rows."""
    x, y = data(rng)
    model, trainer, losses = trained(x, y, size, count)
    other, known, expected = trained(x, y, size * count, 1)
    assert trainer.steps == known.steps == 3 * -(-23 // (size * count))
    # five steps, each of sums over 23 rows and three layers, all of size 1 at most
    assert_close(model.flat_params, other.flat_params, "float64", 5 * 3 * 50)
    np.testing.assert_allclose(losses, expected, rtol=1e-12)


def test_step_updates_with_the_last_of_its_minibatches(rng, backend):
    x, y = data(rng, 12)
    model, other = chain(5, 8, 3, dtype="float64"), chain(5, 8, 3, dtype="float64")
    trainer = fg.Trainer(model, "cross_entropy", fg.SGD(0.1), accumulate=3)
    whole = fg.Trainer(other, "cross_entropy", fg.SGD(0.1))
    for _ in range(2):
        before = model.flat_params.copy()
        for start in (0, 4, 8):
            assert bits(model.flat_params) == bits(before)
            trainer.step(x[start : start + 4], y[start : start + 4])
        whole.step(x, y)
        assert_close(model.flat_params, other.flat_params, "float64", 2 * 3 * 50)
    assert trainer.steps == 2


def test_threads_and_chunks_change_nothing(rng, threads):
    x, y = data(rng, 4000)
    found = []
    for n in (1, 2):
        threads(n)
        model, _, _ = trained(x, y, 3, 2, epochs=2)
        found.append(bits(model.flat_params))
    assert found[0] == found[1]


def test_dropout_drops_others_in_every_minibatch(rng):
    """The same rows twice: were the masks the same, the two gradients were, too."""
    x, y = data(rng, 8)
    sums = []
    for count in (1, 2):
        model = fg.Sequential(fg.Dense(5, 64), fg.Dropout(0.5), fg.Dense(64, 3), rng=0)
        trainer = fg.Trainer(model, "cross_entropy", fg.SGD(0.1), accumulate=count)
        for _ in range(count):
            trainer.step(x, y)
        sums.append(model.flat_grads.copy())
    assert not np.allclose(*sums, rtol=1e-3)


# NumPy, and so the reference, says where numbers overflow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_failed_step_leaves_running_statistics_as_they_were(rng, backend):
    """BatchNorm has seen the first minibatch of the step when the second one fails."""
    model = fg.Sequential(fg.Dense(5, 8), fg.BatchNorm(8), fg.Dense(8, 3), rng=0, dtype="float64")
    trainer = fg.Trainer(model, "mse", fg.SGD(1e-3), accumulate=2)
    x, y = rng.standard_normal((8, 5)), rng.standard_normal((8, 3))
    trainer.epoch(x, y, 2, shuffle=False)
    params, buffers = bits(model.flat_params), bits(model.flat_buffers)
    y[2:4] = 1e300
    with pytest.raises(fg.GradientError):
        trainer.epoch(x, y, 2, shuffle=False)
    assert (bits(model.flat_params), bits(model.flat_buffers)) == (params, buffers)


@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (1.5, TypeError), ("2", TypeError)])
def test_bad_counts_are_refused(value, error):
    with pytest.raises(error, match="accumulate"):
        fg.Trainer(chain(5, 3), "mse", accumulate=value)
