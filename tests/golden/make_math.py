"""Write math.npz: float64 arguments of the functions of src/fg_math.h, and the rounded results.

    python tests/golden/make_math.py

The arrays are named `<function>_x` and `<function>_y`; all their elements are finite.
"""

import math
import random
import sys
from pathlib import Path

import numpy as np
from mpmath import mp

mp.prec = 200
POINTS = 500  # from each of a function's samplers

MAX = sys.float_info.max
TINY = sys.float_info.min
DENORMAL = math.ulp(0.0)
TINIEST = [TINY, -TINY, 5 * DENORMAL, -5 * DENORMAL, DENORMAL, -DENORMAL]


def uniform(low, high):
    return lambda: random.uniform(low, high)


def magnitude(low, high, center=0, signs=(-1, 1)):
    """Distances from the center which are uniform in the exponent: many of them are tiny."""
    return lambda: center + random.choice(signs) * 2.0 ** random.uniform(low, high)


def positive(low, high, center=0):
    return magnitude(low, high, center, signs=(1,))


def sigmoid(x):
    return 1 / (1 + mp.exp(-x))


# function: (exact one, edges, samplers). The edges of the exponentials are the last arguments
# before they overflow or leave the normal numbers or the denormal ones.
FUNCTIONS = {
    "exp": (
        mp.exp,
        [709.782712893384, -708.3964185322641, -745.1332191019411, *TINIEST],
        [uniform(-745, 709.7), uniform(-745, -708), uniform(-1, 1), magnitude(-60, 9)],
    ),
    "expm1": (
        mp.expm1,
        [709.782712893384, -745.2, -MAX, *TINIEST],
        [uniform(-40, 709.7), uniform(-40, 2), uniform(-1, 1), magnitude(-60, 5)],
    ),
    "tanh": (
        mp.tanh,
        [MAX, -MAX, *TINIEST],
        [uniform(-20, 20), uniform(-2, 2), uniform(-0.5, 0.5), magnitude(-60, 5)],
    ),
    "sigmoid": (
        sigmoid,
        [MAX, -708.3964185322641, -745.1332191019411, *TINIEST],
        [uniform(-745, 40), uniform(-745, -708), uniform(-4, 4), magnitude(-60, 9)],
    ),
    "erf": (
        mp.erf,
        [MAX, -MAX, *TINIEST],
        [uniform(-6, 6), uniform(-1, 1), uniform(-0.3, 0.3), magnitude(-60, 3)],
    ),
    "log1p": (
        mp.log1p,
        [MAX, math.nextafter(-1, 0), *TINIEST],
        [uniform(-1, 2), positive(-52, -1, -1), magnitude(-60, -1), positive(0, 1023)],
    ),
    "log": (
        mp.log,
        [MAX, TINY, 5 * DENORMAL, DENORMAL, math.nextafter(1, 0), math.nextafter(1, 2)],
        [uniform(0, 4), magnitude(-52, -2, 1), positive(-1074, -1022), positive(-1022, 1023)],
    ),
}


def rounded(y):
    """float(y) would round denormal results twice."""
    if abs(y) < TINY:
        return math.ldexp(int(mp.nint(mp.ldexp(y, 1074))), -1074)
    return float(y)


def main():
    random.seed(0)
    arrays = {}
    for name, (function, edges, samplers) in FUNCTIONS.items():
        x = edges + [sample() for sample in samplers for _ in range(POINTS)]
        arrays[f"{name}_x"] = np.array(x)
        arrays[f"{name}_y"] = np.array([rounded(function(mp.mpf(v))) for v in x])
    assert all(np.isfinite(a).all() for a in arrays.values())
    np.savez_compressed(Path(__file__).with_name("math.npz"), **arrays)


if __name__ == "__main__":
    main()
