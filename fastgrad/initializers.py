"""Initial values of parameters.

An initializer is a callable ``init(shape, rng, dtype)`` that returns a new C-contiguous array. A
dense weight has the shape ``(fan_out, fan_in)``, PyTorch's ``(out_features, in_features)``. Values
are drawn in float64 and rounded once, so that from one seed a float32 and a float64 model start at
the same point.

Whatever only sets a variance is one `variance_scaling`. Normals are plain, as in the papers and in
PyTorch; JAX and Keras truncate theirs. Every factory raises TypeError for an argument that is no
number and ValueError for one that is not finite or outside the range it states.
"""

from __future__ import annotations

import functools
import inspect
import math
import numbers
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
InitFunction: TypeAlias = Callable[[Sequence[int], np.random.Generator, npt.DTypeLike], Array]
Mode = Literal["fan_in", "fan_out", "fan_avg"]
Distribution = Literal["normal", "truncated_normal", "uniform"]

# Standard deviation of a standard normal cut at +-2: sqrt(1 - 4 pdf(2) / (2 cdf(2) - 1)).
_TRUNCATED_STD = 0.87962566103423978


@dataclass(frozen=True, repr=False)
class Initializer:
    """What the factories below return: compared, hashed, shown and stored by its settings.

    Parameters
    ----------
    name : str
        The factory that makes it.
    settings : tuple of (str, float or str)
        The arguments of that factory, all of them.
    draw : callable
        ``draw(shape, rng)`` returns float64; `shape` has no zero in it.
    """

    name: str
    settings: tuple[tuple[str, float | str], ...]
    draw: Callable[[tuple[int, ...], np.random.Generator], Array] = field(compare=False)

    def __call__(
        self, shape: Sequence[int], rng: np.random.Generator, dtype: npt.DTypeLike
    ) -> Array:
        """Draw an array.

        Parameters
        ----------
        shape : sequence of int
            ``(fan_out, fan_in)`` for a dense weight, ``(length,)`` for a bias.
        rng : numpy.random.Generator
            Advances alike for both dtypes.
        dtype : dtype-like
            float32 or float64.

        Returns
        -------
        ndarray, C-contiguous

        Raises
        ------
        TypeError
            If `shape` holds anything but integers, or `rng` or `dtype` is something else.
        ValueError
            If `shape` does not suit this initializer, or a value overflows `dtype`.
        """
        if not isinstance(rng, np.random.Generator):
            raise TypeError(f"rng: expected numpy.random.Generator, got {type(rng).__name__}")
        dims = _dims(shape)
        # An empty array may have a fan of zero: nothing to draw, nothing to divide by.
        values = self.draw(dims, rng) if math.prod(dims) else np.empty(dims)
        return _rounded(values, dtype, repr(self))

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in self.settings)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return from_config, (to_config(self),)  # pickle cannot store `draw`, a closure


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """Count the connections into and out of one unit.

    Parameters
    ----------
    shape : sequence of int
        ``(fan_out, fan_in)``; ``(out, in, receptive field...)``; or ``(length,)``, for which both
        fans are the length. ValueError for ``()``.

    Returns
    -------
    fan_in, fan_out : int
    """
    dims = _dims(shape)
    if not dims:
        raise ValueError("shape: expected at least 1 dimension, got ()")
    receptive = math.prod(dims[2:])
    return dims[min(1, len(dims) - 1)] * receptive, dims[0] * receptive


def constant(value: float) -> Initializer:
    """Set every entry to `value`."""
    value = _number("value", value)
    return Initializer("constant", (("value", value),), lambda shape, _: np.full(shape, value))


def zeros() -> Initializer:
    """Set every entry to 0."""
    return constant(0.0)


def ones() -> Initializer:
    """Set every entry to 1."""
    return constant(1.0)


def uniform(low: float = -0.05, high: float = 0.05) -> Initializer:
    """Draw from U(low, high); ``low < high``."""
    low, high = _number("low", low), _number("high", high)
    if not low < high:
        raise ValueError(f"high: expected more than low = {low}, got {high}")
    settings = (("low", low), ("high", high))
    return Initializer("uniform", settings, lambda shape, rng: rng.uniform(low, high, shape))


def normal(std: float = 0.05, mean: float = 0.0) -> Initializer:
    """Draw from N(mean, std^2); ``std >= 0``."""
    std, mean = _number("std", std, minimum=0.0), _number("mean", mean)
    settings = (("std", std), ("mean", mean))
    return Initializer("normal", settings, lambda shape, rng: rng.normal(mean, std, shape))


