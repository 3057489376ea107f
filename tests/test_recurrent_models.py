"""Models with recurrent layers: gradients of all their options, dropout, threads, training."""

from __future__ import annotations

import numpy as np
import pytest
from kinds import KINDS, kinds
from nets import bits

import fastgrad as fg

VARIANTS = {
    "plain": {},
    "sequences": {"return_sequences": True},
    "reverse": {"reverse": True, "return_sequences": True},
    "both": {"bidirectional": True},
    "learned": {"learn_initial": True, "num_layers": 2, "bidirectional": True},
    "dropout": {"dropout": 0.4, "num_layers": 3, "return_sequences": True},
    "no bias": {"bias": False, "learn_initial": True},
}
variants = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)


def model_of(kind, rng, inputs=3, units=5, dtype="float64", **options):
    layer, own = KINDS[kind]
    ways = 2 if options.get("bidirectional") else 1
    model = fg.Sequential(
        layer(inputs, units, **own, **options),
        fg.Dense(ways * units, 2, "tanh"),
        rng=0,
        dtype=dtype,
    )
    for view in model.params.values():
        view[...] = rng.standard_normal(view.shape) / np.sqrt(units)
    return model


@variants
@kinds
def test_gradients(engine, rng, kind, variant):
    """Of dropout, whose mask is the same in both passes, as well."""
    units = 16 if kind == "norm" else 5  # where a few are alike, a norm of them is steep
    model = model_of(kind, rng, units=units, **variant)
    for shape in ((4, 5, 3), (1, 3, 3)):
        found = fg.gradcheck(model, rng.standard_normal(shape), rng=0)
        assert found, found


@kinds
def test_gradients_by_index(engine, rng, kind):
    model = model_of(kind, rng, 4, one_hot=True, bidirectional=True)
    found = fg.gradcheck(model, rng.integers(4, size=(4, 6)), rng=0)
    assert found, found


@pytest.mark.parametrize("name", [name for name in VARIANTS if name != "dropout"])
@kinds
def test_gradients_with_lengths(engine, rng, kind, name):
    """Of the inputs, along a direction that is not 0 in the padding either."""
    variant = VARIANTS[name]
    model = model_of(kind, rng, **variant)
    lengths = [3, 6, 0, 1]

    def vjp(dy, x):
        model.forward(x, lengths=lengths)
        return (model.backward(dy),)

    x = rng.standard_normal((4, 6, 3))
    found = fg.gradcheck(lambda x: model.forward(x, lengths=lengths), x, vjp=vjp)
    assert found, found


@pytest.mark.parametrize("variant", [{}, {"num_layers": 2, "bidirectional": True}], ids=["1", "4"])
@kinds
def test_gradients_of_states(engine, rng, kind, variant):
    """Of given initial ones, through final ones."""
    model = model_of(kind, rng, **variant)
    x, lengths = rng.standard_normal((4, 6, 3)), [3, 6, 0, 1]
    model.forward(x)
    names = list(model.states)

    def forward(*initial):
        y = model.forward(x, lengths=lengths, states=dict(zip(names, initial, strict=True)))
        return np.concatenate([y, *model.states.values()], axis=1)

    def vjp(dy, *initial):
        forward(*initial)
        parts = np.split(dy, [2 + 5 * i for i in range(len(names))], axis=1)
        model.backward(parts[0], d_states=dict(zip(names, parts[1:], strict=True)))
        return [model.state_grads[name] for name in names]

    initial = [rng.standard_normal((4, 5)) for _ in names]
    found = fg.gradcheck(forward, *initial, vjp=vjp)
    assert found, found


def test_dropout_acts_between_levels_in_training_alone(level, rng):
    model = model_of("gru", rng, num_layers=2, dropout=0.5)
    plain = model_of("gru", rng, num_layers=2)
    for name, view in plain.params.items():
        view[...] = model.params[name]
    x = rng.standard_normal((4, 6, 3))
    assert bits(model.predict(x)) == bits(plain.predict(x))
    assert bits(model.forward(x, train=False)) == bits(plain.predict(x))
    first, second = model.forward(x), model.forward(x)
    assert bits(first) != bits(second)
    assert bits(first) != bits(plain.forward(x))


@pytest.mark.parametrize("shape", [(40, 4, 30, 37), (3, 3, 30, 130)], ids=["tall", "wide"])
@pytest.mark.parametrize("kind", ["rnn", "peepholes", "norm", "gru", "original"])
def test_threads_change_nothing(threads, dtype, kind, shape):
    """Sequences shared by threads, or units; of levels in both directions, with lengths."""
    count, times, inputs, units = shape
    results = set()
    for used in (1, 2, 5):
        threads(used)
        rng = np.random.default_rng(0)
        how = {"dtype": dtype, "num_layers": 2, "bidirectional": True, "learn_initial": True}
        model = model_of(kind, rng, inputs, units, **how)
        x, dy = rng.standard_normal((count, times, inputs)), rng.standard_normal((count, 2))
        lengths = rng.integers(times + 1, size=count)
        y = model.forward(x, lengths=lengths)
        dx = model.backward(dy)
        results.add(bits(y, dx, model.flat_grads, *model.states.values()))
    assert len(results) == 1


@kinds
def test_it_learns_what_only_the_past_tells(threads, kind):
    """The class is that of the first of 12 steps; nothing later says it."""
    threads(1)
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=300)
    x = rng.standard_normal((300, 12, 3)) / 4
    x[:, 0] += 3 * np.eye(3)[y]
    layer, own = KINDS[kind]
    model = fg.Sequential(layer(3, 16, **own), fg.Dense(16, 3), rng=0)
    trainer = fg.Trainer(model, "cross_entropy", fg.Adam(0.01), rng=0)
    for _ in range(60):
        loss = trainer.epoch(x, y, 50)
    assert loss < 0.2  # that of guessing is log 3 = 1.1
    assert (model.predict(x).argmax(axis=1) == y).mean() > 0.95
