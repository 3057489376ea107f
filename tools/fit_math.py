"""Derive the constants of the elementary functions and print them for C or for Python.

    python tools/fit_math.py c > src/fg_math_coeffs.h
    python tools/fit_math.py python > fastgrad/backends/numba/coefficients.py

Every polynomial is a least-squares fit on Chebyshev nodes, weighted so that the residual is the
relative error of the function it serves. On such nodes the largest error comes within a small
factor of the minimax one, which is not worth the machinery of an exchange algorithm.
"""

import sys
from dataclasses import dataclass

from mpmath import mp, mpf

mp.dps = 60

LN2 = mp.log(2)
# Reduced arguments overshoot ln(2)/2 a little, because n = x / ln(2) is rounded before it is used.
EXP_RADIUS = LN2 / 2 * mpf("1.001")
LOG_RADIUS = (3 - 2 * mp.sqrt(2)) ** 2 * mpf("1.001")


@dataclass(frozen=True)
class Format:
    ctype: str
    suffix: str
    literal: str
    digits: int  # of the significand, the implicit one included
    exponent_digits: int
    degrees: dict

    def round(self, x):
        with mp.workprec(self.digits):
            return +x

    def hex(self, x):
        """An exact C literal; a float32 is a float64 too, which float.hex takes."""
        if x == int(x):
            return str(int(x))
        mantissa, exponent = float(x).hex().split("p")
        return f"{mantissa.rstrip('0')}p{exponent}{self.literal}"


# The smallest degrees that keep the fit below one unit roundoff of the function's value.
FORMATS = (
    Format("float", "f32", "f", 24, 8, {"expm1": 4, "log": 2, "erfc": 7, "sinpi": 4}),
    Format("double", "f64", "", 53, 11, {"expm1": 9, "log": 6, "erfc": 22, "sinpi": 8}),
)


def erfc_end(fmt):
    """Where erf has come within half a unit roundoff of one."""
    return mp.erfinv(1 - mpf(2) ** -(fmt.digits + 1))


def targets(fmt):
    """name: (what it is, function, weight, interval), the weight being d log(result) / d poly."""
    return {
        "expm1": (
            "expm1(x) = x + x^2 poly(x), |x| <= ln(2)/2",
            lambda x: (mp.expm1(x) - x) / x**2,
            lambda x: x**2 / mp.expm1(x),
            (-EXP_RADIUS, EXP_RADIUS),
        ),
        "log": (
            "log((1 + s) / (1 - s)) = 2s + s x poly(x), 0 <= x = s^2 <= (3 - sqrt(8))^2",
            lambda x: (2 * mp.atanh(mp.sqrt(x)) / mp.sqrt(x) - 2) / x,
            lambda x: x * mp.sqrt(x) / (2 * mp.atanh(mp.sqrt(x))),
            (mpf(0), LOG_RADIUS),
        ),
        "erfc": (
            "log(erfc(x)) = x poly(x) - x, 0 <= x <= erf_max",
            lambda x: mp.log(mp.erfc(x)) / x + 1,
            lambda x: x * mp.erfc(x) / mp.erf(x),
            (mpf(0), erfc_end(fmt)),
        ),
        "sinpi": (
            "sin(pi x) = x poly(x^2), |x| <= 1/2",
            lambda x: mp.sin(mp.pi * mp.sqrt(x)) / mp.sqrt(x),
            lambda x: mp.sqrt(x) / mp.sin(mp.pi * mp.sqrt(x)),
            (mpf(0), mpf(1) / 4),
        ),
    }


def chebyshev_nodes(low, high, count):
    middle, radius = (low + high) / 2, (high - low) / 2
    return [middle + radius * mp.cos(mp.pi * (2 * i + 1) / (2 * count)) for i in range(count)]


