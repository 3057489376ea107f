"""Recurrent weights, whose gates are stacked, and biases that decide how long a cell remembers.

A recurrent weight has the shape ``(gates * H, H)``, a bias ``(gates * H,)``, with the gates in
PyTorch's order: i, f, g, o of an LSTM, r, z, n of a GRU. A layer with PyTorch's two biases, which
are added, takes `forget_bias` or `chrono` for ``bias_ih`` and zeros for ``bias_hh``.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from fastgrad import backends, checks
from fastgrad.initializers.base import InitFunction, Initializer
from fastgrad.initializers.checks import Array, number, unknown
from fastgrad.initializers.matrices import identity

_GATES = {"lstm": 4, "gru": 3}
_SQUARINGS = 60


def per_gate(init: str | Initializer = "orthogonal") -> Initializer:
    """Draw each H x H block of a stacked recurrent weight by itself, from the first gate on.

    Drawn as one matrix, ``(gates * H, H)`` has other laws: of "orthogonal" only the columns are
    orthonormal, so that a block shrinks the state by ``sqrt(gates)`` on average; "identity" leaves
    all blocks but the first at 0; and "fan_out" and "fan_avg" count the units of all gates.

    Parameters
    ----------
    init : str or Initializer
        Of one block. Orthogonal blocks, the default, keep the length of a state and of its gradient
        in a linear network (Saxe et al. 2013, arXiv:1312.6120).

    Raises
    ------
    TypeError
        If `init` is neither a name nor an initializer of this package.
    ValueError
        If no factory has that name; also for a shape other than ``(gates * H, H)``.
    """
    from fastgrad.initializers.configs import get

    block = get(init)
    if not isinstance(block, Initializer):
        raise TypeError(f"init: expected a name or an Initializer, got {init!r}")

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        if len(shape) != 2 or shape[0] % shape[1]:
            raise ValueError(f"shape: per_gate needs (gates * H, H), got {shape}")
        rows, units = shape
        return np.concatenate([block.draw((units, units), rng) for _ in range(rows // units)])

    return Initializer("per_gate", (("init", block),), draw)


def irnn(scale: float = 1.0) -> Initializer:
    """Set each block to `scale` times the identity: Le, Jaitly & Hinton 2015, arXiv:1504.00941.

    With relu and biases of 0, a unit of a plain recurrent layer then adds up its inputs, and its
    gradient stays as it is through all steps in which it is active. The paper takes a small scale,
    0.01, where only the recent past matters.
    """
    return per_gate(identity(number("scale", scale)))


def spectral(radius: float = 0.95, connections: int = 15) -> Initializer:
    """Draw a sparse square matrix, scaled so that its largest eigenvalue has the modulus `radius`.

    Each unit has `connections` inputs, chosen at random, with standard normal weights (Martens
    2010; Sutskever et al. 2013; with these defaults Pascanu et al. 2013, arXiv:1211.5063). With a
    radius below 1 the state of a linear network decays in the long run. Before that it may grow, as
    the matrix is not normal; an orthogonal one is.

    Parameters
    ----------
    radius : float
        At least 0.
    connections : int
        At least 1; where there are fewer units, each has all of them as its inputs.

    Raises
    ------
    TypeError, ValueError
        Also for a shape that is not square; ``per_gate(spectral())`` takes stacked ones.
    """
    radius = number("radius", radius, minimum=0.0)
    connections = checks.count("connections", connections)

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        if len(shape) != 2 or shape[0] != shape[1]:
            raise ValueError(
                "shape: spectral needs a square matrix, per_gate(spectral()) stacked ones, "
                f"got {shape}"
            )
        kept = np.zeros(shape, bool)
        kept[:, :connections] = True
        values = np.where(rng.permuted(kept, axis=1), rng.standard_normal(shape), 0.0)
        # Never divides by 0: as every unit has an input, some of them form a cycle, and then a
        # matrix of normal weights is nilpotent with probability 0.
        return radius / _spectral_radius(values) * values

    settings = (("radius", radius), ("connections", connections))
    return Initializer("spectral", settings, draw)


def forget_bias(value: float = 1.0) -> Initializer:
    """Set the forget gates of an LSTM to `value`, the rest of its bias to 0.

    At 1, which Jozefowicz et al. 2015 recommend and Keras takes, a cell starts by keeping
    sigmoid(1) = 0.73 of its state; ``sigmoid(value)^t`` is left after t steps.

    ValueError for a shape other than ``(4 * H,)``, and in a layer other than an LSTM.
    """
    value = number("value", value)

    def draw(shape: tuple[int, ...], _: np.random.Generator) -> Array:
        bias, gates = _bias("forget_bias", shape, _GATES["lstm"])
        gates[1] = value
        return bias

    return Initializer("forget_bias", (("value", value),), draw)


def chrono(longest: float, cell: Literal["lstm", "gru"] | None = None) -> Initializer:
    """Draw how long each unit remembers, U(2, `longest`) steps: Tallec & Ollivier 2018.

    A unit that keeps the share sigmoid(b) of its state in a step forgets it in about
    ``1 / (1 - sigmoid(b)) = 1 + exp(b)`` steps. So an LSTM starts with ``b_f ~ log(U(1, longest -
    1))`` and ``b_i = -b_f`` (arXiv:1804.11188), a GRU with ``b_z ~ log(U(1, longest - 1))``, since
    PyTorch's z is the share that is kept. Other gates have 0.

    Parameters
    ----------
    longest : float
        Range of the dependencies in the data, in steps; at least 2. The paper takes the length of
        the sequences where it is not known.
    cell : {"lstm", "gru"}, optional
        As the `bias_init` of a layer it is that of the layer; drawn by hand it must be given.

    Raises
    ------
    TypeError, ValueError
        Also for a shape other than ``(4 * H,)`` of an LSTM, ``(3 * H,)`` of a GRU; and in a layer
        with another cell.
    """
    longest = number("longest", longest, minimum=2.0)
    if cell is not None and cell not in _GATES:
        raise unknown("cell", cell, _GATES)

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        if cell is None:
            raise ValueError("cell: chrono outside of a layer needs 'lstm' or 'gru', got None")
        bias, gates = _bias(f"chrono of cell {cell!r}", shape, _GATES[cell])
        gates[1] = np.log(rng.uniform(1.0, longest - 1.0, gates.shape[1]))
        if cell == "lstm":
            gates[0] = -gates[1]
        return bias

    return Initializer("chrono", (("longest", longest), ("cell", cell)), draw)


def for_cell(init: InitFunction, cell: str) -> InitFunction:
    """What the biases of such a cell start with: `init`, which learns here what cell it is of.

    Parameters
    ----------
    init : callable
        Any initializer; only those that treat gates differently depend on the cell.
    cell : {"rnn", "lstm", "gru"}

    Raises
    ------
    ValueError
        If it is of another cell.
    """
    if not isinstance(init, Initializer) or init.name not in ("chrono", "forget_bias"):
        return init
    settings: dict[str, Any] = dict(init.settings)
    own = settings["cell"] if init.name == "chrono" else "lstm"
    known = _GATES if own is None else (own,)
    if cell not in known:
        wanted = " or ".join(name.upper() for name in known)
        raise ValueError(f"{init} is of the gates of {wanted}, got {cell.upper()}")
    return init if own == cell else chrono(**settings | {"cell": cell})


def _bias(name: str, shape: tuple[int, ...], gates: int) -> tuple[Array, Array]:
    """Zeros of this shape, and a view of them with a row for each gate."""
    if len(shape) != 1 or shape[0] % gates:
        raise ValueError(f"shape: {name} needs ({gates} * H,), got {shape}")
    bias = np.zeros(shape)
    return bias, bias.reshape(gates, -1)


def _spectral_radius(matrix: Array) -> float:
    """Gelfand's formula, ``|A^m|^(1/m)``, for m = 2^60.

    As exact as LAPACK's eigenvalues, whose last bits depend on the number of BLAS threads. The norm
    is a multiple of the eigenvalue's m-th power, whose m-th root is 1 in float64.
    """
    product = backends.active().product_nn
    power, radius = matrix, 1.0
    for k in range(_SQUARINGS + 1):
        if k:
            square = np.empty_like(power)
            product(power, power, None, 0, square)
            power = square
        norm = math.sqrt(np.einsum("ij,ij->", power, power))
        radius *= norm ** math.ldexp(1.0, -k)
        power = power / norm
    return radius
