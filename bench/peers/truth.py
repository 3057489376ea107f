"""The loss that every side must reach before it is timed, in plain float64 NumPy."""

import numpy as np

from .rows import CHECKED_STEPS, LEARNING_RATE, Array, Task

TOLERANCE = 1e-3


def _loss_and_gradient(kind: str, out: Array, y: Array) -> tuple[float, Array]:
    """Mean loss and its gradient in `out`."""
    if kind == "mse":
        error = out - y
        return float(np.mean(error**2)), 2 * error / error.size
    each = np.arange(len(y))
    shifted = out - out.max(axis=1, keepdims=True)
    log_probability = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    gradient = np.exp(log_probability)
    gradient[each, y] -= 1
    return float(-log_probability[each, y].mean()), gradient / len(y)


def loss_after_steps(task: Task) -> float:
    """Loss of minibatch 0 after one Adam step on each of the first five minibatches.

    Parameters
    ----------
    task : Task

    Returns
    -------
    float
    """
    weights = [w.astype(np.float64) for w in task.weights]
    biases = [b.astype(np.float64) for b in task.biases]
    parameters = weights + biases
    first = [np.zeros_like(p) for p in parameters]
    second = [np.zeros_like(p) for p in parameters]

    for step in range(1, CHECKED_STEPS + 2):
        x, y = task.minibatch((step - 1) % CHECKED_STEPS)
        inputs = [x.astype(np.float64)]
        for w, b in zip(weights[:-1], biases[:-1], strict=True):
            inputs.append(np.maximum(inputs[-1] @ w.T + b, 0))
        out = inputs[-1] @ weights[-1].T + biases[-1]
        loss, delta = _loss_and_gradient(task.row.loss, out, y)
        if step > CHECKED_STEPS:
            break

        d_weights: list[Array] = []
        d_biases: list[Array] = []
        for layer in reversed(range(len(weights))):
            d_weights.insert(0, delta.T @ inputs[layer])
            d_biases.insert(0, delta.sum(axis=0))
            delta = (delta @ weights[layer]) * (inputs[layer] > 0)

        for p, g, m, v in zip(parameters, d_weights + d_biases, first, second, strict=True):
            m[...] = 0.9 * m + 0.1 * g
            v[...] = 0.999 * v + 0.001 * g * g
            m_hat, v_hat = m / (1 - 0.9**step), v / (1 - 0.999**step)
            p[...] -= LEARNING_RATE * m_hat / (np.sqrt(v_hat) + 1e-8)
    return loss
