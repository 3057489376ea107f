"""Recurrent rows in JAX: one jitted call for both passes, ``lax.scan`` over the time steps.

The product of all inputs with their weights is made once, before the scan. Modes: ``scan``
differentiates in the parameters, so that the backward scan adds up the gradient of weight_hh step
by step; ``hoisted`` differentiates in the gates' sums of every step and makes each weight gradient
one product after the scan. ``-4`` is the same with four steps per trip (``unroll=4``).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .sequences import Array, Passes, SequenceTask

MODES = ("scan", "scan-4", "hoisted", "hoisted-4")

Params = dict[str, Any]  # weights transposed: (I, gates x H) and (H, gates x H)
Step = Callable[[Any, Any, Any], tuple[Any, Any]]
_wait: Any = jax.block_until_ready


def _lstm(w_hh: Any, state: Any, sums: Any) -> tuple[Any, Any]:
    h, c = state
    i, f, g, o = jnp.split(sums + h @ w_hh, 4, axis=1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def _gru(w_hh: Any, h: Any, sums: Any) -> tuple[Any, Any]:
    given, bias_n = sums  # the bias of n stands inside the product with r
    r_in, z_in, n_in = jnp.split(given, 3, axis=1)
    r_hh, z_hh, n_hh = jnp.split(h @ w_hh, 3, axis=1)
    r, z = jax.nn.sigmoid(r_in + r_hh), jax.nn.sigmoid(z_in + z_hh)
    n = jnp.tanh(n_in + r * (n_hh + bias_n))
    h = n + z * (h - n)
    return h, h


def _rnn(w_hh: Any, h: Any, sums: Any) -> tuple[Any, Any]:
    h = jnp.tanh(sums + h @ w_hh)
    return h, h


STEPS: dict[str, Step] = {"LSTM": _lstm, "GRU": _gru, "RNN": _rnn}


def _sums(cell: str, params: Params, x: Any) -> Any:
    """What all steps' gates are given besides the state: inputs and biases."""
    given = x @ params["weight_ih_l0"] + params["bias_ih_l0"]
    if cell != "GRU":
        return given + params["bias_hh_l0"]
    hidden = params["weight_hh_l0"].shape[0]
    bias, bias_n = jnp.split(params["bias_hh_l0"], [2 * hidden])
    bias_n = jnp.broadcast_to(bias_n, (*x.shape[:2], hidden))
    return given + jnp.pad(bias, (0, hidden)), bias_n


def _outputs(cell: str, unroll: int, w_hh: Any, sums: Any) -> Any:
    batch = jax.tree.leaves(sums)[0].shape[1]
    zeros = jnp.zeros((batch, w_hh.shape[0]))
    first = (zeros, zeros) if cell == "LSTM" else zeros
    return jax.lax.scan(partial(STEPS[cell], w_hh), first, sums, unroll=unroll)[1]


def _scan(cell: str, unroll: int, params: Params, x: Any, dy: Any) -> Params:
    def outputs(params: Params) -> Any:
        return _outputs(cell, unroll, params["weight_hh_l0"], _sums(cell, params, x))

    (grads,) = jax.vjp(outputs, params)[1](dy)
    return dict(grads)


def _hoisted(cell: str, unroll: int, params: Params, x: Any, dy: Any) -> Params:
    outputs = partial(_outputs, cell, unroll, params["weight_hh_l0"])
    y, back = jax.vjp(outputs, _sums(cell, params, x))
    (d_given,) = back(dy)
    d_hidden = d_given
    if cell == "GRU":
        d_given, d_n = d_given
        d_hidden = jnp.concatenate([d_given[..., : 2 * d_n.shape[-1]], d_n], axis=-1)
    before = jnp.concatenate([jnp.zeros_like(y[:1]), y[:-1]])
    product = partial(jnp.einsum, "tni,tnj->ij")
    return {
        "weight_ih_l0": product(x, d_given),
        "weight_hh_l0": product(before, d_hidden),
        "bias_ih_l0": d_given.sum((0, 1)),
        "bias_hh_l0": d_hidden.sum((0, 1)),
    }


def side(task: SequenceTask, mode: str) -> Passes:
    """Make the passes of a row in one of ``MODES``."""
    both = _hoisted if mode.startswith("hoisted") else _scan
    jitted = jax.jit(partial(both, task.row.cell, 4 if mode.endswith("-4") else 1))
    x, dy = (jnp.array(array.swapaxes(0, 1)) for array in (task.x, task.dy))
    params = {name: jnp.array(value.T) for name, value in task.params.items()}
    grads: Params = {}

    def run(count: int) -> None:
        for _ in range(count):
            grads.update(jitted(params, x, dy))
        _wait(grads)

    def gradients() -> dict[str, Array]:
        return {name: np.asarray(grad).T for name, grad in grads.items()}

    return Passes(task, run, gradients)
