"""How long recurrent layers are told to remember, beside what a backward pass shows."""

import math

import numpy as np
import pytest

import fastgrad as fg

NETS, ROWS, FEATURES = 3, 64, 3
KINDS = {
    "LSTM 16": lambda: fg.LSTM(FEATURES, 16),
    "LSTM 64": lambda: fg.LSTM(FEATURES, 64),
    "LSTM 64, forget bias 0": lambda: fg.LSTM(FEATURES, 64, forget_bias=0.0),
    "LSTM 64, independent weights": lambda: fg.LSTM(
        FEATURES, 64, recurrent_init=fg.initializers.torch_default()
    ),
    "LSTM 64, forget bias 3": lambda: fg.LSTM(FEATURES, 64, forget_bias=3.0),
    "GRU 16": lambda: fg.GRU(FEATURES, 16),
    "GRU 64": lambda: fg.GRU(FEATURES, 64),
    "RNN 64": lambda: fg.RNN(FEATURES, 64),
}


def told_and_measured(kind, steps, seed):
    """Log norms of the gradient of all states, step by step back from the last one."""
    layer = KINDS[kind]()
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((ROWS, steps, FEATURES)), rng.integers(0, 2, ROWS)
    model = fg.Sequential(layer, fg.Dense(layer.units, 2), rng=seed, dtype="float64")
    memory = fg.health.predict(model, x, y=y, loss="cross_entropy").memory["0.l0"]
    fg.Trainer(model, "cross_entropy", rng=0).step(x, y)
    found = model.time_gradients["0.l0"]
    squares = found.h**2
    if found.c is not None:  # what a step hands to the memory before it, the forget gate being open
        squares[:-1] += found.c[:-1] ** 2
    return memory, np.log(squares[::-1] / squares[-1]) / 2


@pytest.mark.parametrize("steps", [50, 200])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "LSTM 64, forget bias 3"])
def test_memory_is_as_measured(kind, steps):
    fars, rates = [], []
    for seed in range(NETS):
        memory, measured = told_and_measured(kind, steps, seed)
        k = next((k for k, each in enumerate(measured) if each <= math.log(1e-3)), None)
        if k is None:
            assert memory.far > steps / 1.5
        else:
            fars.append(memory.far / k)
        rates.append(math.log(memory.norms[0]) / measured[-1])
        assert len(memory.norms) == steps
    # of a rate that 200 steps multiply
    assert max(np.median(rates), 1 / np.median(rates)) < 1.5
    if fars:
        assert max(np.median(fars), 1 / np.median(fars)) < 1.5


def test_the_same_weights_remember_longer_than_others_at_each_step():
    # behind orthogonal gates some directions keep nearly all; a mean over all of them does not
    memory, _ = told_and_measured("LSTM 64", 50, 0)
    assert memory.half_memory < 5
    assert memory.far > 20 * memory.half_memory
    assert memory.gain > math.exp(-1 / memory.half_memory)


def test_open_gates_let_gradients_grow():
    memory, measured = told_and_measured("LSTM 64, forget bias 3", 50, 0)
    assert measured[-1] > 0
    assert memory.norms[0] > 1
    assert memory.far > 500


def test_far_beyond_what_was_followed():
    layer = fg.LSTM(4, 8, weight_init=np.zeros((32, 4)), recurrent_init=np.zeros((32, 8)),
                    forget_bias=8.0)  # fmt: skip
    for steps in (5, 2000):
        memory = fg.health.predict(fg.Sequential(layer, rng=0), steps=steps).memory["0.l0"]
        # all is kept but for one in e^8
        keep = 1 / (1 + math.exp(-8))
        assert memory.gain == pytest.approx(keep, rel=1e-9)
        assert memory.norms[0] / memory.norms[1] == pytest.approx(keep, rel=1e-9)
        assert len(memory.norms) == steps
        assert memory.far > 1e4
