"""`Trainer`: PyTorch's numbers, epochs, weights, targets."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from harness import golden
from nets import LOSSES, assert_close, bits, chain, targets

import fastgrad as fg

pytestmark = pytest.mark.usefixtures("one_thread")

PARAMETERS = [f"{k}.{name}" for k in range(3) for name in ("weight", "bias")]


def data(rng, loss="cross_entropy", rows=22, features=5, outputs=3):
    x = rng.standard_normal((rows, features)).astype(np.float32)
    return x, targets(loss, rng, rows, outputs)


def after(train, *, loss="cross_entropy", optimizer=None, **options):
    """The bits of a model that `train` has trained, and what it returned."""
    model = chain(5, 8, 3)
    trainer = fg.Trainer(model, loss, optimizer or fg.SGD(0.1, momentum=0.9), **options)
    result = train(trainer)
    return bits(model.flat_params, *trainer.state.values()), result


@pytest.mark.parametrize(("kind", "tolerance"), [("float64", 1e-10), ("float32", 1e-4)])
def test_pytorch_trains_the_same(kind, tolerance, backend):
    known = golden("mlp")
    model = fg.Sequential(
        fg.Dense(5, 8, "tanh"), fg.Dense(8, 7, "relu"), fg.Dense(7, 3), dtype=kind
    )
    for name in PARAMETERS:
        model.params[name] = known[f"init.{name}"]
    trainer = fg.Trainer(model, "cross_entropy", fg.Adam(1e-2))
    for step, loss in enumerate(known["losses"]):
        assert trainer.step(known["X"], known["y"]) == pytest.approx(loss, rel=tolerance)
        for name in PARAMETERS if step == 0 else ():
            np.testing.assert_allclose(model.grads[name], known[f"grad.{name}"], atol=tolerance)
    for name in PARAMETERS:
        np.testing.assert_allclose(model.params[name], known[f"final.{name}"], atol=tolerance)


@pytest.mark.parametrize("size", [1, 5, 11, 21, 22, 23, 1000])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_an_epoch_is_its_steps(loss, weighted, size, rng, backend):
    x, y = data(rng, loss)
    weight = rng.uniform(0.5, 2, 22) if weighted else None
    parts = [slice(start, min(start + size, 22)) for start in range(0, 22, size)]

    def steps(trainer):
        return [
            trainer.step(x[part], y[part], None if weight is None else weight[part])
            for part in parts
        ]

    by_steps, losses = after(steps, loss=loss)
    by_epoch, mean = after(lambda t: t.epoch(x, y, size, False, weight), loss=loss)
    assert by_epoch == by_steps
    # the mean of the minibatches' losses, weighted by their rows, up to the order of its sum
    rows = [part.stop - part.start for part in parts]
    assert mean == pytest.approx(np.average(losses, weights=rows), rel=22 * 2.3e-16)


@pytest.mark.parametrize("outputs", [3, 5])
@pytest.mark.parametrize("loss", ["cross_entropy", "soft_cross_entropy", "mse"])
def test_sequences_are_many_rows(loss, outputs, rng, backend):
    """With five steps in time and five classes, labels have the shape of a row's outputs."""
    x = rng.standard_normal((12, 5, 4)).astype(np.float32)
    y = targets(loss, rng, 60, outputs)
    y = y.reshape(12, 5, *y.shape[1:])
    flat_x, flat_y = x.reshape(60, 4), y.reshape(60, *y.shape[2:])
    rows, whole, steps = (fg.Trainer(chain(4, 6, outputs), loss, fg.SGD(0.1)) for _ in range(3))
    mean = rows.epoch(flat_x, flat_y, 25, shuffle=False)
    assert whole.epoch(x, y, 5, shuffle=False) == pytest.approx(mean, rel=1e-15)
    for part in (slice(0, 5), slice(5, 10), slice(10, 12)):
        steps.step(x[part], y[part])
    for trainer in (whole, steps):
        assert bits(trainer.model.flat_params) == bits(rows.model.flat_params)
        assert trainer.evaluate(x, y) == rows.evaluate(flat_x, flat_y)


class Seen(fg.Layer):
    """Keeps the minibatches that pass."""

    def __init__(self):
        self.batches = []

    def forward(self, x, params, train):
        self.batches.append(x[:, 0].tolist())
        return x

    def backward(self, dy, params, grads):
        return dy


