"""`GradientError`: where it points, and that it leaves the last good step behind, bit for bit."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
from nets import bits, chain

import fastgrad as fg

# NumPy, and so the reference, says where numbers overflow
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

WIDTHS = 60, 700, 3  # five rows are enough work for two threads
X = np.random.default_rng(0).standard_normal((22, 60)).astype(np.float32)
Y = np.random.default_rng(1).standard_normal((22, 3)).astype(np.float32)
PARTS = [slice(start, min(start + 5, 22)) for start in range(0, 22, 5)]  # the last one is ragged


class Poison(fg.Layer):
    """The identity, until a given backward pass writes something else into its gradients."""

    def __init__(self, at=0, value=np.nan, own=False):
        self.at, self.value, self.own = at, value, own

    def parameters(self):
        return {"scale": ((700,), fg.initializers.ones())}

    def forward(self, x, params, train):
        return x

    def backward(self, dy, params, grads):
        bad = self.at == 0
        self.at -= 1
        grads["scale"][...] = 0
        target = grads["scale"] if self.own else dy
        if bad:
            target.flat[-1] = self.value
        return dy


def poisoned(at, **how):
    return fg.Sequential(fg.Dense(60, 700), Poison(at, **how), fg.Dense(700, 3), rng=0)


def broken(name, place, value, **options):
    model = chain(60, 700, 7, 3, **options)
    model.params[name][place] = value
    return model


# What fails; the rate; the step (None: some later one), layer, tensor, and a word of the message.
CASES = {
    "the rate is far too large": (
        lambda: chain(*WIDTHS, dtype="float64"), 1e60, None, 1, None, "layer 1"
    ),
    "an infinite weight": (
        lambda: broken("1.weight", (2, 3), np.inf, activation="identity"), 0.1, 0, 1, None, "output"
    ),
    "an infinite weight before a bounded activation": (
        lambda: broken("1.weight", (2, 3), np.inf), 0.1, 0, 0, "0.bias", "gradient"
    ),
    "a weight that is NaN": (lambda: broken("0.weight", 0, np.nan), 0.1, 0, 0, None, "output"),
    "an infinite bias": (lambda: broken("2.bias", 0, -np.inf), 0.1, 0, 2, None, "output"),
    "a large bias": (
        lambda: broken("2.bias", 0, 1e200, dtype="float64"), 0.1, 0, 2, None, "the loss is inf"
    ),
    "dx is NaN": (lambda: poisoned(2), 0.1, 2, 0, "0.bias", "gradient of 0.bias"),
    "dx is infinite": (lambda: poisoned(3, value=np.inf), 0.1, 3, 0, "0.bias", "gradient"),
    "dx is NaN in the ragged minibatch": (lambda: poisoned(4), 0.1, 4, 0, "0.bias", "gradient"),
    "dx is NaN in the second epoch": (lambda: poisoned(6), 0.1, 6, 0, "0.bias", "gradient"),
    "a gradient of a layer's own": (lambda: poisoned(1, own=True), 0.1, 1, 1, "1.scale", "1.scale"),
}  # fmt: skip


def trainer_of(make, rate):
    """With clips that remember every step, and change none."""
    clips = [fg.ClipNorm(1e300), fg.AutoClip(100, window=3), fg.ZClip(1e300, warmup=2)]
    return fg.Trainer(make(), "mse", fg.SGD(rate, momentum=0.5), clips, rng=0)


def everything(trainer):
    """But for where the epoch of the clips' accounts began."""
    arrays = trainer.arrays().items()
    return bits(*(a[0] if name.endswith(".report") else a for name, a in arrays)), trainer.steps


def epochs(trainer):
    for _ in range(20):
        trainer.epoch(X, Y, 5, shuffle=False)


@pytest.mark.parametrize("case", CASES)
def test_it_points_at_the_place_and_keeps_the_last_good_step(case, engine):
    make, rate, step, layer, tensor, word = CASES[case]
    trainer = trainer_of(make, rate)
    with pytest.raises(fg.GradientError, match=word) as caught:
        epochs(trainer)
    error = caught.value
    assert (error.layer, error.tensor) == (layer, tensor)
    assert error.step == trainer.steps
    assert error.step > 0 if step is None else error.step == step
    assert str(error).startswith(f"step {error.step}: ")

    again = trainer_of(make, rate)
    for part in itertools.islice(itertools.cycle(PARTS), error.step):
        again.step(X[part], Y[part])
    assert everything(again) == everything(trainer)

    part = PARTS[error.step % 5]
    with pytest.raises(fg.GradientError) as caught:
        again.step(X[part], Y[part])
    assert str(caught.value) == str(error)
    assert everything(again) == everything(trainer)