def fit(fmt, degree, function, weight, interval):
    """Coefficients, constant term first, and the largest weighted error between the nodes.

    Each coefficient is rounded as soon as it is known, and the ones above it are fitted anew to
    what is left, so that they make up for the rounding.
    """
    nodes = chebyshev_nodes(*interval, 8 * degree + 16)
    weights = [weight(x) for x in nodes]
    rest = [w * function(x) for w, x in zip(weights, nodes, strict=True)]
    coefficients = []
    for power in range(degree + 1):
        powers = range(power, degree + 1)
        basis = [[w * x**k for k in powers] for w, x in zip(weights, nodes, strict=True)]
        lowest = fmt.round(mp.lu_solve(mp.matrix(basis), mp.matrix(rest))[0])
        rest = [r - lowest * row[0] for r, row in zip(rest, basis, strict=True)]
        coefficients.append(lowest)
    checks = chebyshev_nodes(*interval, 64 * degree)
    error = max(abs(weight(x) * (mp.polyval(coefficients[::-1], x) - function(x))) for x in checks)
    return coefficients, error


def constants(fmt):
    emax = 2 ** (fmt.exponent_digits - 1)
    # n * ln2_hi must be exact for every exponent n, the denormal ones included.
    high_digits = fmt.digits - fmt.exponent_digits
    ln2_hi = mp.nint(LN2 * 2**high_digits) / 2**high_digits
    return {
        "log2e": 1 / LN2,
        "ln2": LN2,
        "ln2_hi": ln2_hi,
        "ln2_lo": LN2 - ln2_hi,
        "sqrt_half": mp.sqrt(mpf(1) / 2),
        # exp rounds to zero below the first and to infinity above the second.
        "exp_min": mp.floor(-(emax + fmt.digits - 2) * LN2),
        "exp_max": mp.ceil(emax * LN2),
        # Below the first expm1(x), and even tanh(x / 2), round to -1; above the second erf to 1.
        "expm1_min": mp.floor(-(fmt.digits + 2) * LN2),
        "erf_max": erfc_end(fmt),
    }


def print_poly(fmt, name, coefficients):
    """A function in which even and odd powers form separate Horner chains.

    One chain would be a single multiplication less, but twice the latency; that of erf is longer
    than the processor can hide by running into the next vectors.
    """
    print(f"FG_INLINE {fmt.ctype} fg_poly_{name}_{fmt.suffix}({fmt.ctype} x)\n{{")
    print(f"    {fmt.ctype} z = x * x;")
    degree = len(coefficients) - 1
    for power in range(degree, -1, -1):
        chain, coefficient = ("even", "odd")[power % 2], coefficients[power]
        if power > degree - 2:
            print(f"    {fmt.ctype} {chain} = {fmt.hex(coefficient)};")
        else:
            sign = "-" if coefficient < 0 else "+"
            print(f"    {chain} = {chain} * z {sign} {fmt.hex(abs(coefficient))};")
    print("    return even + x * odd;\n}")


def print_format(fmt):
    for name, value in constants(fmt).items():
        print(f"static const {fmt.ctype} fg_{name}_{fmt.suffix} = {fmt.hex(fmt.round(value))};")
    for name, (formula, *problem) in targets(fmt).items():
        coefficients, error = fit(fmt, fmt.degrees[name], *problem)
        units = mp.nstr(error * 2**fmt.digits, 2)
        print(f"\n/* {formula}.\n   Relative error: {units} * 2^-{fmt.digits}. */")
        print_poly(fmt, name, coefficients)


def print_c():
    print("/* Printed by tools/fit_math.py; do not edit. */")
    for fmt in FORMATS:
        print()
        print_format(fmt)


def python_hex(value):
    return f'number("{float(value).hex()}")'


def print_python():
    """The same values; polynomials as coefficients, constant term first."""
    print('"""Constants and polynomials of `math`, printed by tools/fit_math.py; do not edit."""\n')
    print("number = float.fromhex\n")
    for fmt in FORMATS:
        bits = fmt.suffix[1:]
        print(f"FLOAT{bits} = {{")
        for name, value in constants(fmt).items():
            print(f'    "{name}": {python_hex(fmt.round(value))},')
        print("}")
        print(f"POLYNOMIALS{bits} = {{")
        for name, (formula, *problem) in targets(fmt).items():
            coefficients, _ = fit(fmt, fmt.degrees[name], *problem)
            print(f"    # {formula}")
            print(f'    "{name}": (')
            for coefficient in coefficients:
                print(f"        {python_hex(coefficient)},")
            print("    ),")
        print("}")


if __name__ == "__main__":
    {"c": print_c, "python": print_python}[sys.argv[1]]()
