"""What holds for every kernel: how many threads share the work changes no bit."""

from __future__ import annotations

import pytest
from harness import example
from rounding import ACTIVATIONS

from fastgrad.backends import contract

# Sizes at which every kernel shares its work, most of them multiples of nothing.
SHARED = {"M": 700, "N": 645, "K": 35, "I": 35, "O": 67, "C": 67, "n": 30_001, "P": 130_001}
SHARED |= {"B": 41, "S": 3, "R": 50, "F": 401, "G": 803, "L": 35, "V": 3001}
CASES = [(kernel, {}) for kernel in contract.CONTRACT]
CASES += [("check_finite", {"P": 520_001}), ("gather_labels", {"M": 65_000, "N": 64_001})]
# Shares of rows that leave so few to a thread that alone they would be dot products ...
CASES += [(f"product_{b}", {"M": m, "N": 128, "K": 256}) for b in ("nn", "nt") for m in (17, 30)]
CASES += [("dense_forward", {"N": n, "I": 2000, "O": 16}) for n in (17, 18)]
# ... and shares of columns, over which activations run row by row.
WIDE = {"N": 20, "I": 200, "O": 333}
CASES += [("dense_backward", WIDE)]
CASES += [("dense_forward", WIDE | {"activation": f, "alpha": alpha}) for f, alpha in ACTIVATIONS]


def identify(case):
    return case if isinstance(case, str) else "x".join(map(str, case.values()))


@pytest.mark.parametrize(("kernel", "changes"), CASES, ids=identify)
def test_threads_change_nothing(run, rng, dtype, threads, kernel, changes):
    given = example(kernel, dtype, rng, **SHARED | changes)
    results = []
    for count in (1, 2, 3, 5):
        threads(count)
        out = vars(run(kernel, **given))
        results.append({name: array.tobytes() for name, array in out.items()})
    differ = {name for result in results for name in result if result[name] != results[0][name]}
    assert not differ