def test_shuffled_rows_are_all_rows_once():
    def seen(rng, shuffle=True):
        layer = Seen()
        trainer = fg.Trainer(fg.Sequential(layer, fg.Dense(1, 1), rng=0), "mse", rng=rng)
        for _ in range(3):
            trainer.epoch(np.arange(20.0)[:, None], np.zeros(20), 6, shuffle)
        assert [len(batch) for batch in layer.batches] == 3 * [6, 6, 6, 2]
        rows = np.concatenate(layer.batches).reshape(3, 20)
        assert (np.sort(rows) == np.arange(20)).all()
        return rows.tolist()

    shuffled = seen(0)
    assert seen(0) == shuffled != seen(1)
    assert len({tuple(order) for order in shuffled}) == 3
    assert seen(np.random.default_rng(0)) == shuffled
    assert seen(0, shuffle=False) == 3 * [[*range(20)]]


def gradient(loss, x, y, weight=None):
    model = chain(5, 8, 3, dtype="float64")
    value = fg.Trainer(model, loss, "sgd").step(x, y, weight)
    return np.concatenate([[value], model.flat_grads])


@pytest.mark.parametrize("loss", LOSSES)
def test_weights_count_rows(loss, rng):
    x, y = data(rng, loss)
    same = {
        "none": (x, y, None, x, y, np.full(22, 3.0)),
        "twice": (np.r_[x, x[:2]], np.r_[y, y[:2]], None, x, y, np.r_[2, 2, np.ones(20)]),
        "absent": (x[4:], y[4:], None, x, y, np.r_[np.zeros(4), np.ones(18)]),
    }
    for case, (x1, y1, w1, x2, y2, w2) in same.items():
        assert_close(
            gradient(loss, x1, y1, w1), gradient(loss, x2, y2, w2), np.float64, 24 * 8, case
        )
        values = [
            fg.Trainer(chain(5, 8, 3, dtype="float64"), loss).evaluate(*given)
            for given in ((x1, y1, w1), (x2, y2, w2))
        ]
        assert values[0] == pytest.approx(values[1], rel=1e-13)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_minibatch_without_weight_teaches_nothing(loss, rng, backend):
    x, y = data(rng, loss)
    weight = np.ones(22)
    weight[5:10] = 0
    kept = np.r_[:5, 10:22]
    sparse, dense = (fg.Trainer(chain(5, 8, 3), loss, fg.SGD(0.1)) for _ in range(2))
    mean = sparse.epoch(x, y, 5, shuffle=False, sample_weight=weight)
    assert mean == pytest.approx(dense.epoch(x[kept], y[kept], 5, shuffle=False) * 17 / 22)
    assert bits(sparse.model.flat_params) == bits(dense.model.flat_params)


def test_a_class_weight_is_the_weight_of_its_rows(rng):
    x, y = data(rng)
    by_class = np.array([0.5, 3.0, 0.0])
    weighted = gradient(fg.CrossEntropy(by_class), x, y)
    assert_close(weighted, gradient("cross_entropy", x, y, by_class[y]), np.float64, 22 * 8)
    both = gradient(fg.CrossEntropy(by_class), x, y, np.arange(1.0, 23))
    rows = gradient("cross_entropy", x, y, np.arange(1.0, 23) * by_class[y])
    assert_close(both, rows, np.float64, 22 * 8)


def test_one_hot_targets_are_classes(rng):
    x, y = data(rng)
    assert_close(
        gradient("cross_entropy", x, np.eye(3)[y]), gradient("cross_entropy", x, y), np.float64, 60
    )
    trainer = fg.Trainer(chain(5, 8, 3), "cross_entropy")
    assert trainer.evaluate(x, np.eye(3)[y]) == pytest.approx(trainer.evaluate(x, y), rel=1e-6)


