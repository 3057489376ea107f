"""Provenance: the first producer of a number that is not finite, whatever it is that fails."""

from __future__ import annotations

import itertools
import pickle
import threading

import numpy as np
import pytest
from nets import bits

import fastgrad as fg
from fastgrad import stepping

# NumPy, and so the reference, says where numbers overflow
pytestmark = [
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.usefixtures("one_thread"),
]

N, BAD = 6, 4  # rows, and the one that is to blame
X = np.random.default_rng(0).standard_normal((N, 5)).astype(np.float32)
Y = np.random.default_rng(1).standard_normal((N, 3)).astype(np.float32)


def with_row(x, values):
    """The same with something else in the row to blame."""
    found = np.array(x)
    found[BAD] = values
    return found


def filled(model, values):
    """The model with these in place of its parameters: arrays, or pairs of place and value."""
    for name, value in values.items():
        place, put = value if isinstance(value, tuple) else (..., value)
        model.params[name][place] = put
    return model


class Faulty(fg.Layer):
    """The identity, but for a NaN in one of the passes."""

    def __init__(self, where, sample=BAD):
        self.where, self.sample = where, sample

    def _passed(self, array, where):
        found = array.copy()
        if where == self.where:
            found[self.sample, ..., 1] = np.nan
        return found

    def forward(self, x, params, train):
        return self._passed(x, "forward")

    def backward(self, dy, params, grads):
        return self._passed(dy, "backward")


class Once(fg.Layer):
    """Fails at its first backward pass, and never again."""

    seen = 0

    def forward(self, x, params, train):
        return x

    def backward(self, dy, params, grads):
        self.seen += 1
        return dy * (np.nan if self.seen == 1 else 1)


class Locked(Faulty):
    """What no copy can be made of."""

    def __init__(self):
        super().__init__("forward")
        self.lock = threading.Lock()


def dense(*widths, activation="tanh", **options):
    pairs = list(itertools.pairwise(widths))
    layers = [fg.Dense(a, b, activation) for a, b in pairs[:-1]] + [fg.Dense(*pairs[-1])]
    return fg.Sequential(*layers, rng=0, **options)


def nested(path, value):
    """A chain within branches within a block, with a weight that is not finite."""
    inner = fg.Sequential(fg.Dense(4, 4, "tanh"), fg.Dense(4, 4), rng=1)
    block = fg.Residual(fg.Parallel(fg.Dense(4, 4), inner, merge="sum"), fg.Activation("tanh"))
    model = fg.Sequential(fg.Dense(5, 4), block, fg.Dense(4, 3), rng=0)
    model.params[path].flat[5] = value
    return model


def overflowing_branch():
    """Of two branches the second one overflows, in the second of its layers."""
    inner = fg.Sequential(fg.Dense(5, 4, weight_init="ones"), fg.Dense(4, 2), rng=1)
    inner.params["1.weight"][...] = 1e4
    return fg.Sequential(fg.Parallel(fg.Dense(5, 2), inner), fg.Dense(4, 3), rng=0)


def large_sum():
    """The two ways of a block are finite, and their sum is not."""
    block = fg.Residual(fg.Dense(5, 5, weight_init=np.eye(5), bias=False))
    return fg.Sequential(block, fg.Dense(5, 3), rng=0)


def silent_explosion():
    """Zero weights below hide it from the forward pass; the way back multiplies by 1e20 twice."""
    model = dense(5, 4, 4, 3, activation="identity")
    model.params["0.weight"][...] = 0
    model.params["1.weight"][...] = model.params["2.weight"][...] = 1e20
    return model


