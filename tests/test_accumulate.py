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


def test_minibatches_by_hand_weigh_by_their_rows(rng, backend):
    x, y = data(rng, 16)
    model, other = chain(5, 8, 3, dtype="float64"), chain(5, 8, 3, dtype="float64")
    trainer = fg.Trainer(model, "cross_entropy", fg.SGD(0.1), accumulate=3)
    for part in (slice(0, 9), slice(9, 10), slice(10, 16)):
        trainer.step(x[part], y[part])
    fg.Trainer(other, "cross_entropy", fg.SGD(0.1)).step(x, y)
    assert_close(model.flat_params, other.flat_params, "float64", 3 * 50)


def test_an_epoch_first_finishes_the_step_that_waits(rng, backend):
    x, y = data(rng, 16)
    model, other = chain(5, 8, 3, dtype="float64"), chain(5, 8, 3, dtype="float64")
    trainer = fg.Trainer(model, "cross_entropy", fg.SGD(0.1), accumulate=2)
    trainer.step(x[:8], y[:8])
    trainer.epoch(x, y, 8, shuffle=False)
    known = fg.Trainer(other, "cross_entropy", fg.SGD(0.1))
    known.step(x[:8], y[:8])
    known.step(x, y)
    assert trainer.steps == 2
    assert_close(model.flat_params, other.flat_params, "float64", 2 * 3 * 50)


@pytest.mark.parametrize("count", [2, 3, 8])
def test_batches_that_are_handed_in_make_a_last_step_of_what_is_left(count, rng):
    x, y = data(rng, 21)
    batches = [(x[i : i + 3], y[i : i + 3]) for i in range(0, 21, 3)]
    models = [chain(5, 8, 3, dtype="float64") for _ in range(2)]
    options = {"loss": "cross_entropy", "optimizer": fg.SGD(0.1), "epochs": 3}
    options |= {"accumulate": count, "schedule": "linear"}
    one = fg.fit(models[0], batches, steps_per_epoch=7, **options)
    two = fg.fit(models[1], x, y, batch_size=3, shuffle=False, **options)
    assert one.trainer.steps == two.trainer.steps == 3 * -(-7 // count)
    assert one.history["lr"] == two.history["lr"]
    assert_close(models[0].flat_params, models[1].flat_params, "float64", 3 * 4 * 3 * 50)


class Raises(fg.Layer):
    """Fails at its forward pass number `at`."""

    at = 0

    def forward(self, x, params, train):
        self.at -= train
        if self.at == 0:
            raise ZeroDivisionError
        return x

    def backward(self, dy, params, grads):
        return dy


@pytest.mark.parametrize("by_epoch", [True, False])
def test_an_error_in_the_middle_of_a_step_leaves_nothing_of_it(by_epoch, rng, backend):
    layer = Raises()
    model = fg.Sequential(fg.Dense(5, 8), fg.BatchNorm(8), layer, fg.Dense(8, 3), rng=0)
    trainer = fg.Trainer(model, "cross_entropy", fg.SGD(0.1), accumulate=3)
    x, y = data(rng, 24)
    trainer.epoch(x, y, 4)
    before = bits(*trainer.arrays()["params"], *model.flat_buffers)
    layer.at = 3

    def train():
        if by_epoch:
            trainer.epoch(x, y, 4)
        for i in range(3):
            trainer.step(x[4 * i : 4 * i + 4], y[4 * i : 4 * i + 4])

    with pytest.raises(ZeroDivisionError):
        train()
    assert bits(*trainer.arrays()["params"], *model.flat_buffers) == before
    assert trainer.steps == 2


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_loss_of_a_step_that_is_left_out_does_not_count(rng, backend):
    """Its first minibatch was good, and the loss of that was finite."""
    x, y = rng.standard_normal((24, 5)), rng.standard_normal((24, 3))
    losses = []
    for rows in (slice(0, 24), np.r_[0:8, 16:24]):
        model = chain(5, 8, 3, activation="relu", dtype="float64")
        spoiled = x.copy()
        spoiled[12:16] = 1e308
        trainer = fg.Trainer(model, "mse", fg.SGD(0.1), accumulate=2, on_nonfinite="skip")
        losses.append(trainer.epoch(spoiled[rows], y[rows], 4, shuffle=False))
        assert trainer.steps == 2
    assert losses[0] == losses[1]
