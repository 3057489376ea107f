"""Dense networks and their training in plain NumPy: what a model must come to."""

from __future__ import annotations

from itertools import count, pairwise

import numpy as np
from scipy.special import erf, expit, log_softmax

import fastgrad as fg

SCALE, ALPHA = 1.0507009873554805, 1.6732632423543772  # selu
C = np.sqrt(2 / np.pi)


def gelu_tanh_slope(z):
    t = np.tanh(C * (z + 0.044715 * z**3))
    return (1 + t) / 2 + z / 2 * (1 - t**2) * C * (1 + 3 * 0.044715 * z**2)


# f(z) and f'(z)
ACTIVATIONS = {
    "identity": (lambda z: z, np.ones_like),
    "relu": (lambda z: z * (z > 0), lambda z: 1.0 * (z > 0)),
    "leaky_relu": (lambda z: np.where(z > 0, z, 0.01 * z), lambda z: np.where(z > 0, 1, 0.01)),
    "elu": (
        lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
        lambda z: np.exp(np.minimum(z, 0)),
    ),
    "selu": (
        lambda z: SCALE * np.where(z > 0, z, ALPHA * np.expm1(np.minimum(z, 0))),
        lambda z: SCALE * np.where(z > 0, 1, ALPHA * np.exp(np.minimum(z, 0))),
    ),
    "gelu": (
        lambda z: z / 2 * (1 + erf(z / np.sqrt(2))),
        lambda z: (1 + erf(z / np.sqrt(2))) / 2 + z * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi),
    ),
    "gelu_tanh": (
        lambda z: z / 2 * (1 + np.tanh(C * (z + 0.044715 * z**3))),
        gelu_tanh_slope,
    ),
    "silu": (lambda z: z * expit(z), lambda z: expit(z) * (1 + z * expit(-z))),
    "softplus": (lambda z: np.logaddexp(0, z), expit),
    "softsign": (lambda z: z / (1 + abs(z)), lambda z: (1 + abs(z)) ** -2.0),
    "tanh": (np.tanh, lambda z: np.cosh(z) ** -2.0),
    "sigmoid": (expit, lambda z: expit(z) * expit(-z)),
}


def network(params, activations, x, dy):
    """Output, gradients of ``sum(dy * output)`` by name, and that of x, in float64."""
    params = {name: np.asarray(array, np.float64) for name, array in params.items()}
    x, dy = np.asarray(x, np.float64), np.asarray(dy, np.float64)
    inputs, sums = [], []
    for i, name in enumerate(activations):
        inputs.append(x)
        sums.append(x @ params[f"{i}.weight"].T + params.get(f"{i}.bias", 0))
        x = ACTIVATIONS[name][0](sums[-1])
    y, grads = x, {}
    for i in reversed(range(len(activations))):
        dz = dy * ACTIVATIONS[activations[i]][1](sums[i])
        rows, columns = dz.reshape(-1, dz.shape[-1]), inputs[i].reshape(-1, inputs[i].shape[-1])
        grads[f"{i}.weight"] = rows.T @ columns
        if f"{i}.bias" in params:
            grads[f"{i}.bias"] = rows.sum(axis=0)
        dy = dz @ params[f"{i}.weight"]
    return y, grads, dy


def softmax_loss(z, target):
    """Cross entropy of rows, and its gradient; targets are rows of probabilities."""
    log_p = log_softmax(z, axis=1)
    return -(target * log_p).sum(axis=1), np.exp(log_p) * target.sum(axis=1, keepdims=True) - target