def truncated_normal(
    std: float = 0.05, mean: float = 0.0, lower: float = -2.0, upper: float = 2.0
) -> Initializer:
    """Draw from N(mean, std^2) restricted to [mean + lower std, mean + upper std].

    Parameters
    ----------
    std, mean : float
        Those before the cut, ``std >= 0``; cut at +-2, the draws have a deviation of 0.8796 `std`.
    lower, upper : float
        Bounds in units of `std`, as in JAX; ``lower < 0 < upper``.
    """
    std, mean = _number("std", std, minimum=0.0), _number("mean", mean)
    lower, upper = _number("lower", lower), _number("upper", upper)
    if not lower < 0.0 < upper:
        raise ValueError(f"lower, upper: expected lower < 0 < upper, got {lower}, {upper}")
    # Rejection from whichever proposal accepts more. With 0 between the bounds that is about every
    # second draw at worst.
    from_uniform = upper - lower < math.sqrt(2.0 * math.pi)

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        z = np.empty(math.prod(shape))
        slots = np.arange(z.size)
        while slots.size:
            if from_uniform:
                proposal = rng.uniform(lower, upper, slots.size)
                accepted = rng.random(slots.size) < np.exp(-0.5 * proposal * proposal)
            else:
                proposal = rng.standard_normal(slots.size)
                accepted = (lower <= proposal) & (proposal <= upper)
            z[slots] = proposal
            slots = slots[~accepted]
        return mean + std * z.reshape(shape)

    settings = (("std", std), ("mean", mean), ("lower", lower), ("upper", upper))
    return Initializer("truncated_normal", settings, draw)


def variance_scaling(scale: float, mode: Mode, distribution: Distribution) -> Initializer:
    """Draw with mean 0 and variance ``scale / fan``: the one law behind Xavier, He and LeCun.

    Parameters
    ----------
    scale : float
        At least 0.
    mode : {"fan_in", "fan_out", "fan_avg"}
        The fan; "fan_avg" is the mean of both.
    distribution : {"normal", "truncated_normal", "uniform"}
        The truncated one is cut at two standard deviations and has that variance after the cut.
    """
    scale = _number("scale", scale, minimum=0.0)
    for name, given, allowed in (
        ("mode", mode, get_args(Mode)),
        ("distribution", distribution, get_args(Distribution)),
    ):
        if given not in allowed:
            raise _unknown(name, given, allowed)

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        fan_in, fan_out = fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
        std = math.sqrt(scale / fan)
        if distribution == "uniform":
            return std * rng.uniform(-math.sqrt(3.0), math.sqrt(3.0), shape)
        if distribution == "normal":
            return std * rng.standard_normal(shape)
        return truncated_normal(std / _TRUNCATED_STD).draw(shape, rng)

    settings = (("scale", scale), ("mode", mode), ("distribution", distribution))
    return Initializer("variance_scaling", settings, draw)


def xavier_uniform(gain: float = 1.0) -> Initializer:
    """Uniform, variance ``gain^2 / fan_avg``: Glorot and Bengio 2010, eq. 16; ``gain >= 0``."""
    return variance_scaling(_xavier_scale(gain), "fan_avg", "uniform")


def xavier_normal(gain: float = 1.0) -> Initializer:
    """Normal, variance ``gain^2 / fan_avg``: Glorot and Bengio 2010, eq. 12; ``gain >= 0``."""
    return variance_scaling(_xavier_scale(gain), "fan_avg", "normal")


def he_uniform(negative_slope: float = 0.0, mode: Mode = "fan_in") -> Initializer:
    """Uniform, variance ``2 / ((1 + negative_slope^2) fan)``: see `he_normal`."""
    return variance_scaling(_rectifier_scale(negative_slope), mode, "uniform")


def he_normal(negative_slope: float = 0.0, mode: Mode = "fan_in") -> Initializer:
    """Normal, variance ``2 / ((1 + negative_slope^2) fan)``: He et al. 2015, eq. 15.

    "fan_in" keeps the variance of the signal (eq. 10), "fan_out" that of the gradient (eq. 14).
    """
    return variance_scaling(_rectifier_scale(negative_slope), mode, "normal")


def lecun_uniform() -> Initializer:
    """Uniform, variance ``1 / fan_in``: LeCun et al. 1998, Efficient BackProp, eq. 16."""
    return variance_scaling(1.0, "fan_in", "uniform")


def lecun_normal() -> Initializer:
    """Normal, variance ``1 / fan_in``: Klambauer et al. 2017, "Initialization", for SELU."""
    return variance_scaling(1.0, "fan_in", "normal")


def torch_default() -> Initializer:
    """U(-1/sqrt(fan_in), 1/sqrt(fan_in)): the weights of ``torch.nn.Linear``.

    PyTorch draws the bias within the same bounds, with the `fan_in` of its weight.
    """
    return variance_scaling(1.0 / 3.0, "fan_in", "uniform")


