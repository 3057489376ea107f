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


class _Plain:
    """Linear layers with relu in between."""

    def __init__(self, task: Task) -> None:
        self.weights = [w.astype(np.float64) for w in task.weights]
        self.biases = [b.astype(np.float64) for b in task.biases]
        self.parameters = self.weights + self.biases

    def forward(self, x: Array) -> Array:
        """Outputs."""
        self.inputs = [x]
        for w, b in zip(self.weights[:-1], self.biases[:-1], strict=True):
            self.inputs.append(np.maximum(self.inputs[-1] @ w.T + b, 0))
        return self.inputs[-1] @ self.weights[-1].T + self.biases[-1]

    def backward(self, delta: Array) -> list[Array]:
        """Gradients in the order of `parameters`."""
        d_weights: list[Array] = []
        d_biases: list[Array] = []
        for layer in reversed(range(len(self.weights))):
            d_weights.insert(0, delta.T @ self.inputs[layer])
            d_biases.insert(0, delta.sum(axis=0))
            delta = (delta @ self.weights[layer]) * (self.inputs[layer] > 0)
        return d_weights + d_biases


class _Residual(_Plain):
    """Blocks ``x + linear(relu(linear(BatchNorm(x))))`` between two linear layers."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        width, count = task.row.widths[1], task.row.blocks + 1
        self.gains = [np.ones(width) for _ in range(count)]
        self.shifts = [np.zeros(width) for _ in range(count)]
        self.parameters = self.parameters + self.gains + self.shifts

    def forward(self, x: Array) -> Array:
        """Outputs."""
        self.first, self.kept = x, []
        x = x @ self.weights[0].T + self.biases[0]
        for i, (gain, shift) in enumerate(zip(self.gains, self.shifts, strict=True)):
            scale = 1 / np.sqrt(x.var(axis=0) + 1e-5)
            unit = (x - x.mean(axis=0)) * scale
            y = unit * gain + shift
            if i == len(self.gains) - 1:
                self.kept.append((scale, unit, y, np.maximum(y, 0)))
                return self.kept[-1][-1] @ self.weights[-1].T + self.biases[-1]
            hidden = np.maximum(y @ self.weights[2 * i + 1].T + self.biases[2 * i + 1], 0)
            x = x + hidden @ self.weights[2 * i + 2].T + self.biases[2 * i + 2]
            self.kept.append((scale, unit, y, hidden))
        raise AssertionError("there is always a last normalization")

    def backward(self, delta: Array) -> list[Array]:
        """Gradients in the order of `parameters`."""
        d_weights = [np.zeros_like(w) for w in self.weights]
        d_biases = [np.zeros_like(b) for b in self.biases]
        d_gains = [np.zeros_like(g) for g in self.gains]
        d_shifts = [np.zeros_like(g) for g in self.shifts]

        def linear(layer: int, inputs: Array, delta: Array) -> Array:
            d_weights[layer], d_biases[layer] = delta.T @ inputs, delta.sum(axis=0)
            return np.asarray(delta @ self.weights[layer])

        for i in reversed(range(len(self.gains))):
            scale, unit, y, hidden = self.kept[i]
            if i == len(self.gains) - 1:
                around: Array | float = 0.0
                dy = linear(len(self.weights) - 1, hidden, delta) * (y > 0)
            else:
                around = delta
                dy = linear(2 * i + 1, y, linear(2 * i + 2, hidden, delta) * (hidden > 0))
            d_gains[i], d_shifts[i] = (dy * unit).sum(axis=0), dy.sum(axis=0)
            du = dy * self.gains[i]
            delta = around + scale * (du - du.mean(axis=0) - unit * (du * unit).mean(axis=0))
        linear(0, self.first, delta)
        return d_weights + d_biases + d_gains + d_shifts


def loss_after_steps(task: Task) -> float:
    """Loss of minibatch 0 after one Adam step on each of the first five minibatches.

    Parameters
    ----------
    task : Task

    Returns
    -------
    float
    """
    network = _Residual(task) if task.row.blocks else _Plain(task)
    first = [np.zeros_like(p) for p in network.parameters]
    second = [np.zeros_like(p) for p in network.parameters]

    for step in range(1, CHECKED_STEPS + 2):
        x, y = task.minibatch((step - 1) % CHECKED_STEPS)
        loss, delta = _loss_and_gradient(task.row.loss, network.forward(x.astype(np.float64)), y)
        if step > CHECKED_STEPS:
            break
        grads = network.backward(delta)
        for p, g, m, v in zip(network.parameters, grads, first, second, strict=True):
            m[...] = 0.9 * m + 0.1 * g
            v[...] = 0.999 * v + 0.001 * g * g
            m_hat, v_hat = m / (1 - 0.9**step), v / (1 - 0.999**step)
            p[...] -= LEARNING_RATE * m_hat / (np.sqrt(v_hat) + 1e-8)
    return loss
