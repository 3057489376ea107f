"""What holds for every kernel: threads change no bit, and each level runs what is its own."""

from __future__ import annotations

import contextlib
import importlib

import pytest
from harness import example, meant
from rounding import ACTIVATIONS

from fastgrad.backends import contract, cython, load

# Sizes at which every kernel shares its work, most of them multiples of nothing.
SHARED = {"M": 700, "N": 645, "K": 35, "I": 35, "O": 67, "C": 67, "n": 30_001, "P": 130_001}
SHARED |= {"B": 41, "S": 3, "R": 50, "F": 401, "G": 803, "L": 35, "V": 3001, "T": 3, "H": 35}
CASES = [(kernel, {}) for kernel in contract.CONTRACT]
CASES += [("check_finite", {"P": 520_001}), ("gather_labels", {"M": 65_000, "N": 64_001})]
# Shares of rows that leave so few to a thread that alone they would be dot products ...
CASES += [(f"product_{b}", {"M": m, "N": 128, "K": 256}) for b in ("nn", "nt") for m in (17, 30)]
CASES += [("dense_forward", {"N": n, "I": 2000, "O": 16}) for n in (17, 18)]
# ... and shares of columns, over which activations run row by row.
WIDE = {"N": 20, "I": 200, "O": 333}
CASES += [("dense_backward", WIDE)]
CASES += [("dense_forward", WIDE | {"activation": f, "alpha": alpha}) for f, alpha in ACTIVATIONS]
# Steps of sequences the other way, and weights of a GRU.
CASES += [(kernel, {"reverse": 0}) for kernel in ("to_steps", "from_steps", "indices_to_steps")]
CASES += [(kernel, {"add": 0}) for kernel in ("from_steps", "take_rows")]
CASES += [(k, {"O": 66, "turned": 22}) for k in contract.CONTRACT if k.startswith("gate_")]
# Recurrent layers of many sequences and of few, of which threads take units; of one unit each.
RECURRENT = [
    f"{cell}_{way}"
    for cell in ("rnn", "lstm", "lstm_norm", "gru")
    for way in ("forward", "backward")
]
FEW = [{"N": 1, "H": 520, "T": 2}, {"N": 3, "H": 333, "T": 2}, {"N": 7, "H": 200}]
CASES += [(kernel, sizes) for kernel in RECURRENT for sizes in [*FEW, {"N": 3, "H": 5}]]
CASES += [(k, {"N": n, "H": 130, "before": 1}) for k in RECURRENT[-2:] for n in (4, 200)]
CASES += [(k, {"N": 70, "H": 100, "activation": "gelu"}) for k in RECURRENT[:2]]
CASES += [(k, {"N": 90, "H": 100, "initial": 0}) for k in RECURRENT[1::2]]


def identify(case):
    return case if isinstance(case, str) else "x".join(map(str, case.values()))


@pytest.mark.parametrize(("kernel", "changes"), CASES, ids=identify)
def test_threads_change_nothing(ops, run, rng, dtype, threads, monkeypatch, kernel, changes):
    if ops.name == "numba":
        import numba

        if numba.config.DISABLE_JIT:
            pytest.skip("plain Python has one thread")
        # whatever waking them costs
        monkeypatch.setattr("fastgrad.backends.numba.replay.STARTING", 0)
    given = example(kernel, dtype, rng, **SHARED | changes)
    results = []
    for count in (1, 2, 3, 5):
        threads(count)
        out = meant(kernel, given, run(kernel, **given))
        results.append({name: array.tobytes() for name, array in out.items()})
    differ = {name for result in results for name in result if result[name] != results[0][name]}
    assert not differ


def levels_here():
    for level in cython.LEVELS:
        with contextlib.suppress(ImportError):
            yield load(f"cython:{level}")


@pytest.mark.parametrize("kernel", contract.CONTRACT)
def test_a_call_names_the_function_of_its_level(rng, kernel):
    given = example(kernel, "float32", rng).values()
    calls = [level.record(kernel, *given) for level in levels_here()]
    assert len({call[:8] for call in calls}) == len(calls)
    assert len({len(call) for call in calls}) == 1


def test_a_table_that_lacks_a_kernel_is_refused():
    from fastgrad._kernels.record import Level

    level = cython.chosen_level()[0]
    rows = importlib.import_module(f"fastgrad._kernels.rows_{level}")
    with pytest.raises(ImportError, match="no compiled module has filled in kernel"):
        Level(rows.TABLE)