# model, x, y, loss, and what must be found
CASES = {
    "a weight that is NaN": lambda: (
        filled(dense(5, 4, 4, 3), {"1.weight": ((2, 3), np.nan)}), X, Y, "mse",
        {"kind": "nan", "operation": "weights", "layer": "1", "tensor": "1.weight",
         "index": (2, 3), "sample": None, "backward": False, "passed_on": ("2",)},
    ),
    "an infinite bias": lambda: (
        filled(dense(5, 4, 4, 3), {"2.bias": (1, -np.inf)}), X, Y, "mse",
        {"kind": "inf", "operation": "weights", "layer": "2", "tensor": "2.bias", "index": (1,),
         "passed_on": ()},
    ),
    "an infinite weight behind a bounded activation": lambda: (
        filled(dense(5, 4, 4, 3), {"1.weight": ((2, 3), np.inf)}), X, Y, "mse",
        {"kind": "inf", "operation": "weights", "layer": "1", "tensor": "1.weight",
         "index": (2, 3), "passed_on": ("0",)},
    ),
    "a product that overflows": lambda: (
        filled(dense(5, 4, 4, 3, activation="relu"), {"1.weight": 1e4, "0.weight": 1.0}),
        with_row(X, 1e35), Y, "mse",
        {"kind": "inf", "operation": "product", "layer": "1", "tensor": "output", "sample": BAD,
         "index": (BAD, 0), "passed_on": ("2",), "largest": {"input": 5e35, "1.weight": 1e4}},
    ),
    "an activation of a finite sum": lambda: (
        fg.Sequential(fg.Dense(5, 4, "selu", weight_init="ones"), fg.Dense(4, 3), rng=0),
        with_row(X * 0, [3.3e38, 0, 0, 0, 0]), Y, "mse",
        {"kind": "inf", "operation": "activation", "layer": "0", "sample": BAD,
         "index": (BAD, 0), "passed_on": ("1",), "near": "input"},
    ),
    "an activation of its own": lambda: (
        fg.Sequential(fg.Activation("selu"), fg.Dense(5, 3), rng=0),
        with_row(X, [0, 0, 3.3e38, 0, 0]), Y, "mse",
        {"kind": "inf", "operation": "activation", "layer": "0", "sample": BAD,
         "index": (BAD, 2), "passed_on": ("1",)},
    ),
    "batch norm with a large weight": lambda: (
        filled(fg.Sequential(fg.BatchNorm(5), fg.Dense(5, 3), rng=0), {"0.weight": (3, 3e38)}),
        with_row(X, 100), Y, "mse",
        {"kind": "inf", "operation": "normalization", "layer": "0", "sample": BAD,
         "index": (BAD, 3), "passed_on": ("1",), "near": "0.weight"},
    ),
    "layer norm with a large weight": lambda: (
        filled(fg.Sequential(fg.LayerNorm(5), fg.Dense(5, 3), rng=0), {"0.weight": (3, 3e38)}),
        with_row(np.tile([1.0, -1, 1, 0, -1], (N, 1)), [0, 0, 0, 9, 0]), Y, "mse",
        {"kind": "inf", "operation": "normalization", "layer": "0", "sample": BAD,
         "index": (BAD, 3), "passed_on": ("1",)},
    ),
    "the loss": lambda: (
        filled(dense(5, 3, dtype="float64"), {"0.weight": 0.0, "0.bias": 0.0}), X,
        with_row(Y.astype(float), [0, 1e200, 0]), "mse",
        {"kind": "inf", "operation": "loss", "layer": None, "sample": BAD, "index": (BAD, 1),
         "passed_on": (), "largest": {"target": 1e200}},
    ),
    "outputs that are too large for the loss": lambda: (
        filled(dense(5, 3), {"0.weight": np.outer([0, 0, 1], [1, 0, 0, 0, 0])}),
        with_row(X * 0, [3e38, 0, 0, 0, 0]), with_row(Y, -3e38), "mse",
        {"kind": "inf", "operation": "loss", "layer": None, "tensor": "gradient of the output",
         "sample": BAD, "index": (BAD, 2), "passed_on": (), "near": "target"},
    ),
    "the gradient of a weight": lambda: (
        filled(dense(5, 3), {"0.weight": 0.0}), with_row(X, [0, 0, 1e30, 0, 0]),
        with_row(Y, [0, 1e12, 0]), "mse",
        {"kind": "inf", "operation": "gradient product", "layer": "0", "tensor": "0.weight",
         "sample": BAD, "index": (1, 2), "backward": True, "passed_on": (),
         "largest": {"input": 1e30}},
    ),
    "gradients that explode on their way back": lambda: (
        silent_explosion(), X, with_row(np.zeros((N, 3)), 1), "mse",
        {"kind": "inf", "operation": "gradient product", "layer": "1", "sample": BAD,
         "tensor": "gradient of the input", "backward": True, "passed_on": ("0",)},
    ),
    "a layer in Python, forward": lambda: (
        fg.Sequential(fg.Dense(5, 4), Faulty("forward"), fg.Dense(4, 3), rng=0), X, Y, "mse",
        {"kind": "nan", "operation": "Python layer", "layer": "1", "sample": BAD,
         "index": (BAD, 1), "passed_on": ("2",), "backward": False},
    ),
    "a layer in Python, backward": lambda: (
        fg.Sequential(fg.Dense(5, 4), Faulty("backward"), fg.Dense(4, 3), rng=0), X, Y, "mse",
        {"kind": "nan", "operation": "Python layer", "layer": "1", "sample": BAD,
         "index": (BAD, 1), "passed_on": ("0",), "backward": True},
    ),
    "a weight deep inside": lambda: (
        nested("1.0.1.1.weight", np.nan), X, Y, "mse",
        {"kind": "nan", "operation": "weights", "layer": "1.0.1.1", "tensor": "1.0.1.1.weight",
         "index": (1, 1), "passed_on": ("1.0", "1.1", "1", "2")},
    ),
    "a branch that overflows": lambda: (
        overflowing_branch(), with_row(X, 1e35), Y, "mse",
        {"kind": "inf", "operation": "product", "layer": "0.1.1", "sample": BAD,
         "passed_on": ("0", "1")},
    ),
    "two finite ways with an infinite sum": lambda: (
        large_sum(), with_row(X, [0, 0, 0, 2e38, 0]), Y, "mse",
        {"kind": "inf", "operation": "sum", "layer": "0", "sample": BAD, "index": (BAD, 3),
         "passed_on": ("1",)},
    ),
    "a vector of a table": lambda: (
        filled(
            fg.Sequential(fg.Embedding(9, 4), fg.Dense(4, 3), rng=0),
            {"0.weight": ((7, 2), np.nan)},
        ), with_row(np.arange(N), 7), Y, "mse",
        {"kind": "nan", "operation": "weights", "layer": "0", "tensor": "0.weight",
         "index": (7, 2), "sample": BAD, "passed_on": ("1",)},
    ),
    "a cross entropy": lambda: (
        filled(dense(5, 3), {"0.weight": (0, np.inf)}), abs(X), np.zeros(N, int), "cross_entropy",
        {"kind": "inf", "operation": "weights", "layer": "0", "tensor": "0.weight"},
    ),
}  # fmt: skip


