"""Matrix products on one core, as a share of its multiply-add peak: ``python -m bench.products``.

Peak and products are measured in turns in this one process, round by round; the best of each
counts. "packed" is a product whose right-hand side was packed beforehand; nt, nn and tn are those
of a dense layer (forward, input gradient, weight gradient) with the packing counted.
"""

import argparse
import sys
from collections.abc import Sequence

from bench.machine import clear_overrides, machine, told

Product = tuple[str, int, int, int]
Size = tuple[int, int, int]

GOALS: dict[Product, float] = {
    ("packed", 32, 128, 512): 0.9,
    ("packed", 64, 784, 128): 0.9,
    ("packed", 128, 512, 512): 0.9,
    ("packed", 256, 2048, 2048): 0.9,
    ("nt", 128, 512, 512): 0.8,
    ("nt", 256, 2048, 2048): 0.8,
}
OTHERS: list[Product] = [(kind, 128, 512, 512) for kind in ("nn", "tn")]

# Multiples of every level's tile, and sizes that leave one element over, or all but one.
FULL = (96, 128, 256)
RAGGED = {
    "M": [(m, 128, 256) for m in (85, 91, 95)],
    "N": [(96, n, 256) for n in (97, 113, 127)],
    "K": [(96, 128, k) for k in (241, 249, 255)],
    "all": [(85, 97, 241), (91, 113, 249), (95, 127, 255)],
}
RAGGED_KINDS = ("packed", "nt", "nn", "tn")
RAGGED_LOSS = 0.15


def measured(
    level: str, products: Sequence[Product], rounds: int, seconds: float
) -> tuple[float, dict[Product, float]]:
    """Best peak and best rate of every product, in GFLOP/s."""
    from fastgrad.backends import cython

    probe = cython.probe(level)
    peak = 0.0
    rates = dict.fromkeys(products, 0.0)
    for _ in range(rounds):
        for product in products:
            peak = max(peak, probe.fma_peak("float32", seconds / 2))
            rates[product] = max(rates[product], probe.product_rate(*product, seconds))
    return peak, rates


def _size(product: Product) -> str:
    return "x".join(map(str, product[1:]))


def report(level: str, rounds: int, seconds: float) -> bool:
    """Measure and print one level; return whether every goal is met."""
    ragged = [(kind, *size) for kind in RAGGED_KINDS for sizes in RAGGED.values() for size in sizes]
    full = [(kind, *FULL) for kind in RAGGED_KINDS]
    peak, rates = measured(level, [*GOALS, *OTHERS, *full, *ragged], rounds, seconds)
    print(f"\n{level}: multiply-add peak {peak:.1f} GFLOP/s, float32, one core")
    good = True
    for product in [*GOALS, *OTHERS]:
        share, goal = rates[product] / peak, GOALS.get(product)
        met = goal is None or share >= goal
        good &= met
        said = "" if goal is None else f"  goal {goal:.0%} {'met' if met else 'SHORT'}"
        print(f"  {product[0]:<6}  {_size(product):>13}  {rates[product]:6.1f}  {share:4.0%}{said}")
    print(f"  largest loss against {_size(full[0])} of sizes that are no multiple of a tile:")
    for kind in RAGGED_KINDS:
        losses = {which: _largest_loss(rates, kind, sizes) for which, sizes in RAGGED.items()}
        met = max(losses.values()) <= RAGGED_LOSS
        good &= met
        said = "  ".join(f"{which} {loss:5.1%}" for which, loss in losses.items())
        print(f"  {kind:<6}  {said}  goal {RAGGED_LOSS:.0%} {'met' if met else 'SHORT'}")
    return good


def _largest_loss(rates: dict[Product, float], kind: str, sizes: list[Size]) -> float:
    return max(1 - rates[kind, *size] / rates[kind, *FULL] for size in sizes)


def main() -> int:
    """Measure the levels asked for; with --strict the exit status is 1 where a goal is not met."""
    parser = argparse.ArgumentParser(prog="python -m bench.products", description=__doc__)
    parser.add_argument("--level", action="append", choices=["base", "v3", "v4"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.02, help="for each product and round")
    parser.add_argument("--strict", action="store_true", help="fail where a goal is not met")
    chosen = parser.parse_args()
    clear_overrides()
    print(told("machine", machine()))
    met = []
    for level in chosen.level or ["v4", "v3"]:
        try:
            met.append(report(level, chosen.rounds, chosen.seconds))
        except ImportError as error:
            print(f"{level}: not measured: {error}")
    return int(chosen.strict and not all(met))


if __name__ == "__main__":
    sys.exit(main())
