"""Elementary functions that LLVM vectorizes, the twins of src/fg_math.h.

``y[i] = tanh(x[i])`` in a loop compiled with `OPTIONS` becomes vector code at the full width of the
processor, without a call: Numba comes without a vector math library. Algorithms and constants are
those of the header, which says what they follow from; float32 stays float32. Reassociation
(``fastmath=True``) must be off: it would cancel the rounding by `round` and drop NaNs.

With ``NUMBA_DISABLE_JIT=1`` the same names are NumPy's functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

from fastgrad.backends.numba import coefficients

Scalar: TypeAlias = Any
Function: TypeAlias = Callable[..., Any]

# of whatever calls these functions, too: contraction is a multiply-add in one rounding
OPTIONS: dict[str, Any] = {"fastmath": {"contract"}, "error_model": "numpy", "boundscheck": False}
# one call left in a loop costs its vectorization
_INLINE = OPTIONS | {"forceinline": True}


def exp(x: Scalar) -> Scalar:
    """``e^x``."""
    with np.errstate(all="ignore"):
        return np.exp(x)


def expm1(x: Scalar) -> Scalar:
    """``e^x - 1``."""
    with np.errstate(all="ignore"):
        return np.expm1(x)


def tanh(x: Scalar) -> Scalar:
    """Hyperbolic tangent."""
    return np.tanh(x)


def sigmoid(x: Scalar) -> Scalar:
    """``1 / (1 + e^-x)``."""
    with np.errstate(all="ignore"):
        t = np.exp(-abs(x))
        return (t if x < 0 else 1) / (1 + t)


def erf(x: Scalar) -> Scalar:
    """The error function."""
    return type(x)(math.erf(x))


def log(x: Scalar) -> Scalar:
    """Natural logarithm."""
    with np.errstate(all="ignore"):
        return np.log(x)


def log1p(x: Scalar) -> Scalar:
    """``log(1 + x)``."""
    with np.errstate(all="ignore"):
        return np.log1p(x)


def sinpi(x: Scalar) -> Scalar:
    """``sin(pi x)`` for ``|x| <= 1/2``, the only arguments that it has to be good for."""
    return np.sin(np.pi * x)


@intrinsic
def _bits(typingctx: Any, x: Any) -> Any:
    """The bits of a float, as an unsigned integer of its size."""
    found = types.uint32 if x == types.float32 else types.uint64
    return found(x), _bitcast


@intrinsic
def _real(typingctx: Any, bits: Any) -> Any:
    """The float of these bits."""
    found = types.float32 if bits == types.uint32 else types.float64
    return found(bits), _bitcast


def _bitcast(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return builder.bitcast(args[0], context.get_value_type(signature.return_type))


def _polynomial(values: tuple[float, ...]) -> Any:
    """``sum(values[k] x^k)``, even and odd powers in separate Horner chains, as in the header."""

    @intrinsic
    def polynomial(typingctx: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            (u,) = args
            contract = ("contract",)
            z = builder.fmul(u, u, contract)
            chains: list[Any] = [None, None]
            for k in reversed(range(len(values))):
                value = ir.Constant(u.type, values[k])
                chain = chains[k % 2]
                if chain is not None:
                    value = builder.fadd(builder.fmul(chain, z, contract), value, contract)
                chains[k % 2] = value
            return builder.fadd(chains[0], builder.fmul(u, chains[1], contract), contract)

        return x(x), generate

    return polynomial


def _functions(
    real: Any, bits: Any, constants: dict[str, float], polynomials: dict[str, tuple[float, ...]]
) -> dict[str, Function]:
    """The functions for one type.

    Numba makes int64 of sums of integers, and float64 of floats and integers: every integer is
    wrapped in `bits`, which LLVM sees through, and every constant of a formula is a `real`.
    """
    inline = njit(**_INLINE)
    info = np.finfo(real)
    mantissa, bias = bits(info.nmant), info.maxexp - 1
    ones = bits((1 << info.nmant) - 1)  # bits of the mantissa
    # added to a small number it rounds that to an integer, which the low bits of the sum hold
    rounder = float(3 << (info.nmant - 1))
    round_0, round_1, round_2 = real(rounder), real(rounder + bias), real(rounder + 2 * bias)
    round_half = real(rounder + bias - 1)
    round_bits = round_0.view(bits)
    poly_expm1, poly_log, poly_erfc, poly_sinpi = (
        _polynomial(polynomials[name]) for name in ("expm1", "log", "erfc", "sinpi")
    )
    log2e, ln2, ln2_hi, ln2_lo = (real(constants[n]) for n in ("log2e", "ln2", "ln2_hi", "ln2_lo"))
    exp_min, exp_max, expm1_min, erf_max = (
        real(constants[name]) for name in ("exp_min", "exp_max", "expm1_min", "erf_max")
    )
    sqrt_half = real(constants["sqrt_half"]).view(bits)
    to_one = bits(real(1).view(bits) - sqrt_half)
    zero, half, one, two, quarter = (real(value) for value in (0, 0.5, 1, 2, 0.25))
    tiny, upscale, small = info.smallest_normal, real(1 / info.eps), real(info.eps / 4)
    bias_normal, bias_denormal = real(bias), real(bias + info.nmant)
    least = bits(2 * bias + 2)
    inf, nan = real(np.inf), real(np.nan)

    @inline
    def at_least(low: Scalar, x: Scalar) -> Scalar:  # which NaN passes, like the next
        return low if x < low else x

    @inline
    def at_most(high: Scalar, x: Scalar) -> Scalar:
        return high if x > high else x

    @inline
    def pow2(exponent: Scalar) -> Scalar:
        return _real(bits(exponent << mantissa))

    @inline
    def remainder(x: Scalar, n: Scalar) -> Scalar:
        return x - n * ln2_hi - n * ln2_lo

    @inline
    def bounded_exp(x: Scalar) -> Scalar:
        shifted = x * log2e + round_2
        r = remainder(x, shifted - round_2)
        p = one + r * (one + r * poly_expm1(r))
        exponent = _bits(shifted)
        first = bits(exponent >> bits(1))
        return p * pow2(first) * pow2(bits(exponent - first))

    @inline
    def bounded_expm1(x: Scalar, shift: Scalar, scaled_one: Scalar) -> Scalar:
        shifted = x * log2e + shift
        r = remainder(x, shifted - shift)
        p = r + r * r * poly_expm1(r)
        scale = pow2(_bits(shifted))
        return p * scale + (scale - scaled_one)

    def exp(x: Scalar) -> Scalar:
        return bounded_exp(at_least(exp_min, at_most(exp_max, x)))

    def expm1(x: Scalar) -> Scalar:
        bounded = at_least(expm1_min, at_most(exp_max, x))
        y = two * bounded_expm1(bounded, round_half, half)
        return x if abs(x) < small else y

    def tanh(x: Scalar) -> Scalar:
        u = bounded_expm1(at_least(expm1_min, -two * abs(x)), round_1, one)
        return math.copysign(u / (u + two), x)

    def sigmoid(x: Scalar) -> Scalar:
        t = bounded_exp(at_least(exp_min, -abs(x)))
        return (t if x < zero else one) / (one + t)

    def erf(x: Scalar) -> Scalar:
        a = at_most(erf_max, abs(x))
        return math.copysign(bounded_expm1(a * poly_erfc(a) - a, round_1, one), x)

    @inline
    def log_bits(x: Scalar) -> Scalar:
        return bits(_bits(x) + to_one)

    @inline
    def log_sum(biased: Scalar, added: Scalar, f: Scalar) -> Scalar:
        e = _real(bits(biased | round_bits)) - (round_0 + added)
        s = f / (two + f)
        z = s * s
        return e * ln2 + (f - s * (f - z * poly_log(z)))

    @inline
    def log_ends(x: Scalar, y: Scalar) -> Scalar:
        finite = y if x < inf else inf
        other = -inf if x == zero else nan
        return finite if x > zero else other

    def log(x: Scalar) -> Scalar:
        denormal = x < tiny
        b = log_bits(x * upscale if denormal else x)
        m = bits(bits(b & ones) + sqrt_half)
        added = bias_denormal if denormal else bias_normal
        return log_ends(x, log_sum(bits(b >> mantissa), added, _real(m) - one))

    def log1p(x: Scalar) -> Scalar:
        u = one + x
        biased = bits(log_bits(u) >> mantissa)
        scale = pow2(bits(least - biased))
        f = x * quarter * scale + (scale * quarter - one)
        return x if abs(x) < small else log_ends(u, log_sum(biased, bias_normal, f))

    def sinpi(x: Scalar) -> Scalar:
        return x * poly_sinpi(x * x)

    found = (exp, expm1, tanh, sigmoid, erf, log, log1p, sinpi)
    return {function.__name__: function for function in found}


def _register() -> None:
    """Make Numba compile the functions of this module as those of `_functions`."""
    of_type = {
        types.float32: _functions(
            np.float32, np.uint32, coefficients.FLOAT32, coefficients.POLYNOMIALS32
        ),
        types.float64: _functions(
            np.float64, np.uint64, coefficients.FLOAT64, coefficients.POLYNOMIALS64
        ),
    }

    def register(function: Function) -> None:
        name = function.__name__

        @overload(function, jit_options=_INLINE)
        def choose(x: Scalar) -> Scalar:  # annotated like what it returns, which Numba compares
            return of_type[x][name] if x in of_type else None

    for function in (exp, expm1, tanh, sigmoid, erf, log, log1p, sinpi):
        register(function)


_register()