def check(found, wanted):
    wanted = dict(wanted)
    for name, value in wanted.pop("largest", {}).items():
        np.testing.assert_allclose(found.inputs[name].largest, value, rtol=1e-5)
    near = wanted.pop("near", None)
    if near is not None:
        assert found.inputs[near].near_overflow
    assert {name: getattr(found, name) for name in wanted} == wanted
    assert str(found).startswith(f"step {found.step}: {found.cause}")


@pytest.mark.parametrize("case", CASES)
def test_the_first_producer_is_named(case, backend):
    model, x, y, loss, wanted = CASES[case]()
    check(fg.health.provenance(model, x, y, loss), wanted)

    trainer = fg.Trainer(model, loss, rng=0)
    with pytest.raises(fg.GradientError) as caught:
        trainer.step(x, y)
    found = caught.value.provenance
    check(found, wanted)
    assert str(caught.value).endswith(f"; {found.cause}")
    assert trainer.provenance() == found
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.provenance) == (str(caught.value), found)


# rows that fail in minibatches of two as well, and by themselves
OF_ONE_ROW = [
    case
    for case, made in CASES.items()
    if made()[4].get("sample") == BAD and "Python" not in case and "batch norm" not in case
]


@pytest.mark.parametrize("case", OF_ONE_ROW)
def test_an_epoch_says_which_row_it_was(case, backend):
    model, x, y, loss, wanted = CASES[case]()
    trainer = fg.Trainer(model, loss, fg.SGD(1e-300), rng=3)
    with pytest.raises(fg.GradientError) as caught:
        trainer.epoch(x, y, batch_size=2)
    found = caught.value.provenance
    check(found, {"row": BAD, "kind": wanted["kind"], "operation": wanted["operation"]})
    order = np.arange(N)
    np.random.default_rng(3).shuffle(order)
    at = order.tolist().index(BAD)
    assert (found.step, found.sample) == divmod(at, 2)
    assert found.recent == tuple(
        (step, tuple(order[2 * step : 2 * step + 2].tolist())) for step in range(at // 2)
    )


def everything(trainer):
    """All that a later step, or a user, could see."""
    model = trainer.model
    arrays = [*trainer.arrays().values(), model.flat_grads]
    states = [a for s in model._memory.of(N).values() for a in (s.initial, s.final)]
    return bits(*arrays, *states), trainer.stepper.numbers(), trainer.rng.bit_generator.state


@pytest.mark.parametrize("case", CASES)
def test_nothing_changes(case, backend, monkeypatch):
    """Neither by looking, nor by what is done when the error is raised."""
    seen = []
    for looks in (True, False):
        model, x, y, loss, _ = CASES[case]()
        if not looks:
            monkeypatch.setattr(stepping, "explained", lambda error, snapshot: error)
        trainer = fg.Trainer(model, loss, rng=0, on_nonfinite=fg.Skip(1))
        trainer.step(x, y)
        if looks:
            before = everything(trainer)
            trainer.provenance()
            fg.health.provenance(model, x, y, loss)
            assert everything(trainer) == before
        with pytest.raises(fg.GradientError):
            trainer.step(x, y)
        seen.append(everything(trainer))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("seed", range(8))
def test_the_replay_drops_what_the_step_has_dropped(seed, backend):
    """The only large input overflows in the first step that does not drop it."""
    model = fg.Sequential(fg.Dropout(0.5), fg.Dense(5, 3), rng=seed)
    trainer = fg.Trainer(model, "mse", fg.SGD(1e-300), rng=seed)
    x = with_row(X * 0, [0, 0, 3e38, 0, 0])
    with pytest.raises(fg.GradientError) as caught:
        trainer.epoch(np.tile(x, (60, 1)), np.tile(Y, (60, 1)), N, shuffle=False)
    wanted = {"operation": "dropout", "layer": "0", "sample": BAD, "index": (BAD, 2)}
    check(caught.value.provenance, wanted | {"passed_on": ("1",), "step": trainer.steps})


def test_a_column_without_variance():
    """Where denormal numbers count as 0, as in a replay, there is nothing to divide by."""
    model = fg.Sequential(fg.BatchNorm(5, eps=1e-310), fg.Dense(5, 3), rng=0, dtype="float64")
    x = np.array(X, float)
    x[:, 3] = 2
    found = fg.health.provenance(model, x)
    check(found, {"operation": "normalization", "layer": "0", "sample": None, "passed_on": ("1",)})
    assert found.index[1] == 3


def test_statistics_that_are_not_finite(backend):
    model = fg.Sequential(fg.Standardize(5), fg.Dense(5, 3), rng=0)
    model.fit_input(X)
    model.buffers["0.mean"][2] = np.nan
    wanted = {"operation": "statistics", "layer": "0", "tensor": "0.mean", "index": (2,)}
    check(fg.health.provenance(model, X), wanted | {"passed_on": ("1",)})


def test_data_that_were_good_once(backend):
    trainer = fg.Trainer(dense(5, 4, 3), "mse", rng=0)
    x = X.copy()
    trainer.epoch(x, Y, 2)
    x[BAD, 3] = np.nan
    with pytest.raises(fg.GradientError) as caught:
        trainer.epoch(x, Y, 2)
    found = caught.value.provenance
    wanted = {"kind": "nan", "operation": "input data", "layer": None, "tensor": "x", "row": BAD}
    check(found, wanted | {"passed_on": ("0", "1"), "index": (found.sample, 3)})


@pytest.mark.parametrize("where", ["square", "mean"])
def test_the_state_of_the_optimizer(where, backend):
    trainer = fg.Trainer(dense(5, 4, 3), "mse", fg.Adam(1e-3), rng=0)
    trainer.epoch(X, Y, 2)
    part = next(part for part in trainer.model.parts if part.name == "1.weight")
    trainer.state[where][part.start + 6] = np.nan
    with pytest.raises(fg.GradientError) as caught:
        trainer.epoch(X, Y, 2)
    found = caught.value.provenance
    wanted = {"operation": "optimizer state", "tensor": "1.weight", "index": (1, 2), "step": 4}
    check(found, wanted | {"layer": "1", "kind": "nan"})
    assert found.inputs[where].not_finite == 1
    assert "optimizer" in found.cause


def test_the_update_of_the_optimizer(backend):
    trainer = fg.Trainer(dense(5, 4, 3), "mse", fg.SGD(1.0), rng=0)
    trainer.step(X, Y)
    trainer.optimizer.lr = 1e60
    trainer.step(X, Y)
    with pytest.raises(fg.GradientError, match="after the update of step 1, with a learning rate"):
        trainer.step(X, Y)
    check(trainer.provenance(), {"operation": "optimizer update", "step": 2})


def test_squares_that_leave_float32():
    """The compiled loss squares in the model's dtype, and adds up in float64."""
    wanted = {"kind": "inf", "operation": "loss", "layer": None, "sample": BAD, "index": (BAD, 1)}
    found = fg.health.provenance(dense(5, 3), X, with_row(Y, [0, 1e30, 0]), "mse")
    check(found, wanted | {"largest": {"target": 1e30}})


def test_a_penalty(backend):
    model = filled(dense(5, 3), {"0.weight": 0.0})
    model.params["0.weight"][1, 2] = 1e30
    trainer = fg.Trainer(model, "mse", regularizers=fg.L2(1e10))
    with pytest.raises(fg.GradientError) as caught:
        trainer.step(X * 0, Y)
    wanted = {"operation": "penalty", "layer": None, "tensor": "0.weight", "index": (1, 2)}
    check(caught.value.provenance, wanted)


def test_a_layer_that_fails_only_once(backend):
    model = fg.Sequential(fg.Dense(5, 4), Once(), fg.Dense(4, 3), rng=0)
    trainer = fg.Trainer(model, "mse")
    with pytest.raises(fg.GradientError, match="the same step, run once more, is finite") as caught:
        trainer.step(X, Y)
    assert caught.value.provenance is None
    assert model.layers[1].seen == 1


def test_a_model_that_cannot_be_copied(backend):
    trainer = fg.Trainer(fg.Sequential(fg.Dense(5, 4), Locked(), fg.Dense(4, 3), rng=0), "mse")
    with pytest.raises(fg.GradientError, match="output of layer 1") as caught:
        trainer.step(X, Y)
    assert caught.value.__notes__ == ["its origin was not looked for: the model cannot be copied"]
    assert trainer.provenance() is None


@pytest.mark.parametrize("policy", [fg.Skip(3), fg.RollBack(limit=3)], ids=repr)
def test_a_step_that_was_left_out(policy, backend):
    x = with_row(X, 1e35)
    model = filled(dense(5, 4, 3, activation="relu"), {"0.weight": 1.0, "1.weight": 1e4})
    trainer = fg.Trainer(model, "mse", fg.SGD(1e-300), on_nonfinite=policy, rng=0)
    assert trainer.provenance() is None
    trainer.epoch(x, Y, 2, shuffle=False)
    assert trainer.guard.bad == 1
    before = everything(trainer)
    found = trainer.provenance()
    check(found, {"operation": "product", "layer": "1", "row": BAD, "sample": 0, "step": 2})
    assert trainer.provenance() == found
    assert everything(trainer) == before
    assert [step for step, _ in found.recent] == [0, 1]


def test_one_of_the_minibatches_of_a_step(backend):
    model = filled(dense(5, 4, 3, activation="relu"), {"0.weight": 1.0, "1.weight": 1e4})
    trainer = fg.Trainer(model, "mse", accumulate=3, rng=0)
    with pytest.raises(fg.GradientError):
        trainer.epoch(with_row(X, 1e35), Y, 2, shuffle=False)
    check(trainer.provenance(), {"layer": "1", "row": BAD, "sample": 0, "step": 0})


def test_lbfgs(backend):
    trainer = fg.Trainer(filled(dense(5, 4, 3), {"1.weight": (0, np.nan)}), "mse", fg.LBFGS())
    with pytest.raises(fg.GradientError, match=r"parameter 1\.weight is nan"):
        trainer.epoch(X, Y)
    check(trainer.provenance(), {"operation": "weights", "tensor": "1.weight"})


def test_by_hand(backend):
    model = silent_explosion()
    assert fg.health.provenance(model, X) is None
    found = fg.health.provenance(model, X, dy=with_row(np.zeros((N, 3)), 1))
    check(found, {"layer": "1", "sample": BAD, "passed_on": ("0",), "backward": True})
    found = fg.health.provenance(dense(5, 4, 3), with_row(X, [0, np.inf, 0, 0, 0]))
    wanted = {"kind": "inf", "operation": "input data", "index": (BAD, 1), "sample": BAD}
    check(found, wanted)
    assert fg.health.provenance(dense(5, 3), X, Y, "mse") is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": Y}, "y, sample_weight and loss belong together"),
        ({"loss": "mse"}, "y, sample_weight and loss belong together"),
        ({"sample_weight": np.ones(N)}, "y, sample_weight and loss belong together"),
        ({"y": Y, "loss": "mse", "dy": Y}, "give it, or a loss, but not both"),
        ({"dy": X}, r"dy has shape \(6, 5\), needs \(6, 3\)"),
        ({"lengths": [1] * N}, "lengths"),
        ({"y": X, "loss": "mse"}, r"y has shape \(6, 5\)"),
    ],
)
def test_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        fg.health.provenance(dense(5, 3), X, **arguments)


