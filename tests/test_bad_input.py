"""Bad input: an error that says which argument, what it is and what it needs; nothing changes."""

from __future__ import annotations

import re

import numpy as np
import pytest
from nets import bits, chain

import fastgrad as fg

pytestmark = pytest.mark.usefixtures("one_thread")

X = np.random.default_rng(0).standard_normal((6, 5)).astype(np.float32)
Y = np.array([0, 1, 2, 0, 1, 2])


def spoiled(array, value, place=(2, 1), dtype=None):
    copy = np.array(array, dtype)
    copy[place[: copy.ndim]] = value
    return copy


def trained():
    """A trainer in the middle of its work."""
    trainer = fg.Trainer(chain(5, 8, 3), "cross_entropy", fg.SGD(0.1, momentum=0.9), rng=0)
    trainer.epoch(X, Y, 4)
    return trainer


def fit(t, x=X, y=Y, **options):
    options = {"loss": "cross_entropy", "progress": False, "epochs": 2} | options
    return fg.fit(t.model, x, y, **options)


def put(t, name, value):
    t.model.params[name] = value


def layers(*built):
    return lambda t: fg.Sequential(*built)


def trainer(**options):
    return lambda t: fg.Trainer(t.model, **{"loss": "mse"} | options)


def regress(y, loss="mse"):
    return lambda t: fg.Trainer(t.model, loss).step(X, y)


def forwards(x):
    return lambda t: t.model.forward(x)


def steps(x=X, y=Y, weight=None):
    return lambda t: t.step(x, y, weight)


def epochs(x=X, y=Y, **options):
    return lambda t: t.epoch(x, y, **options)


def fits(*data, **options):
    return lambda t: fit(t, *data, **options)


A, B = fg.Dense(5, 8), fg.Dense(7, 3)
NAN, INF = float("nan"), float("inf")