TALL = np.random.default_rng(2).standard_normal((400, 40)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "value", "layer", "tensor"),
    [("2.weight", 1e30, 0, "0.bias"), ("1.weight", np.nan, 1, None)],
    ids=["backward", "forward"],
)
def test_in_a_batch_that_threads_share_by_rows(name, value, layer, tensor, engine):
    """They learn of it where they meet next, still before the parameters are touched."""
    model = chain(40, 60, 60, 60, 4, activation="identity", rng=0)
    trainer = fg.Trainer(model, fg.losses.Huber(), fg.SGD(0.1), rng=0)
    target = np.zeros((400, 4), np.float32)
    trainer.epoch(TALL, target, 200)
    if value == 1e30:  # what comes of TALL in the first layers is 0, and its gradient is not
        model.params["0.weight"][...] = 0
        model.params["0.bias"][...] = 0
        model.params["1.weight"][...] *= 1e30
    model.params[name][...] *= value
    before = bits(model.flat_params)
    with pytest.raises(fg.GradientError) as caught:
        trainer.epoch(TALL, target, 200)
    assert (caught.value.layer, caught.value.tensor) == (layer, tensor)
    assert bits(model.flat_params) == before


def test_training_goes_on_after_a_passing_fault(backend, one_thread):
    trainer, sound = trainer_of(lambda: poisoned(7), 0.1), trainer_of(lambda: poisoned(-1), 0.1)
    with pytest.raises(fg.GradientError):
        epochs(trainer)
    for one in (trainer, sound):
        for part in PARTS if one is trainer else (PARTS + PARTS[:2] + PARTS):
            one.optimizer.lr = 0.01 if one.steps >= 7 else 0.1
            one.step(X[part], Y[part])
    assert everything(trainer) == everything(sound)


def test_training_goes_on_from_older_parameters_with_a_smaller_rate(backend, one_thread):
    """The step that went too far was itself a good one: its parameters alone do not help."""
    model = chain(*WIDTHS, dtype="float64")
    start = model.flat_params.copy()
    trainer = fg.Trainer(model, "mse", fg.SGD(1e60))
    before = trainer.evaluate(X, Y)
    with pytest.raises(fg.GradientError):
        epochs(trainer)
    assert np.isfinite(model.flat_params).all()
    trainer.optimizer.lr = 0.005
    with pytest.raises(fg.GradientError):
        epochs(trainer)
    model.flat_params[...] = start
    epochs(trainer)
    assert trainer.evaluate(X, Y) < before


def test_nan_written_into_data_that_were_good_is_noticed(backend, one_thread):
    """Data are searched once; after that their own gradients tell."""
    trainer = fg.Trainer(chain(60, 8, 3, activation="relu"), "mse")
    x = X.copy()
    trainer.epoch(x, Y, 5)
    x[13, 7] = np.nan
    with pytest.raises(fg.GradientError):
        trainer.epoch(x, Y, 5)
    assert np.isfinite(trainer.model.flat_params).all()
    with pytest.raises(ValueError, match=r"X has 1 values that are not finite.* row 13, column 7"):
        trainer.epoch(x.copy(), Y, 5)


def test_a_gradient_may_overflow_where_the_loss_does_not(dtype, backend, one_thread):
    largest = float(np.finfo(dtype).max)
    trainer = fg.Trainer(fg.Sequential(fg.Dense(2, 3, weight_init="zeros"), dtype=dtype), "mse")
    with pytest.raises(fg.GradientError) as caught:
        trainer.step(np.full((9, 2), largest**0.8), np.full((9, 3), largest**0.3))
    assert (caught.value.step, caught.value.layer, caught.value.tensor) == (0, 0, "0.weight")


class Source(fg.Layer):
    """A backward pass that starts here, with whatever `dy` is."""

    dy = None

    def forward(self, x, params, train):
        return x

    def backward(self, dy, params, grads):
        return self.dy


@pytest.mark.parametrize(
    ("rows", "inputs", "outputs"), [(1, 1, 1), (7, 17, 35), (14, 35, 17), (3, 530, 2), (90, 70, 66)]
)
def test_no_element_of_a_gradient_is_overlooked(rows, inputs, outputs, engine):
    """One element of dw at a time overflows; corners, and some places in between."""
    source, rng = Source(), np.random.default_rng(0)
    dense = fg.Dense(inputs, outputs, bias=False, weight_init="zeros")
    trainer = fg.Trainer(fg.Sequential(dense, source), "mse", "sgd")
    corners = itertools.product((0, rows - 1), (0, inputs - 1), (0, outputs - 1))
    inside = rng.integers((rows, inputs, outputs), size=(50, 3)).tolist()
    for n, i, o in {*corners, *map(tuple, inside)}:
        x, source.dy = np.zeros((rows, inputs)), np.zeros((rows, outputs))
        x[n, i], source.dy[n, o] = 1e25, 1e25
        with pytest.raises(fg.GradientError, match=r"gradient of 0\.weight"):
            trainer.step(x, np.zeros((rows, outputs)))
        assert np.argwhere(~np.isfinite(trainer.model.grads["0.weight"])).tolist() == [[o, i]]
    assert not trainer.model.flat_params.any()


def test_it_can_be_pickled():
    error = fg.GradientError("step 3: why", 3, 1, "1.weight")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.step, again.layer, again.tensor) == ("step 3: why", 3, 1, "1.weight")
    assert isinstance(again, ArithmeticError)