def failed_in_its_second_epoch(**options):
    trainer = fg.Trainer(dense(5, 4, 3), "mse", rng=0, **options)
    x = X.copy()
    trainer.epoch(x, Y, 2)
    x[BAD, 3] = np.nan
    with pytest.raises(fg.GradientError) as caught:
        trainer.epoch(x, Y, 1, shuffle=False)
    return trainer, caught.value.provenance


def test_what_was_measured_before_stands_beside_it():
    trainer, found = failed_in_its_second_epoch()
    assert found.history is None
    lines = str(found).splitlines()
    rows = [f"  step {3 + row}  rows {row}" for row in range(BAD)]
    assert lines[lines.index("the steps before:") + 1 :] == rows

    _, measured = failed_in_its_second_epoch(health=True)
    assert measured.history.steps.tolist() == list(range(7))
    assert str(trainer.provenance(measured.history)) == str(measured)
    lines = str(measured).splitlines()
    lines = lines[lines.index("the steps before:") + 1 :]
    assert [line.split()[:3] for line in lines] == [["step", str(i), "loss"] for i in range(7)]
    assert [line.split()[-2:] for line in lines[3:]] == [["rows", str(row)] for row in range(BAD)]


def test_no_more_than_the_last_steps_are_kept():
    trainer = fg.Trainer(dense(5, 4, 3), "mse", rng=0, health=True)
    for _ in range(30):
        trainer.epoch(X, Y, N)
    trainer.model.params["1.weight"][0, 0] = np.nan
    with pytest.raises(fg.GradientError) as caught:
        trainer.step(X, Y)
    assert caught.value.provenance.history.steps.tolist() == list(range(10, 30))
