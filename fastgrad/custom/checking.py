"""What a user's function must be, found out when it is decorated; errors name the user's line."""

from __future__ import annotations

import inspect
import math
import re
import traceback
import types
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fastgrad.custom.elementwise import Elementwise

LIMIT = 12.0  # the functions are tried out for |z| up to this
_TARGETS = (0.0, 0.25, 0.5, 1.0)
_STEP = 2.0**-17  # of finite differences: about eps^(1/3), and z + h has no rounding
_FAR = (15.0, 20.0, 50.0, 100.0, 1000.0)  # there, values need not be finite
_AGREEMENT = 1e-6  # of compiled values: the last bits of exp, magnified 1e10 times
_TOLERANCE = 1e-5  # of derivatives, relative


def function(what: str, arguments: tuple[str, ...], given: Any) -> types.FunctionType:
    """`given`, if it is a function in Python that can be called with so many numbers."""
    given = getattr(given, "py_func", given)  # that of Numba's @njit
    if not isinstance(given, types.FunctionType):
        raise TypeError(f"{what}: expected a function written in Python, got {given!r}")
    wanted = ", ".join(arguments)
    try:
        inspect.signature(given).bind(*arguments)
    except TypeError as why:
        raise TypeError(
            f"{what} {given.__name__} ({_place(given)}): must take {wanted}, and constants that "
            f"have a default: {why}"
        ) from None
    return given


def run(found: Elementwise) -> float:
    """Try the function out in Python; return the size of the steepest slope that was seen.

    Raises
    ------
    TypeError
        If it raises, or returns what is no number.
    ValueError
        If a value or a derivative is not finite, or they do not belong together.
    """
    steepest = 0.0
    rest = [(t,) for t in _TARGETS] if len(found.arguments) > 1 else [()]
    for z in _points():
        for others in rest:
            point = z, *others
            value, slope = _tried(found, point)
            for name, number in ((found.name, value), ("derivative", slope)):
                if not math.isfinite(number):
                    raise ValueError(
                        f"{_title(found)}: {name} must be finite for |z| <= {LIMIT:g}, but is "
                        f"{number} at {_shown(found, point)}"
                    )
            _see_derivative(found, point, value, slope)
            steepest = max(steepest, abs(slope))
    return steepest


def run_compiled(found: Elementwise, dtype: Any) -> None:
    """Try out what is compiled for a dtype: float32 overflows where Python does not.

    Raises
    ------
    TypeError
        If it is not what Python makes of the function, which may raise an error far from 0.
    ValueError
        If a value or a derivative is not finite.
    """
    if dtype == np.float64:
        _see_far(found)
    points = np.array(_points(), dtype)
    rest = np.array(_TARGETS if len(found.arguments) > 1 else [0.0], dtype)
    z, target = (grid.ravel().copy() for grid in np.meshgrid(points, rest))
    results = found.applied(*(z, target)[: len(found.arguments)])
    for name, numbers in zip((found.name, "derivative"), results, strict=True):
        for i in np.flatnonzero(~np.isfinite(numbers))[:1]:
            point = (z[i], target[i])[: len(found.arguments)]
            raise ValueError(
                f"{_title(found)}: {name} must be finite for |z| <= {LIMIT:g}, but is {numbers[i]} "
                f"at {_shown(found, point)} in {np.dtype(dtype)}"
            )


def _see_far(found: Elementwise) -> None:
    """Hold compiled values against those of Python, where they are finite."""
    z = np.array([*_points(), *(sign * far for far in _FAR for sign in (-1.0, 1.0))])
    rest = [np.full(z.size, t) for t in _TARGETS] if len(found.arguments) > 1 else [None]
    for target in rest:
        arrays = (z,) if target is None else (z, target)
        values, _ = found.applied(*arrays)
        for i in range(z.size):
            point = tuple(float(array[i]) for array in arrays)
            true = _tried(found, point)[0]
            if math.isfinite(true) and not abs(values[i] - true) <= _AGREEMENT * (1 + abs(true)):
                raise TypeError(
                    f"{_title(found)}: is {true:.6g} at {_shown(found, point)}, but compiled it "
                    f"gives {values[i]:.6g}; whole numbers have 64 bits there"
                )


def _points() -> list[float]:
    """Where kinks are likely, and where they are not."""
    likely = np.linspace(-LIMIT, LIMIT, round(8 * LIMIT) + 1)
    golden = (math.sqrt(5) - 1) / 2
    others = [LIMIT * (2 * (k * golden % 1) - 1) * (0.1 if k % 3 == 0 else 1) for k in range(64)]
    return sorted({*likely.tolist(), *others})