# What is done with a trainer, the words that the message must have, and the error, if no ValueError
CASES = {
    # x
    "one row without its axis": (forwards(X[0]), "x shape (5,) needs (N, 5)"),
    "other features": (forwards(X[:, :4]), "x shape (6, 4) needs (N, 5)"),
    "predict other features": (lambda t: t.model.predict(X.T), "X (5, 6) needs (N, 5)"),
    "no rows": (steps(X[:0], Y[:0]), "x shape (0, 5) needs"),
    "no time": (forwards(np.ones((2, 0, 5))), "x shape (2, 0, 5) needs"),
    "no rows to predict": (lambda t: t.model.predict(X[:0]), "X shape (0, 5) needs"),
    "complex": (steps(X + 1j), "x real numbers complex64", TypeError),
    "text": (steps(X.astype(str)), "x real numbers <U32", TypeError),
    "objects": (steps(X.astype(object)), "x real numbers object", TypeError),
    "none": (steps(None), "x missing None", TypeError),
    "dates": (steps(X.astype("M8[s]")), "x real numbers datetime64[s]", TypeError),
    "ragged": (steps([[1, 2], [1]]), "x array (2,)"),
    "NaN in step": (steps(spoiled(X, NAN)), "x 1 finite nan row 2, column 1"),
    "NaN in epoch": (epochs(spoiled(X, NAN)), "X 1 finite nan row 2, column 1"),
    "inf in predict": (lambda t: t.model.predict(spoiled(X, -INF)), "X finite -inf row 2"),
    "beyond float32": (forwards(spoiled(X, 1e300, dtype=float)), "x finite inf row 2"),
    "NaN in evaluate": (lambda t: t.evaluate(spoiled(X, NAN), Y), "X finite nan row 2"),
    "NaN in fit": (fits(spoiled(X, NAN)), "X finite nan row 2"),
    "NaN in a sequence": (forwards(np.full((1, 2, 5), NAN)), "x 10 nan index (0, 0, 0)"),
    # y
    "y too short": (steps(y=Y[:-1]), "y shape (5,) needs (6,)"),
    "y too long for an epoch": (epochs(y=np.r_[Y, 0]), "y shape (7,) needs (6,)"),
    "y too short for fit": (fits(X, Y[:-1]), "y shape (5,) needs (6,)"),
    "y a column": (steps(y=Y[:, None]), "y shape (6, 1) needs (6,) (6, 3)"),
    "y a number": (steps(y=1), "y shape () needs (6,)"),
    "y none": (fits(X, None), "y missing None", TypeError),
    "y ragged": (steps(y=[[1], [1, 2]]), "y array (2,)"),
    "label too high": (steps(y=spoiled(Y, 3)), "y [0, 3) 0 to 3"),
    "label too low": (epochs(y=spoiled(Y, -1)), "y [0, 3) -1 to 2"),
    "labels as floats": (steps(y=Y.astype(float)), "y integer float64", TypeError),
    "labels as bools": (steps(y=Y > 0), "y integer bool", TypeError),
    "labels as text": (steps(y=Y.astype(str)), "y real numbers <U21", TypeError),
    "one-hot of other classes": (steps(y=np.eye(4)[Y]), "y (6, 4) needs (6,) (6, 3)"),
    "one-hot below 0": (steps(y=-np.eye(3)[Y]), "y negative -1"),
    "targets of other shape": (regress(X), "y shape (6, 5) needs (6, 3)"),
    "targets NaN": (regress(spoiled(X[:, :3], NAN)), "y finite nan row 2, column 1"),
    "targets beyond float32": (regress(np.full((6, 3), 1e99)), "y 18 finite inf row 0"),
    "targets complex": (regress(np.full((6, 3), 1j)), "y real numbers complex128", TypeError),
    "targets beyond 1": (
        regress(np.full((6, 3), 1.5), "binary_cross_entropy"), "y [0, 1] 1.5"
    ),
    # weights
    "weights too short": (steps(weight=[1, 2]), "sample_weight shape (2,) needs (6,)"),
    "weights negative": (steps(weight=[-1, 0, 0, 0, 0, 1]), "sample_weight negative -1"),
    "weights all 0": (epochs(sample_weight=[0] * 6), "sample_weight not all 0 got 0 to 0"),
    "weights NaN": (steps(weight=[NAN] * 6), "sample_weight 6 finite nan row 0"),
    "weights 0 in float32": (steps(weight=[1e-60] * 6), "sample_weight not all 0"),
    "weights text": (fits(sample_weight=["a"] * 6), "sample_weight real numbers <U1", TypeError),
    "weights of sequences": (
        lambda t: t.step(np.ones((2, 3, 5)), np.ones((2, 3), int), np.ones((2, 2))),
        "sample_weight shape (2, 2) needs (2,) (2, 3)",
    ),
    "class weights too short": (
        lambda t: fg.Trainer(t.model, fg.CrossEntropy([1, 2])).step(X, Y),
        "class_weight 2 values needs 3",
    ),
    "class weights negative": (lambda t: fg.CrossEntropy([-1, 2]), "class_weight -1"),
    "class weights NaN": (lambda t: fg.CrossEntropy([NAN, 2]), "class_weight nan"),
    "class weights and one-hot": (
        lambda t: fg.Trainer(t.model, fg.CrossEntropy([1, 1, 1])).step(X, np.eye(3)[Y]),
        "class_weight integer classes",
    ),
    # backward
    "no forward before": (lambda t: chain(5, 3).backward(X), "forward(x,", RuntimeError),
    "dy of other shape": (
        lambda t: (t.model.forward(X), t.model.backward(X)), "dy shape (6, 5) needs (6, 3)"
    ),
    "dy text": (
        lambda t: (t.model.forward(X), t.model.backward("a")), "dy real numbers <U1", TypeError
    ),
    # how to train
    "batch_size 0": (epochs(batch_size=0), "batch_size at least 1 got 0"),
    "batch_size -1": (fits(batch_size=-1), "batch_size at least 1 got -1"),
    "batch_size 1.5": (epochs(batch_size=1.5), "batch_size integer got 1.5", TypeError),
    "batch_size True": (fits(batch_size=True), "batch_size integer got True", TypeError),
    "batch_size to predict": (lambda t: t.model.predict(X, 0), "batch_size got 0"),
    "batch_size without epochs": (fits(epochs=0, batch_size="4"), "batch_size got '4'", TypeError),
    "epochs -1": (fits(epochs=-1), "epochs at least 0 got -1"),
    "epochs 2.0": (fits(epochs=2.0), "epochs integer got 2.0", TypeError),
    "validation 0": (fits(validation=0), "validation (0, 1) got 0"),
    "validation 1": (fits(validation=1), "validation (0, 1) got 1"),
    "validation 1.5": (fits(validation=1.5), "validation (0, 1) got 1.5"),
    "validation True": (fits(validation=True), "validation number got True", TypeError),
    "validation text": (fits(validation="x"), "validation number got 'x'", TypeError),
    "validation of nothing": (fits(validation=0.01), "validation 0.01 6 rows 0"),
    "validation of all": (fits(validation=0.99), "validation 0.99 6 rows 0"),
    "validation of four": (fits(validation=(X, Y, Y, Y)), "validation (X, y[, lengths]) 4 items"),
    "validation with lengths of rows": (
        fits(validation=(X, Y, Y)), "lengths rows (6, 5) no sequences"
    ),
    "lengths of rows": (lambda t: t.step(X, Y, lengths=Y), "lengths rows (6, 5) no sequences"),
    "validation of other X": (
        fits(validation=(X.T, Y)), "validation X shape (5, 6) needs (N, 5)"
    ),
    "validation of other y": (fits(validation=(X, Y[:2])), "y shape (2,) needs (6,)"),
    "a bad label held out": (fits(X, spoiled(Y, 9), validation=0.5), "y [0, 3) 0 to 9"),
    "callbacks of numbers": (fits(callbacks=[5]), "callbacks functions [5]", TypeError),
    "a class for a callback": (
        fits(callbacks=[fg.EarlyStopping]),
        "callbacks class EarlyStopping(...)",
        TypeError,
    ),
    "rng text": (fits(rng="a"), "rng seed got 'a'", TypeError),
    "rng -1": (lambda t: chain(1, 1, rng=-1), "rng seed got -1"),
    "patience 0": (lambda t: fg.EarlyStopping(patience=0), "patience at least 1 got 0"),
    "min_delta -1": (lambda t: fg.EarlyStopping(min_delta=-1), "min_delta [0, inf) -1"),
    "model of another kind": (lambda t: fg.Trainer(X, "mse"), "model ndarray", TypeError),
    # losses, optimizers, clips
    "loss unknown": (trainer(loss="l2"), "loss mse huber 'l2'"),
    "loss a list": (trainer(loss=["mse"]), "loss mse ['mse']"),
    "loss a class": (trainer(loss=fg.MSE), "loss a Loss MSE"),
    "delta 0": (lambda t: fg.Huber(0), "delta (0, inf) got 0"),
    "optimizer unknown": (trainer(optimizer="adams"), "optimizer sgd adamw 'adams'"),
    "optimizer a class": (trainer(optimizer=fg.Adam), "optimizer sgd Optimizer Adam"),
    "lr 0": (lambda t: fg.SGD(0), "lr (0, inf) got 0"),
    "lr NaN": (lambda t: fg.Adam(NAN), "lr (0, inf) got nan"),
    "lr inf": (lambda t: fg.Adam(INF), "lr (0, inf) got inf"),
    "lr text": (lambda t: fg.RMSprop("1e-3"), "lr number '1e-3'", TypeError),
    "lr changed to -1": (lambda t: setattr(t.optimizer, "lr", -1), "lr (0, inf) got -1"),
    "lr changed to None": (lambda t: setattr(t.optimizer, "lr", None), "lr number None", TypeError),
    "momentum 1": (lambda t: fg.SGD(1, momentum=1), "momentum [0, 1) got 1"),
    "momentum changed": (
        lambda t: setattr(t.optimizer, "momentum", -0.1), "momentum [0, 1) got -0.1"
    ),
    "dampening 2": (lambda t: fg.SGD(1, 0.9, dampening=2), "dampening [0, 1) got 2"),
    "weight_decay": (lambda t: fg.AdamW(weight_decay=-1), "weight_decay [0, inf) got -1"),
    "alpha of RMSprop": (lambda t: fg.RMSprop(alpha=1.0), "alpha [0, 1) got 1.0"),
    "betas of 1": (lambda t: fg.Adam(betas=(0.9, 1)), "betas[1] [0, 1) got 1"),
    "betas alone": (lambda t: fg.Adam(betas=0.9), "betas pair got 0.9", TypeError),
    "eps 0": (lambda t: fg.Adam(eps=0), "eps [1.17549e-38, inf) got 0"),
    "eps below 0": (lambda t: fg.RMSprop(eps=-1e-8), "eps [1.17549e-38, inf) got -1e-08"),
    "nesterov": (
        lambda t: fg.SGD(1, nesterov=True), "nesterov momentum above 0 momentum 0.0"
    ),
    "clip a number": (trainer(clip=1.0), "clip ClipNorm(1.0) list got 1.0", TypeError),
    "clip a class": (trainer(clip=[fg.ClipNorm]), "clip ClipNorm(1.0) got class", TypeError),
    "clip at 0": (lambda t: fg.ClipValue(0), "limit (0, inf) got 0"),
    "clip below 0": (lambda t: fg.ClipNorm(-1), "max_norm (0, inf) got -1"),
    "clip at NaN": (lambda t: fg.ClipPerLayer(NAN), "max_norm (0, inf) got nan"),
    "floor text": (lambda t: fg.GradFloor("1"), "min_norm number '1'", TypeError),
    # building
    "no layers": (layers(), "at least one layer"),
    "a list of layers": (layers([A]), "layer 0 fastgrad.Layer [Dense(", TypeError),
    "a number as layer": (layers(A, 5), "layer 1 fastgrad.Layer 5", TypeError),
    "sizes that do not fit": (layers(A, B), "layer 1 Dense takes 7 layer 0 gives 8"),
    "one layer twice": (layers(A, fg.Dense(8, 5), A), "layer 2 twice"),
    "features 0": (lambda t: fg.Dense(0, 3), "inputs at least 1 got 0"),
    "features -3": (lambda t: fg.Dense(3, -3), "outputs at least 1 got -3"),
    "features 2.5": (lambda t: fg.Dense(2.5, 3), "inputs integer got 2.5", TypeError),
    "features True": (lambda t: fg.Dense(3, True), "outputs integer got True", TypeError),
    "activation unknown": (lambda t: fg.Dense(3, 4, "swish"), "activation silu 'swish'"),
    "activation a list": (lambda t: fg.Activation(["relu"]), "activation ['relu']"),
    "alpha of tanh": (lambda t: fg.Dense(3, 4, "tanh", alpha=1), "alpha elu tanh"),
    "alpha below 0": (
        lambda t: fg.Activation("elu", alpha=-1), "alpha finite at least 0 got -1"
    ),
    "initializer unknown": (
        lambda t: fg.Dense(3, 4, weight_init="he"), "weight_init Dense he_normal 'he'"
    ),
    "initializer a number": (lambda t: fg.Dense(3, 4, weight_init=1), "weight_init 1", TypeError),
    "initial weight turned": (
        layers(fg.Dense(3, 4, weight_init=np.ones((3, 4)))),
        "0.weight weight_init shape (4, 3) got (3, 4)",
    ),
    "dtype int": (lambda t: fg.Sequential(A, dtype=int), "dtype float32 int64", TypeError),
    "dtype unknown": (lambda t: fg.Sequential(A, dtype="x"), "dtype float32 'x'", TypeError),
    # parameters
    "parameter of other shape": (
        lambda t: put(t, "0.weight", X), "0.weight shape (8, 5) got (6, 5)"
    ),
    "parameter that is a number": (lambda t: put(t, "0.bias", 1), "0.bias (8,) got ()"),
    "parameter of text": (lambda t: put(t, "1.bias", ["a"] * 3), "1.bias real <U1", TypeError),
    "parameter unknown": (lambda t: put(t, "2.bias", 1), "'2.bias' 0.weight, 0.bias", KeyError),
    # all else
    "set_num_threads 0": (lambda t: fg.set_num_threads(0), "n at least 1 got 0"),
    "set_num_threads 10**6": (lambda t: fg.set_num_threads(10**6), "n at most 1024 got 1000000"),
    "use_backend": (lambda t: fg.use_backend("nope"), "backend 'nope' cython reference"),
    "use_backend level": (lambda t: fg.use_backend("cython:v9"), "level 'v9' v3", ImportError),
    "gradcheck float32": (lambda t: fg.gradcheck(t.model, X), "float64 got float32", TypeError),
    "gradcheck two inputs": (lambda t: fg.gradcheck(t.model, X, X), "one input x got 2", TypeError),
    "gradcheck no vjp": (lambda t: fg.gradcheck(np.sin, X), "vjp needed", TypeError),
    "metadata": (lambda t: t.model.save("unused", {"a": 1}), "metadata str 'a': 1", TypeError),
}  # fmt: skip


def condition(t):
    """All that must not change."""
    arrays = t.model.flat_params, t.model.flat_grads, *t.state.values()
    settings = t.steps, t.rng.bit_generator.state, repr(t.optimizer), t.model.metadata
    return bits(*arrays), settings, fg.num_threads(), fg.backends.active().name


def says(message, word):
    """Whether it is there, and not as a part of another word."""
    start, stop = (r"\b" if end.isalnum() else "" for end in (word[0], word[-1]))
    return re.search(start + re.escape(word) + stop, message)


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_explained_and_does_no_harm(case):
    act, words, kind = (*CASES[case], ValueError)[:3]
    trainer = trained()
    before = condition(trainer)
    with pytest.raises(kind) as caught:
        act(trainer)
    assert type(caught.value) is kind
    message = str(caught.value)
    missing = [word for word in words.split() if not says(message, word)]
    assert not missing, f"{missing} in: {message}"
    assert condition(trainer) == before
    assert trainer.epoch(X, Y, 4) > 0