def orthogonal(gain: float = 1.0) -> Initializer:
    """Draw `gain` times a uniformly (Haar) random matrix: Saxe et al. 2013, arXiv:1312.6120.

    Its rows are orthonormal, or its columns where those are fewer. A receptive field counts as
    columns. ValueError for a shape of fewer than 2 dimensions.
    """
    gain = _number("gain", gain)

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        if len(shape) < 2:
            raise ValueError(f"shape: orthogonal needs at least 2 dimensions, got {shape}")
        rows, cols = shape[0], math.prod(shape[1:])
        q = rng.standard_normal((min(rows, cols), max(rows, cols)))
        # Gram-Schmidt with every projection done twice: orthogonal to rounding (Giraud et al.
        # 2005), and uniform because norms are positive (a QR must fix its signs, Mezzadri 2007).
        # LAPACK's QR takes 0.4 of the time, but its last bits depend on the number of BLAS threads;
        # einsum calls no BLAS.
        for k in range(len(q)):
            row = q[k]
            for _ in range(2):
                row -= np.einsum("i,ij->j", np.einsum("ij,j->i", q[:k], row), q[:k])
            row /= math.sqrt(np.einsum("j,j->", row, row))
        return gain * (q if rows <= cols else q.T).reshape(shape)

    return Initializer("orthogonal", (("gain", gain),), draw)


def identity(gain: float = 1.0) -> Initializer:
    """Set the main diagonal to `gain`, the rest to 0: Le et al. 2015, arXiv:1504.00941.

    ValueError for a shape of other than 2 dimensions.
    """
    gain = _number("gain", gain)

    def draw(shape: tuple[int, ...], _: np.random.Generator) -> Array:
        if len(shape) != 2:
            raise ValueError(f"shape: identity needs 2 dimensions, got {shape}")
        return gain * np.eye(*shape)

    return Initializer("identity", (("gain", gain),), draw)


# Activation: its gain, and the initializer of the weights in front of it. The gains of identity to
# selu are PyTorch's; the others are 1 / sqrt(E[phi(z)^2]) for z ~ N(0, 1), the rule behind sqrt(2).
_ACTIVATIONS: Mapping[str, tuple[float, Callable[[], Initializer]]] = {
    "identity": (1.0, xavier_uniform),
    "sigmoid": (1.0, xavier_uniform),
    "tanh": (5.0 / 3.0, xavier_uniform),
    "relu": (math.sqrt(2.0), he_normal),
    "selu": (3.0 / 4.0, lecun_normal),
    "elu": (1.2451983007007066, he_normal),
    "gelu": (1.5335304411955353, he_normal),
    "gelu_tanh": (1.5335304411955353, he_normal),
    "silu": (1.6765324703310909, he_normal),
    "softplus": (1.0418668355353016, he_normal),
    "softsign": (2.3375333631085398, xavier_uniform),
}


def gain(activation: str, negative_slope: float = 0.01) -> float:
    """Factor on the standard deviation of the weights in front of an activation.

    Parameters
    ----------
    activation : str
        "identity", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "softsign",
        "tanh" or "sigmoid"; ValueError for another.
    negative_slope : float
        Of "leaky_relu"; the others ignore it.

    Returns
    -------
    float
        ``torch.nn.init.calculate_gain``: identity and sigmoid 1, tanh 5/3, relu sqrt(2), leaky_relu
        ``sqrt(2 / (1 + negative_slope^2))``, selu 3/4 (empirical; to normalize itself it needs 1).
        Where PyTorch has none, ``1 / sqrt(E[phi(z)^2])`` for z ~ N(0, 1): elu (alpha 1) 1.245, gelu
        1.534, silu 1.677, softplus 1.042, softsign 2.338.
    """
    return _activation(activation, negative_slope)[0]


def for_activation(activation: str, negative_slope: float = 0.01) -> Initializer:
    """Choose the initializer of the weights in front of an activation: the default of a layer.

    Parameters
    ----------
    activation, negative_slope
        As for `gain`.

    Returns
    -------
    Initializer
        `he_normal` for relu, leaky_relu (with its slope), elu, gelu, silu and softplus;
        `lecun_normal` for selu; `xavier_uniform` for identity, tanh, sigmoid and softsign.
    """
    return _activation(activation, negative_slope)[1]()


_FACTORIES: Mapping[str, Callable[..., Initializer]] = {
    factory.__name__: factory
    for factory in (
        constant,
        he_normal,
        he_uniform,
        identity,
        lecun_normal,
        lecun_uniform,
        normal,
        ones,
        orthogonal,
        torch_default,
        truncated_normal,
        uniform,
        variance_scaling,
        xavier_normal,
        xavier_uniform,
        zeros,
    )
}


