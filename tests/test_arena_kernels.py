"""Passes over flat arenas: optimizers, the check for what is not finite."""

from __future__ import annotations

import json

import numpy as np
import pytest
from harness import exact, golden
from rounding import assert_within, rounding

SIZES = [0, 1, 7, 15, 16, 17, 33, 4095, 4096, 4097]

# lr, momentum, dampening, weight_decay, nesterov
SGD = {
    "plain": [0.1, 0, 0, 0, 0],
    "decay": [0.1, 0, 0, 0.01, 0],
    "momentum": [0.1, 0.9, 0.2, 0.01, 0],
    "nesterov": [0.1, 0.9, 0, 0.01, 1],
}
# lr, alpha, eps, weight_decay, momentum
RMSPROP = {"plain": [0.01, 0.99, 1e-8, 0.01, 0], "momentum": [0.01, 0.9, 1e-6, 0, 0.9]}
# lr, beta1, beta2, eps, weight_decay, decoupled
ADAM = {"coupled": [0.01, 0.8, 0.99, 1e-6, 0.1, 0], "decoupled": [1e-3, 0.9, 0.999, 1e-8, 0.1, 1]}
OPTIMIZERS = {
    f"{kernel}-{name}": (kernel, hyper)
    for kernel, variants in (("sgd", SGD), ("rmsprop", RMSPROP), ("adam", ADAM))
    for name, hyper in variants.items()
}
STATE = {"sgd": ["velocity"], "rmsprop": ["square", "velocity"], "adam": ["mean", "square"]}


def state_of(kernel, hyper, array):
    """`array` for every state of this optimizer; without momentum there is no velocity."""
    momentum = hyper[{"sgd": 1, "rmsprop": 4, "adam": 1}[kernel]]
    return {name: array if name != "velocity" or momentum else None for name in STATE[kernel]}


@pytest.mark.parametrize(("kernel", "hyper"), OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("step", [0, 7])
def test_one_step(run, rng, dtype, kernel, hyper, step):
    """All terms of an element have one sign, so that only the last subtraction cancels any."""
    for size in SIZES:
        sign = rng.choice([-1, 1], size)
        g, p, state = (sign * rng.uniform(0.1, 1, (3, size))).astype(dtype)
        given = {"g": g, "p": p, "hyper": np.array(hyper, np.float64), "step": np.array([step])}
        given |= state_of(kernel, hyper, state)
        if "square" in given:
            given["square"] = np.abs(state)
        out, true = run(kernel, **given), exact(kernel, **given)
        for name, array in vars(true).items():
            terms = np.abs(p) + np.abs(array - p) if name == "p" else np.abs(array)
            assert_within(getattr(out, name), array, rounding(terms, dtype), f"{name}, {size=}")


def from_torch(config):
    """Kernel, hyper, and how far one step goes at most: in units of the gradient, or of lr."""
    kernel = {"SGD": "sgd", "RMSprop": "rmsprop"}.get(config["class"], "adam")
    lr, decay, momentum = (config.get(key, 0) for key in ("lr", "weight_decay", "momentum"))
    reach = 1 / (1 - momentum)
    if kernel == "sgd":
        hyper = [lr, momentum, config.get("dampening", 0), decay, config.get("nesterov", False)]
    elif kernel == "rmsprop":
        hyper = [lr, config["alpha"], config["eps"], decay, momentum]
        reach /= np.sqrt(1 - config["alpha"])
    else:
        beta1, beta2 = config.get("betas", (0.9, 0.999))
        hyper = [lr, beta1, beta2, config.get("eps", 1e-8), decay, config["class"] == "AdamW"]
        reach = max(1, (1 - beta1) / np.sqrt(1 - beta2))
    return kernel, np.array(hyper, np.float64), lr * reach


@pytest.mark.parametrize("case", [k[:-7] for k in golden("optimizers") if k.endswith(".config")])
def test_golden(run, case, dtype):
    """Twenty steps; each adds the rounding of all that has gone into the parameter so far."""
    values = golden("optimizers")
    kernel, hyper, reach = from_torch(json.loads(str(values[f"{case}.config"])))
    p, terms, bound = values["p0"].astype(dtype), np.abs(values["p0"]), 0.0
    state = state_of(kernel, hyper, np.zeros_like(p))
    gradients = zip(values["grads"], values[f"{case}.params"], strict=True)
    for step, (g, true) in enumerate(gradients):
        out = run(kernel, g=g.astype(dtype), p=p, hyper=hyper, step=np.array([step]), **state)
        p, state = out.p, {name: getattr(out, name, None) for name in state}
        terms = terms + reach * (np.abs(g) + np.abs(true) if kernel == "sgd" else 1)
        bound = bound + rounding(terms, dtype)
        assert_within(p, true, bound, f"{step=}")


FINITE = [0.0, -0.0, 1.0, "max", "min", "tiny", "smallest_subnormal"]
NOT_FINITE = [np.nan, np.inf, -np.inf]


def surrounded(size, dtype):
    """Ones between NaN, so that a look past either end is noticed."""
    buffer = np.full(size + 200, np.nan, dtype)
    buffer[101 : 101 + size] = 1
    return buffer[101 : 101 + size]


@pytest.mark.parametrize("value", NOT_FINITE)
def test_check_finite_finds_every_position(ops, dtype, value):
    status = np.zeros(1, np.int64)
    few = [(size, range(size)) for size in range(1, 71)]
    many = [(n, (0, 1, n // 2, 4094, n - 2, n - 1)) for n in (4095, 4096, 4097, 10_000)]
    for size, positions in few + many:
        g = surrounded(size, dtype)
        ops.check_finite(g, status)
        assert status[0] == 0, f"false alarm, {size=}"
        for i in positions:
            g[i] = value
            ops.check_finite(g, status)
            assert status[0] == 1, f"missed {i} of {size}"
            g[i], status[0] = 1, 0


@pytest.mark.parametrize("value", FINITE)
@pytest.mark.parametrize("size", [0, 1, 70, 5000])
def test_check_finite_lets_all_others_pass(run, dtype, value, size):
    value = getattr(np.finfo(dtype), value) if isinstance(value, str) else value
    g = np.full(size, value, dtype)
    assert run("check_finite", g=g).status[0] == 0
    assert run("check_finite", g=g, status=np.ones(1, np.int64)).status[0] == 1, "lowered the flag"
