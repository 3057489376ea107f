"""What optimizers promise beside their formulas: config, state, hyperparameters, properties."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import bits, chain
from rounding import assert_within, rounding

import fastgrad as fg
from fastgrad import backends, optimizers
from fastgrad.arena import Arena, aligned
from fastgrad.program import Tape, Workspace

NAMES = [
    "SGD", "RMSprop", "Adagrad", "Adadelta", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "Rprop",
    "Lion", "LAMB", "LARS", "Muon",
]  # fmt: skip
OTHERS = [
    fg.SGD(0.1, momentum=0.9, nesterov=True),
    fg.RMSprop(centered=True, momentum=0.5, weight_decay=0.1),
    fg.Adagrad(lr_decay=0.1, initial_accumulator_value=0.5),
    fg.Adadelta(0.5, rho=0.8),
    fg.Adam(amsgrad=True),
    fg.AdamW(betas=(0.5, 0.6), amsgrad=True),
    fg.NAdam(decoupled_weight_decay=True, weight_decay=0.1),
    fg.RAdam(betas=(0.5, 0.6), decoupled_weight_decay=True, weight_decay=0.1),
    fg.Rprop(etas=(0.4, 1.3), step_sizes=(1e-3, 1.0)),
    fg.LARS(momentum=0.0, weight_decay=0.1),
    fg.Muon(adjust_lr_fn="match_rms_adamw", nesterov=False, adamw_lr=0.1),
    fg.LBFGS(history=3),
]
ALL = [*map(optimizers.get, map(str.lower, NAMES)), *OTHERS]
STEPPING = [optimizer for optimizer in ALL if not isinstance(optimizer, fg.LBFGS)]
every = pytest.mark.parametrize("optimizer", ALL, ids=repr)
stepping = pytest.mark.parametrize("optimizer", STEPPING, ids=repr)
SHAPES = {"0.weight": (5, 3), "0.bias": (5,), "1.weight": (7, 5), "1.bias": (7,)}
SHAPES |= {"2.weight": (2, 7)}


class Steps:
    """An optimizer at work on some tensors."""

    def __init__(self, optimizer, dtype="float32", backend=None, shapes=SHAPES, threads=1):
        arenas = Arena(shapes, dtype), Arena(shapes, dtype)
        self.params, self.grads = (arena.flat for arena in arenas)
        self.used = np.concatenate([np.arange(p.start, p.stop) for p in arenas[0].parts])
        self.parts = [p if p.name != "1.weight" else _hidden(p) for p in arenas[0].parts]
        self.params[self.used] = np.random.default_rng(0).standard_normal(self.used.size)
        self.optimizer, self.threads = optimizer, threads
        self.state = optimizer.state(self.params, self.parts)
        self.hyper, self.step = np.array(optimizer.hyper()), np.zeros(1, np.int64)
        ops = backends.load(backend or "cython")
        tape = Tape(ops, Workspace(), dtype)
        optimizer.record(
            tape, self.grads, self.params, self.state, self.hyper, self.step, self.parts
        )
        self.program = ops.program([tape.take()], np.zeros(1, np.int64), tape.keep)

    def __call__(self, gradient, factor=1.0):
        self.grads[self.used] = gradient
        optimizers.read_hyper(self.optimizer, self.state, self.hyper)
        self.hyper[0] *= factor
        self.program.run([1], self.threads)
        self.step[0] += 1
        return self.params[self.used]

    def bits(self):
        return bits(self.params, *self.state.values())


def _hidden(part):
    return type(part)(part.name, part.start, part.shape, hidden=True)


def gradients(steps=5, size=None, seed=0):
    size = sum(int(np.prod(shape)) for shape in SHAPES.values()) if size is None else size
    return np.random.default_rng(seed).standard_normal((steps, size))


@every
def test_config_makes_the_same_again(optimizer):
    config = json.loads(json.dumps(optimizer.config()))
    again = optimizers.from_config(config)
    assert type(again) is type(optimizer)
    assert vars(again) == vars(optimizer)
    assert again.hyper() == optimizer.hyper()
    assert json.loads(json.dumps(again.config())) == config
    assert repr(again) == repr(optimizer)


@pytest.mark.parametrize("name", NAMES)
def test_names(name):
    optimizer = optimizers.get(name.lower())
    assert type(optimizer) is getattr(fg, name)
    assert optimizers.get(optimizer) is optimizer


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "optimizer"),
        ({"name": "Adams"}, "Adams"),
        ({"name": "Adam", "momentum": 0.9}, "momentum"),
        ({"name": "SGD"}, "lr"),
        ({"name": "Adam", "lr": -1}, "lr"),
        ({"name": "Adam", "betas": [0.9]}, "betas"),
        ("Adam", "optimizer"),
    ],
    ids=str,
)
def test_a_bad_config(config, words):
    with pytest.raises((ValueError, TypeError), match=words):
        optimizers.from_config(config)


@stepping
def test_the_first_number_is_lr(optimizer):
    assert optimizer.hyper()[0] == optimizer.lr
    place = optimizer.momentum_place
    if place is not None:
        wanted = optimizer.betas[0] if hasattr(optimizer, "betas") else optimizer.momentum
        assert optimizer.hyper()[place] == wanted


@stepping
def test_state_is_laid_out_as_the_parameters(optimizer, dtype):
    own = Steps(optimizer, dtype)
    assert tuple(own.state) == optimizer.needed()
    for vector in own.state.values():
        assert (vector.shape, vector.dtype) == (own.params.shape, dtype)
        assert vector.ctypes.data % 64 == 0


@stepping
def test_zeros_between_tensors_stay(optimizer, dtype):
    own = Steps(optimizer, dtype)
    for g in gradients():
        own(g)
    assert not np.delete(own.params, own.used).any()
    assert np.isfinite(own.params).all()


@stepping
def test_state_is_all_there_is(optimizer):
    """Saved, and put back into fresh vectors, training goes on with the same bits."""
    straight, first = Steps(optimizer), Steps(optimizer)
    steps = gradients(8)
    for g in steps:
        straight(g)
    for g in steps[:3]:
        first(g)
    second = Steps(optimizers.from_config(optimizer.config()))
    second.params[...] = first.params
    for name, vector in second.state.items():
        vector[...] = first.state[name]
    second.step[...] = first.step
    for g in steps[3:]:
        second(g)
    assert second.bits() == straight.bits()


@stepping
def test_a_schedule_may_write_lr(optimizer):
    """Into the first number, between two steps, as if the optimizer had another lr."""
    by_hyper = Steps(optimizer)
    other = optimizers.from_config(optimizer.config())
    by_attribute = Steps(other)
    for i, g in enumerate(gradients(6)):
        factor = 1 if i < 3 else 0.25
        by_hyper(g, factor)
        other.lr = optimizer.lr * factor
        by_attribute(g)
    np.testing.assert_array_equal(by_hyper.params, by_attribute.params)


@stepping
def test_slices_are_updated_as_the_whole(optimizer):
    """Neighbours given apart, each with state of its own, go where they would go together."""
    whole = Steps(optimizer)
    apart = Steps(optimizer)
    ops, cut = backends.load("cython"), whole.parts[2].start
    programs = []
    for start, stop, parts in ((0, cut, whole.parts[:2]), (cut, None, whole.parts[2:])):
        own = [type(p)(p.name, p.start - start, p.shape, p.hidden) for p in parts]
        tape = Tape(ops, Workspace(), np.float32)
        params = apart.params[start:stop]
        state = optimizer.state(params, own)
        vectors = apart.grads[start:stop], params, state
        optimizer.record(tape, *vectors, apart.hyper, apart.step, own)
        programs.append(ops.program([tape.take()], np.zeros(1, np.int64), tape.keep))
    for g in gradients():
        whole(g)
        apart.grads[apart.used] = g
        for program in programs:
            program.run([1], 1)
        apart.step[0] += 1
    np.testing.assert_array_equal(whole.params, apart.params)


@stepping
def test_threads_change_nothing(optimizer):
    shapes = {"0.weight": (300, 333), "1.weight": (333, 300), "1.bias": (5001,)}
    shapes |= {"2.weight": (70, 33)}
    size = sum(int(np.prod(shape)) for shape in shapes.values())
    results = set()
    for threads in (1, 2):
        own = Steps(optimizer, shapes=shapes, threads=threads)
        for g in gradients(3, size):
            own(g)
        results.add(own.bits())
    assert len(results) == 1


@pytest.mark.parametrize(
    ("optimizer", "change", "words"),
    [
        (fg.Adam(), {"amsgrad": True}, "needs largest"),
        (fg.Adam(amsgrad=True), {"amsgrad": False}, "has no use for largest"),
        (fg.RMSprop(), {"centered": True}, "needs mean"),
        (fg.RMSprop(centered=True), {"centered": False}, "has no use for mean"),
        (fg.SGD(0.1), {"momentum": 0.5}, "needs velocity"),
        (fg.LARS(momentum=0), {"momentum": 0.5}, "needs velocity"),
    ],
    ids=str,
)
def test_another_formula_needs_another_trainer(optimizer, change, words):
    own = Steps(optimizer)
    for name, value in change.items():
        setattr(optimizer, name, value)
    with pytest.raises(ValueError, match=f"{words}.*make a new Trainer"):
        own(0.0)


# Properties


@pytest.mark.parametrize("name", NAMES)
def test_no_gradient_and_no_decay_change_nothing(name, dtype):
    options = {"lr": 0.1} if name == "SGD" else {}
    if name in ("AdamW", "Lion", "Muon"):
        options["weight_decay"] = 0.0
    if name == "Muon":
        options["adamw_weight_decay"] = 0.0
    own = Steps(getattr(fg, name)(**options), dtype)
    before = bits(own.params)
    for _ in range(3):
        own(0.0)
    assert bits(own.params) == before


SIZES = st.integers(0, 70)
SEEDS = st.integers(0, 2**32 - 1)


def moved(optimizer, g, dtype="float64", steps=3):
    """How far each of several steps with these gradients goes."""
    own = Steps(optimizer, dtype, shapes={"0.bias": g.shape[1:]})
    before = own.params.copy()[own.used]
    return [own(gradient) - before for gradient in g[:steps]]


@settings(max_examples=25, deadline=None)
@given(size=SIZES, seed=SEEDS, power=st.integers(-60, 60))
@pytest.mark.parametrize(
    "optimizer",
    [
        fg.Rprop(),
        fg.Lion(weight_decay=0.0),
        fg.Adam(eps=1e-37),
        fg.NAdam(eps=1e-37),
        fg.Adamax(eps=1e-37),
        fg.RMSprop(eps=1e-37),
        fg.Adagrad(eps=1e-37),
        fg.LAMB(eps=1e-37),
    ],
    ids=lambda optimizer: type(optimizer).__name__,
)
def test_the_unit_of_the_gradient_does_not_matter(optimizer, size, seed, power):
    """Powers of two round nothing, and eps is less than the rounding of any of these gradients."""
    g = gradients(3, size, seed)
    g[abs(g) < 1e-3] = 1.0
    bound = rounding(3, np.float64, 60)  # three steps of at most lr, from parameters of about 1
    for one, scaled in zip(moved(optimizer, g), moved(optimizer, g * 2.0**power), strict=True):
        assert_within(scaled, one, bound)


@settings(max_examples=25, deadline=None)
@given(size=SIZES, seed=SEEDS)
@pytest.mark.parametrize("optimizer", STEPPING, ids=repr)
def test_a_turned_problem_is_solved_the_other_way(optimizer, size, seed):
    """All formulas are odd: the same step the other way for -g and -p, bit for bit."""
    g = gradients(3, size, seed)
    own, turned = (Steps(optimizer, shapes={"0.bias": (size,)}) for _ in range(2))
    turned.params *= -1
    for gradient in g:
        np.testing.assert_array_equal(own(gradient), -turned(-gradient))


@settings(max_examples=25, deadline=None)
@given(size=SIZES, seed=SEEDS)
@pytest.mark.parametrize("optimizer", STEPPING, ids=repr)
def test_the_reference_agrees_on_every_size(optimizer, size, seed):
    """Three steps on parameters of about 1, which none of these moves by more than 3 a step."""
    g = gradients(3, size, seed)
    shapes = {"0.bias": (size,)}
    own, plain = (Steps(optimizer, "float64", name, shapes) for name in ("cython", "reference"))
    for gradient in g:
        assert_within(own(gradient), plain(gradient), rounding(10, np.float64, 60))


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 40), columns=st.integers(1, 40), seed=SEEDS)
def test_muon_turns_with_its_matrix(rows, columns, seed):
    """The transposed problem has the transposed solution, but for rounding, which five rounds of
    three products pass on by a factor below 5 each."""
    optimizer = fg.Muon(0.1, adjust_lr_fn="match_rms_adamw")
    g = np.random.default_rng(seed).standard_normal((rows, columns))
    found = []
    for gradient in (g, g.T):
        own = Steps(optimizer, "float64", shapes={"1.weight": gradient.shape})
        own.params[...] = 0
        found.append(own(gradient.ravel()).reshape(gradient.shape))
    roundings = 5**5 * (3 * max(rows, columns) + 20)
    assert_within(found[0], found[1].T, rounding(0.1 * 0.2 * 40**0.5, np.float64, roundings))


def test_muon_takes_hidden_matrices_only():
    model = fg.Sequential(
        fg.Dense(3, 5), fg.LayerNorm(5), fg.Dense(5, 7), fg.Dense(7, 4), fg.Dense(4, 2), rng=0
    )
    assert [part.name for part in model.parts if part.hidden] == ["2.weight", "3.weight"]
    assert not any(part.hidden for part in chain(3, 4, 2).parts)
    trainers = []
    for kind in (fg.Muon(0.01, adamw_lr=0.1), fg.AdamW(1e-3)):
        trainer = fg.Trainer(fg.Sequential(*model.layers, rng=0), "mse", kind)
        x = np.random.default_rng(0).standard_normal((9, 3))
        trainer.step(x, x[:, :2])
        trainers.append(trainer)
    muon, adamw = (trainer.model.params for trainer in trainers)
    same = {name for name in muon if np.array_equal(muon[name], adamw[name])}
    assert same == set(muon) - {"2.weight", "3.weight"}


def test_muon_with_settings_for_layers():
    """Groups do not change which matrices are hidden ones."""
    model = chain(3, 5, 6, 2)
    x = np.random.default_rng(0).standard_normal((9, 3))
    per_layer = {"1": {"lr": 0.01}, "0.bias": {"adamw_weight_decay": 0.0}}
    trainer = fg.Trainer(model, "mse", fg.Muon(1e-3), per_layer=per_layer)
    before = model.params["1.weight"].copy()
    trainer.step(x, x[:, :2])
    step = (before * (1 - 0.01 * 0.1) - model.params["1.weight"]) / (0.01 * np.sqrt(6 / 5))
    values = np.linalg.svd(step, compute_uv=False)
    assert values.max() < 1.3
    assert np.median(values) > 0.6


@stepping
def test_training_gets_better(optimizer, backend):
    x = np.random.default_rng(0).standard_normal((64, 5)).astype(np.float32)
    y = np.tanh(x @ np.ones((5, 2), np.float32))
    optimizer = optimizers.from_config(optimizer.config())
    if not isinstance(optimizer, (fg.Adadelta, fg.LARS)):
        optimizer.lr = 0.01
    trainer = fg.Trainer(chain(5, 8, 8, 2), "mse", optimizer, rng=0)
    before = trainer.evaluate(x, y)
    for _ in range(10):
        trainer.epoch(x, y, 64)
    assert trainer.evaluate(x, y) < before


def test_an_empty_model():
    model = fg.Sequential(fg.Activation("tanh"), rng=0)
    for optimizer in STEPPING:
        fg.Trainer(model, "mse", optimizer).step(np.ones((2, 3)), np.ones((2, 3)))


# Bad input: what is refused by each, in the constructor and when it is set

POSITIVE = [0, -1, np.nan, np.inf, "x", None, True]
NOT_NEGATIVE = [-1, np.nan, np.inf, "x", None]
FRACTION = [-0.1, 1, np.nan, "x"]
NORMAL = [0, -1e-8, 1e-40, np.nan, np.inf, "x"]
PAIR = [0.9, (0.9,), (0.9, 0.9, 0.9), (1, 0.9), (0.9, 1), (-0.1, 0.9), (0.9, np.nan), ("x", 0.9)]
FLAG = [1, 0.5, "yes", None]
COUNT = [0, -1, 1.5, True, "x"]
BAD = {
    "lr": POSITIVE,
    "eps": NORMAL,
    "weight_decay": NOT_NEGATIVE,
    "momentum": FRACTION,
    "dampening": FRACTION,
    "alpha": FRACTION,
    "rho": FRACTION,
    "betas": PAIR,
    "nesterov": FLAG,
    "centered": FLAG,
    "amsgrad": FLAG,
    "decoupled_weight_decay": FLAG,
    "lr_decay": NOT_NEGATIVE,
    "initial_accumulator_value": NOT_NEGATIVE,
    "momentum_decay": NOT_NEGATIVE,
    "etas": [0.5, (0.5,), (0, 1.2), (1, 1.2), (0.5, 1), (0.5, np.inf), ("x", 2)],
    "step_sizes": [1, (0, 1), (2, 1), (1e-6, np.inf), (1e-6, None)],
    "trust_coefficient": POSITIVE,
    "ns_coefficients": [1.0, (1, 2), (1, 2, np.nan), (1, 2, "x")],
    "ns_steps": [*COUNT, 100],
    "adjust_lr_fn": [None, "rms", 1],
    "adamw_lr": POSITIVE,
    "adamw_betas": PAIR,
    "adamw_eps": NORMAL,
    "adamw_weight_decay": NOT_NEGATIVE,
    "max_iter": COUNT,
    "history": COUNT,
    "gtol": NOT_NEGATIVE,
    "ftol": NOT_NEGATIVE,
}
DEFAULTS = [optimizers.get(name.lower()) for name in [*NAMES, "LBFGS"]]
SETTINGS = [(optimizer, name) for optimizer in DEFAULTS for name in vars(optimizer)]


@pytest.mark.parametrize(
    ("optimizer", "name"), SETTINGS, ids=lambda v: getattr(v, "kernel", str(v))
)
def test_bad_input(optimizer, name):
    """Every hyperparameter of every optimizer is refused by its name; nothing has changed then."""
    kind, config = type(optimizer), {k: v for k, v in optimizer.config().items() if k != "name"}
    for value in BAD[name]:
        if kind is fg.LARS and name == "eps" and value in (0, 1e-40):
            continue  # where no norm is 0, its eps may be
        with pytest.raises((ValueError, TypeError), match=rf"^{name}(\[\d\])? must .* got "):
            kind(**config | {name: value})
        before = repr(optimizer)
        with pytest.raises((ValueError, TypeError), match=rf"^{name}(\[\d\])? must .* got "):
            setattr(optimizer, name, value)
        assert repr(optimizer) == before


def test_vectors_of_another_kind_are_refused():
    """The contract of the kernels stands at the door when a step is recorded."""
    own = Steps(fg.Adam())
    other = {name: aligned(3, np.float32) for name in own.state}
    tape = Tape(backends.load("cython"), Workspace(), np.float32)
    with pytest.raises(ValueError, match="adam: mean has shape"):
        own.optimizer.record(tape, own.grads, own.params, other, own.hyper, own.step, own.parts)