def get(spec: str | InitFunction | Array) -> InitFunction:
    """Make an initializer of whatever a layer was given.

    Parameters
    ----------
    spec : str, callable or ndarray
        The name of a factory, which is called with its defaults; an initializer, returned as it
        is; or the values themselves, copied now and good for one shape.

    Returns
    -------
    callable
        ``init(shape, rng, dtype)``.

    Raises
    ------
    ValueError
        If no factory has that name.
    TypeError
        If that factory needs arguments, the array is not one of real numbers, or `spec` is a
        factory itself or something else.
    """
    if isinstance(spec, str):
        return _made(spec, {})
    if isinstance(spec, np.ndarray):
        if spec.dtype.kind not in "iuf":
            raise TypeError(f"initializer: expected an array of real numbers, got {spec.dtype}")
        return functools.partial(_given, spec.copy())
    if not callable(spec) or (inspect.isfunction(spec) and spec in _FACTORIES.values()):
        raise TypeError(
            "initializer: expected a name, an ndarray or a callable init(shape, rng, dtype) such "
            f"as he_normal(), got {spec!r}"
        )
    return spec


def to_config(init: InitFunction) -> dict[str, Any] | None:
    """Describe an initializer: ``{"name": ..., argument: value, ...}``, ready for JSON.

    None for the initializer of an array and for a callable from elsewhere.
    """
    return {"name": init.name, **dict(init.settings)} if isinstance(init, Initializer) else None


def from_config(config: Mapping[str, Any]) -> Initializer:
    """Make the initializer that `to_config` described.

    Parameters
    ----------
    config : mapping
        The "name" of a factory, and arguments of it.

    Raises
    ------
    TypeError, ValueError
        If the name is missing or unknown, or the arguments do not suit that factory.
    """
    if not isinstance(config, Mapping) or "name" not in config:
        raise ValueError(f'config: expected a mapping with a "name", got {config!r}')
    return _made(config["name"], {key: config[key] for key in config if key != "name"})


def _made(name: str, arguments: Mapping[str, Any]) -> Initializer:
    if name not in _FACTORIES:
        raise _unknown("initializer", name, _FACTORIES)
    signature = inspect.signature(_FACTORIES[name])
    try:
        signature.bind(**arguments)
    except TypeError as why:
        raise TypeError(f"initializer {name}{signature}: {why}") from None
    return _FACTORIES[name](**arguments)


def _given(
    values: Array, shape: Sequence[int], _: np.random.Generator, dtype: npt.DTypeLike
) -> Array:
    if values.shape != _dims(shape):
        raise ValueError(f"initializer: expected an array of shape {shape}, got {values.shape}")
    return _rounded(values, dtype, "initializer")


def _rounded(values: Array, dtype: npt.DTypeLike, name: str) -> Array:
    target = np.dtype(dtype)
    if target not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"dtype: expected float32 or float64, got {target}")
    with np.errstate(over="ignore"):
        rounded = np.array(values, dtype=target, order="C")
    if not np.isfinite(rounded).all():
        raise ValueError(f"{name}: expected values that are finite as {target}")
    return rounded


def _dims(shape: Sequence[int]) -> tuple[int, ...]:
    try:
        dims = tuple(operator.index(length) for length in shape)
    except TypeError:
        raise TypeError(f"shape: expected a sequence of integers, got {shape!r}") from None
    if any(length < 0 for length in dims):
        raise ValueError(f"shape: expected no negative length, got {dims}")
    return dims


def _number(name: str, value: Any, minimum: float = -math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: expected a number, got {value!r}")
    number = float(value)
    if not (math.isfinite(number) and number >= minimum):
        bound = "" if minimum == -math.inf else f" of at least {minimum}"
        raise ValueError(f"{name}: expected a finite number{bound}, got {value!r}")
    return number


def _activation(name: str, negative_slope: float) -> tuple[float, Callable[[], Initializer]]:
    if name == "leaky_relu":
        init = functools.partial(he_normal, negative_slope)
        return math.sqrt(_rectifier_scale(negative_slope)), init
    if name not in _ACTIVATIONS:
        raise _unknown("activation", name, [*_ACTIVATIONS, "leaky_relu"])
    return _ACTIVATIONS[name]


def _rectifier_scale(negative_slope: float) -> float:
    slope = _number("negative_slope", negative_slope)
    return 2.0 / (1.0 + slope * slope)


def _xavier_scale(gain: float) -> float:
    gain = _number("gain", gain, minimum=0.0)
    return gain * gain


def _unknown(what: str, name: object, known: Iterable[str]) -> ValueError:
    return ValueError(f"{what}: expected one of {', '.join(sorted(known))}, got {name!r}")