def _tried(found: Elementwise, point: tuple[float, ...]) -> tuple[float, float]:
    try:
        value, slope = found.at(*point)
    except Exception as why:
        line = _line(found, why.__traceback__)
        raise TypeError(
            f"{_title(found, line)}: {type(why).__name__} at {_shown(found, point)}: {why}"
        ) from why
    for name, number in ((found.name, value), ("derivative", slope)):
        real = isinstance(number, (int, float, np.integer, np.floating))
        if not real or isinstance(number, bool):
            raise TypeError(
                f"{_title(found)}: {name} must return a number, got {type(number).__name__} "
                f"{number!r} at {_shown(found, point)}"
            )
    return float(value), float(slope)


def _see_derivative(
    found: Elementwise, point: tuple[float, ...], value: float, slope: float
) -> None:
    """Hold the derivative against finite differences of either side, or of both.

    Sides that no limit can be seen of, as at a jump, are not looked at.
    """

    def f(offset: float) -> float:
        return _tried(found, (point[0] + offset, *point[1:]))[0]

    sides = []
    for sign in (-1.0, 1.0):
        ahead = [f(sign * _STEP * k) for k in (0.5, 1, 2)]
        # exact for parabolas
        near = sign * (4 * ahead[0] - ahead[1] - 3 * value) / _STEP
        far = sign * (4 * ahead[1] - ahead[2] - 3 * value) / (2 * _STEP)
        rounding = 16 * float(np.finfo(float).eps) * max(map(abs, ahead)) / _STEP
        if abs(near - far) <= 1e-3 * max(abs(near), abs(far)) + rounding:
            sides.append((near, rounding))
    if not sides:
        return
    low, high = (bound(near + 0.0 for near, _ in sides) for bound in (min, max))
    room = _TOLERANCE * (abs(slope) + max(abs(low), abs(high))) + max(r for _, r in sides)
    room += _TOLERANCE * 1e-3
    if found.derivative is None and (len(sides) < 2 or high - low > room):
        return  # of a sum with several kinks in one place, its code may take each from another side
    if not low - room <= slope <= high + room:
        given = "derivative" if found.derivative else "derivative of its code"
        between = f"{low:.6g}" if high - low <= room else f"{low:.6g} to {high:.6g}"
        raise ValueError(
            f"{_title(found)}: the {given} is {slope:.6g} at {_shown(found, point)}, but finite "
            f"differences of {found.name} give {between}"
        )


def compiled(found: Elementwise, dtype: Any) -> Any:
    """The C function for a dtype; TypeError if Numba cannot make it, ImportError without Numba."""
    try:
        from numba.core.errors import NumbaError

        from fastgrad.custom import compiling
    except ImportError as why:
        raise ImportError(
            f"{_title(found)}: needs Numba to be compiled (pip install fastgrad[numba]): {why}"
        ) from None
    try:
        return compiling.made(found, dtype)
    except NumbaError as why:
        raise TypeError(_distilled(found, why)) from why
    except Exception as why:  # Numba has no name for everything that it does not know
        raise TypeError(
            f"{_title(found)}: cannot be compiled: {type(why).__name__}: {why}"
        ) from why


def _distilled(found: Elementwise, why: Any) -> str:
    """What Numba says of the user's own line, without the way that it took there."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(why))
    line = None
    if why.loc is not None and why.loc.filename in found.files:
        line = why.loc.filename, why.loc.line
    names = {path.rpartition("/")[2]: path for path in found.files}
    for path, number in re.findall(r'File "([^"]+)", line (\d+)', text):
        known = names.get(path.rpartition("/")[2])
        if known is not None and line is None:
            line = known, int(number)
    said = [row.strip() for row in text.splitlines()]
    said = [row for row in said if row and not row.startswith("Failed in nopython mode")]
    return f"{_title(found, line)}: cannot be compiled: {said[0].rstrip(':') if said else text}"


def _line(found: Elementwise, trace: Any) -> tuple[str, int] | None:
    """The innermost of the user's lines."""
    lines = [(f.filename, f.lineno) for f in traceback.extract_tb(trace) if f.lineno is not None]
    own = [line for line in lines if line[0] in found.files]
    return own[-1] if own else None


def _place(given: types.FunctionType) -> str:
    return f"{given.__code__.co_filename}:{given.__code__.co_firstlineno}"


def _title(found: Elementwise, line: tuple[str, int] | None = None) -> str:
    place = found.place if line is None else f"{line[0]}:{line[1]}"
    return f"{found.what} {found.name} ({place})"


def _shown(found: Elementwise, point: tuple[float, ...]) -> str:
    pairs = zip(found.arguments, point, strict=True)
    return ", ".join(f"{name} = {value:.6g}" for name, value in pairs)