# loss of every row, and its gradient
LOSSES = {
    "mse": lambda z, t: (((z - t) ** 2).mean(axis=1), 2 * (z - t) / z.shape[1]),
    "mae": lambda z, t: (abs(z - t).mean(axis=1), np.sign(z - t) / z.shape[1]),
    "huber": lambda z, t: (
        np.where(abs(z - t) < 1, (z - t) ** 2 / 2, abs(z - t) - 0.5).mean(axis=1),
        np.clip(z - t, -1, 1) / z.shape[1],
    ),
    "binary_cross_entropy": lambda z, t: (
        (np.logaddexp(0, z) - t * z).mean(axis=1),
        (expit(z) - t) / z.shape[1],
    ),
    "cross_entropy": lambda z, t: softmax_loss(z, np.eye(z.shape[1])[t]),
    "soft_cross_entropy": softmax_loss,
}


def targets(loss, rng, rows, outputs):
    """Targets that this loss takes."""
    if loss == "cross_entropy":
        return rng.integers(outputs, size=rows)
    drawn = rng.uniform(size=(rows, outputs))
    return drawn / drawn.sum(axis=1, keepdims=True) if loss == "soft_cross_entropy" else drawn


def sgd(p, g, state, t, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
    g = g + weight_decay * p
    if momentum:
        state["v"] = g if t == 1 else momentum * state["v"] + (1 - dampening) * g
        g = g + momentum * state["v"] if nesterov else state["v"]
    return p - lr * g


def rmsprop(p, g, state, t, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0):
    g = g + weight_decay * p
    state["s"] = alpha * state.get("s", 0) + (1 - alpha) * g**2
    state["v"] = momentum * state.get("v", 0) + g / (np.sqrt(state["s"]) + eps)
    return p - lr * state["v"]


def adam(p, g, state, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    g = g + weight_decay * p
    for name, beta, power in (("m", betas[0], g), ("s", betas[1], g**2)):
        state[name] = beta * state.get(name, 0) + (1 - beta) * power
    mean, square = state["m"] / (1 - betas[0] ** t), state["s"] / (1 - betas[1] ** t)
    return p - lr * mean / (np.sqrt(square) + eps)


def adamw(p, g, state, t, lr=1e-3, weight_decay=0.01, **more):
    return adam((1 - lr * weight_decay) * p, g, state, t, lr, **more)


OPTIMIZERS = {"SGD": sgd, "RMSprop": rmsprop, "Adam": adam, "AdamW": adamw}


def train(model, x, y, steps, loss="mse", optimizer="SGD", clip=None, **options):
    """The losses and the parameters that full-batch training of this model must give."""
    params = {name: view.astype(np.float64) for name, view in model.params.items()}
    activations = [layer.activation for layer in model.layers]
    states = {name: {} for name in params}
    losses = []
    for t in count(1):
        if t > steps:
            return np.array(losses), params
        z, _, _ = network(params, activations, x, np.zeros(model.outputs))
        rows, dz = LOSSES[loss](z, y)
        _, grads, _ = network(params, activations, x, dz / len(rows))
        losses.append(rows.mean())
        for name, gradient in (clip(grads) if clip else grads).items():
            step = OPTIMIZERS[optimizer]
            params[name] = step(params[name], gradient, states[name], t, **options)


def assert_close(got, wanted, dtype, roundings, what=""):
    """Off by no more than so many roundings of the largest number in the array.

    What layers of norm about 1 pass on is as large as what they were given.
    """
    wanted = np.asarray(wanted)
    bound = roundings * np.finfo(dtype).eps * abs(wanted).max(initial=np.finfo(dtype).tiny)
    error = abs(np.asarray(got, np.float64) - wanted).max(initial=0)
    assert error <= bound, f"{what}: error {error:.3g}, bound {bound:.3g}"


def chain(*widths, activation="tanh", dtype="float32", rng=0, **options):
    """A model of dense layers, the last one linear, with biases that are not 0."""
    last = len(widths) - 2
    bias = fg.initializers.normal(0.1)
    return fg.Sequential(
        *(
            fg.Dense(i, o, None if k == last else activation, bias_init=bias, **options)
            for k, (i, o) in enumerate(pairwise(widths))
        ),
        rng=rng,
        dtype=dtype,
    )


def bits(*arrays):
    """The bytes of arrays, to be compared with those of others."""
    return b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