def test_a_column_of_targets_may_leave_out_its_axis(rng):
    x, y = data(rng, "mse", outputs=1)
    trained = [fg.Trainer(chain(5, 8, 1), "mse") for _ in range(2)]
    assert trained[0].epoch(x, y, 5, False) == trained[1].epoch(x, y[:, 0], 5, False)
    assert bits(trained[0].model.flat_params) == bits(trained[1].model.flat_params)


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "binary_cross_entropy", "cross_entropy"])
def test_every_loss_learns(loss, rng, backend):
    """The sign of a product, of which a linear model learns nothing."""
    x = rng.uniform(-1, 1, (256, 2))
    positive = np.prod(x, axis=1) > 0
    x += 0.2 * np.sign(x)
    classes = loss == "cross_entropy"
    trainer = fg.Trainer(chain(2, 16, 2 if classes else 1), loss, fg.Adam(0.02), rng=0)
    y = positive.astype(int if classes else float)
    start = trainer.evaluate(x, y)
    for _ in range(100):
        trainer.epoch(x, y, 32)
    z = trainer.model.predict(x)
    guess = z.argmax(axis=1) if classes else z[:, 0] > (0 if "binary" in loss else 0.5)
    assert (guess == positive).mean() > 0.95
    assert trainer.evaluate(x, y) < start / 3


def test_a_new_rate_takes_effect(rng):
    x, y = data(rng)

    def slowed(trainer):
        trainer.epoch(x, y, 5, shuffle=False)
        trainer.optimizer.lr = 1e-3
        trainer.epoch(x, y, 5, shuffle=False)
        before = trainer.model.flat_params.copy()
        trainer.optimizer.lr = 1e-30
        trainer.step(x, y)
        assert bits(trainer.model.flat_params) == bits(before)

    assert after(slowed)[0] != after(lambda t: [t.epoch(x, y, 5, False) for _ in range(2)])[0]
    with pytest.raises(ValueError, match="lr"):
        after(lambda t: setattr(t.optimizer, "lr", float("nan")))


def test_an_optimizer_may_serve_two_trainers(rng):
    x, y = data(rng)
    optimizer = fg.Adam(0.01)
    trainers = [fg.Trainer(chain(5, 8, 3), "cross_entropy", optimizer) for _ in range(2)]
    for _ in range(3):
        values = {trainer.step(x, y) for trainer in trainers}
        assert len(values) == 1


def test_data_stay_as_they_are(rng):
    x, y = data(rng)
    weight = rng.uniform(size=22)
    before = bits(x, y, weight)
    after(lambda t: [t.epoch(x, y, 5, True, weight), t.step(x, y), t.evaluate(x, y)])
    assert bits(x, y, weight) == before


def test_data_may_change_between_epochs(rng):
    """The program of an epoch is kept, and so is the place of its arrays, but not their values."""
    x, y = data(rng)
    other_x, other_y = data(rng)

    def twice(x, y):
        def train(trainer):
            trainer.epoch(x, y, 5, shuffle=False)
            x[...], y[...] = other_x, other_y
            trainer.epoch(x, y, 5, shuffle=False)

        return after(train)[0]

    for kind in (np.float32, np.float64):
        fresh = after(lambda t: [t.epoch(*d, 5, False) for d in ((x, y), (other_x, other_y))])[0]
        assert twice(x.astype(kind), y.copy()) == fresh


@pytest.mark.parametrize("name", ["loss", "optimizer", "clips"])
def test_what_is_recorded_cannot_be_exchanged(name):
    trainer = fg.Trainer(chain(5, 8, 3), "cross_entropy")
    with pytest.raises(AttributeError, match=name):
        setattr(trainer, name, None)


def test_momentum_that_comes_too_late_is_refused():
    optimizer = fg.SGD(0.1)
    trainer = fg.Trainer(chain(5, 8, 3), "mse", optimizer)
    optimizer.momentum = 0.9
    before = bits(trainer.model.flat_params)
    with pytest.raises(ValueError, match="needs velocity"):
        trainer.step(np.ones((4, 5)), np.ones((4, 3)))
    assert bits(trainer.model.flat_params) == before


def test_a_trainer_says_that_it_cannot_be_copied():
    trainer = fg.Trainer(chain(5, 3), "mse")
    for attempt in (copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="a Trainer points into memory"):
            attempt(trainer)


def test_a_mistyped_setting_of_an_optimizer_is_refused():
    optimizer = fg.Adam()
    with pytest.raises(AttributeError, match="Adam has no 'learning_rate'; it has lr, betas"):
        optimizer.learning_rate = 0.1
    assert "learning_rate" not in optimizer.config()
