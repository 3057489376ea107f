"""JAX at its best: a whole epoch under ``jit`` and ``lax.scan``, the state donated.

Modes: ``hand`` is an Adam written out (bias correction folded into two running scalars),
``hand-2`` the same with two steps per trip of the scan, ``optax`` is ``optax.adam``. Each
minibatch is gathered inside the scan, which is faster than gathering the whole epoch first;
epochs are dispatched one after another and waited for once.
"""

import os
from collections.abc import Callable
from functools import partial
from itertools import cycle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .rows import CHECKED_STEPS, LEARNING_RATE, Task

try:
    import optax
except ImportError:
    optax = None

Tree = Any
_wait: Any = jax.block_until_ready
MODES = ("hand", "hand-2") if optax is None else ("hand", "hand-2", "optax")


def start(threads: int) -> dict[str, str]:
    """Say what is running; the process is already pinned to `threads` cores."""
    return {
        "jax": jax.__version__,
        "device": str(jax.devices()[0]),
        "optax": "none" if optax is None else optax.__version__,
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", "none"),
    }


def _hand_adam() -> tuple[Callable[..., Any], Callable[..., Any]]:
    def init(params: Tree) -> Tree:
        zeros = partial(jax.tree.map, jnp.zeros_like)
        return zeros(params), zeros(params), jnp.float32(1), jnp.float32(1)

    def update(params: Tree, state: Tree, grads: Tree) -> tuple[Tree, Tree]:
        m, v, decay_m, decay_v = state
        decay_m, decay_v = 0.9 * decay_m, 0.999 * decay_v
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
        rate, scale = LEARNING_RATE / (1 - decay_m), 1 / jnp.sqrt(1 - decay_v)
        params = jax.tree.map(
            lambda p, m, v: p - rate * m / (jnp.sqrt(v) * scale + 1e-8), params, m, v
        )
        return params, (m, v, decay_m, decay_v)

    return init, update


def _optax_adam() -> tuple[Callable[..., Any], Callable[..., Any]]:
    adam = optax.adam(LEARNING_RATE)

    def update(params: Tree, state: Tree, grads: Tree) -> tuple[Tree, Tree]:
        change, state = adam.update(grads, state, params)
        return optax.apply_updates(params, change), state

    return adam.init, update


def _normalized(x: Any, running: Any, norm: Any) -> tuple[Any, Any]:
    """Batch normalization with its running statistics, as PyTorch's."""
    mean = jnp.mean(x, axis=0)
    var = jnp.mean((x - mean) ** 2, axis=0)
    y = (x - mean) * jax.lax.rsqrt(var + 1e-5) * norm[0] + norm[1]
    fresh = jnp.stack([mean, var * (len(x) / (len(x) - 1))])
    return y, 0.9 * running + 0.1 * jax.lax.stop_gradient(fresh)


def _outputs(params: Tree, running: Tree, x: Any) -> tuple[Any, Tree]:
    """The network's outputs, and what its running statistics come to."""
    linear, norms = params
    if not norms:
        for w, b in linear[:-1]:
            x = jax.nn.relu(x @ w + b)
        w, b = linear[-1]
        return x @ w + b, running
    found = []
    (w, b), *rest = linear
    x = x @ w + b
    for i, (norm, old) in enumerate(zip(norms, running, strict=True)):
        y, new = _normalized(x, old, norm)
        found.append(new)
        if i < len(norms) - 1:
            (w1, b1), (w2, b2) = rest[2 * i : 2 * i + 2]
            x = x + jax.nn.relu(y @ w1 + b1) @ w2 + b2
        else:
            w, b = rest[-1]
            x = jax.nn.relu(y) @ w + b
    return x, found


def _loss(kind: str, params: Tree, running: Tree, x: Any, y: Any) -> Any:
    out, running = _outputs(params, running, x)
    return _criterion(kind, out, y), running


def _criterion(kind: str, out: Any, y: Any) -> Any:
    if kind == "mse":
        return jnp.mean((out - y) ** 2)
    # A one-hot product: picking by index would cost a scatter in the backward pass.
    picked = jnp.sum(jax.nn.one_hot(y, out.shape[1]) * jax.nn.log_softmax(out), axis=1)
    return -jnp.mean(picked)


class Side:
    """One row in one mode.

    Parameters
    ----------
    task : Task
    mode : str
        One of ``MODES``.
    """

    def __init__(self, task: Task, mode: str) -> None:
        self._task = task
        batch, kind = task.row.batch, task.row.loss
        self._data = jnp.array(task.x), jnp.array(task.y)
        self._orders = cycle([self._order(order) for order in task.permutations(4)])
        self._init, update = _optax_adam() if mode == "optax" else _hand_adam()

        @partial(jax.jit, donate_argnums=0)
        def epoch(state: Tree, order: Any, x: Any, y: Any) -> tuple[Tree, Any]:
            def step(state: Tree, chosen: Any) -> tuple[Tree, Any]:
                params, running, moments = state
                compute = jax.value_and_grad(partial(_loss, kind), has_aux=True)
                (loss, running), grads = compute(params, running, x[chosen], y[chosen])
                params, moments = update(params, moments, grads)
                return (params, running, moments), loss

            unroll = 2 if mode == "hand-2" else 1
            return jax.lax.scan(step, state, order.reshape(-1, batch), unroll=unroll)

        self._epoch = epoch
        self._state: Tree = None
        self.reset()

    @staticmethod
    def _order(order: Any) -> Any:
        return jnp.array(order, dtype=jnp.int32)

    def check(self) -> float:
        """Loss of minibatch 0 after the checked steps, by the very function that is timed."""
        batch = self._task.row.batch
        order = np.arange(len(self._task.x))
        order[CHECKED_STEPS * batch : (CHECKED_STEPS + 1) * batch] = np.arange(batch)
        self._state, losses = self._epoch(self._state, self._order(order), *self._data)
        return float(losses[CHECKED_STEPS])

    def reset(self) -> None:
        """Put the first parameters back (and zero moments: the old state was donated)."""
        pairs = zip(self._task.weights, self._task.biases, strict=True)
        row = self._task.row
        width, count = row.widths[1], row.blocks + 1 if row.blocks else 0
        start = jnp.stack([jnp.ones(width), jnp.zeros(width)])
        norms = [jnp.array(start) for _ in range(count)]
        running = [jnp.array(start[::-1]) for _ in range(count)]
        params = [(jnp.array(w.T), jnp.array(b)) for w, b in pairs], norms
        self._state = _wait((params, running, self._init(params)))

    def epochs(self, count: int) -> None:
        """Train `count` epochs, each in a shuffled order."""
        for _ in range(count):
            self._state, losses = self._epoch(self._state, next(self._orders), *self._data)
        _wait((self._state, losses))
