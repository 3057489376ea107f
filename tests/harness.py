"""Calling any kernel by its contract: arguments by name, every array between guards."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import own_functions
import pytest

from fastgrad import backends
from fastgrad.backends import contract
from fastgrad.backends.contract import room

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")
MOST_SIMULATED = 600  # multiply-adds or elements, each of which takes some 20 us there

GUARD = 67  # elements on either side; odd, so that no array is aligned to a vector
SENTINEL = {"f": np.nan, "i": -7}

# What an example call is made of
SIZES = {"M": 6, "N": 5, "K": 4, "I": 7, "O": 3, "n": 8, "C": 4, "P": 9, "B": 3, "S": 2}
SIZES |= {"D": 3, "Q": 5, "U": 8}
SIZES |= {"R": 6, "F": 2, "G": 5, "H": 5, "L": 3, "V": 6, "W": 5, "T": 4}
SCALARS = {"accumulate": 0, "activation": "tanh", "alpha": 1.0, "function": "exp", "delta": 0.3}
SCALARS |= {"limit": 0.5, "rows": 3, "factor": 0.3}
SCALARS |= {"eps": 1e-3, "momentum": 0.1, "p": 0.3, "seed": 2**62 + 5, "layer": 1, "center": 1}
SCALARS |= {"smoothing": 0.1, "eta": 0.3, "gamma": 0.55}
SCALARS |= {"low": -0.5, "high": 0.5, "elements": 10}
SCALARS |= {"start": 1, "padding": 2, "keep": 0.5, "add": 1, "decay": 0.9}
SCALARS |= {"reverse": 1, "turned": 0, "apart": 1, "before": 0, "initial": 1}
SCALARS |= {"percentile": 40.0, "threshold": 2.5, "warmup": 25, "min_std": 0.1, "max_norm": 1.0}
HYPER = {
    "sgd": [0.1, 0.9, 0.2, 0.01, 1],
    "rmsprop": [0.1, 0.9, 1e-8, 0.01, 0.5],
    "adagrad": [0.1, 0.2, 0.01, 1e-8],
    "adadelta": [0.1, 0.9, 1e-6, 0.01],
    "rprop": [0.1, 0.5, 1.2, 0.2, 0.9],
    "lion": [0.1, 0.9, 0.99, 0.01],
    "adam": [0.1, 0.9, 0.99, 1e-8, 0.01, 1, 0.5],
    "adamax": [0.1, 0.9, 0.99, 1e-8, 0.01],
    "nadam": [0.1, 0.9, 0.99, 1e-8, 0.01, 1, 4e-3],
    "radam": [0.1, 0.9, 0.99, 1e-8, 0.01, 1],
    "lamb": [0.1, 0.9, 0.99, 1e-6, 0.01],
    "lars": [0.1, 0.9, 0.01, 0.1, 1e-6, 1],
    "muon": [0.1, 0.9, 0.99, 1e-8, 0.01, 1, 1, 0.9, 1, 0.1, 1e-7, 3.4445, -4.775, 2.0315, 5, 0],
}
WEIGHTS = {
    "sample_weight",
    "class_weight",
    "square",
    "square_delta",
    "largest",
    "step_size",
    "var",
    "running_var",
    "scale",
    "norms",
    "bounds",
    "arrived",
    "moments",
    "sums",
}  # what must not be negative
COUNTERS = {"step", "first", "cursor", "status", "report", "ready"}  # what starts at zero


@functools.cache
def read_first(kernel: str) -> frozenset[str]:
    """The outputs that the contract marks with "!"."""
    outputs = contract.CONTRACT[kernel].split("->")[1].split()
    return frozenset(word.split("[")[0] for word in outputs if "!" in word)


def shape_of(dims: tuple[str, ...], sizes: dict[str, int]) -> tuple[int, ...]:
    found = map(contract.size_of, dims)
    return tuple(times * sizes.get(symbol, 1) + extra for times, symbol, extra in found)


def untouched(name: str, shape: tuple[int, ...], dtype) -> np.ndarray:
    """An output before the call, of which nothing may be read but a counter."""
    start = 0 if name in COUNTERS else SENTINEL[np.dtype(dtype).kind]
    return np.full(shape, start, dtype)


def offsets_of(lengths) -> np.ndarray:
    """Where each step of sequences of these lengths starts, and the last one ends."""
    lengths = np.asarray(lengths)
    steps = np.arange(lengths.max(initial=0))
    return np.append(0, np.cumsum((lengths[:, None] > steps).sum(axis=0))).astype(np.int64)


def ragged(rng: np.random.Generator, sequences: int, steps: int) -> np.ndarray:
    """Offsets of steps that end behind a part of the rows; the first is that of all sequences."""
    counts = np.sort(rng.integers(sequences + 1, size=steps))[::-1]
    return np.append(0, np.cumsum(np.append(sequences, counts[1:])[:steps]))


def sizes_for(kernel: str, changes: dict) -> dict[str, int]:
    """Sizes that go together: those of steps, of a turned weight and of panels follow."""
    names = {a.name for a in contract.arguments(kernel)}
    sizes = SIZES | {k: v for k, v in changes.items() if len(k) == 1}
    if kernel in ("see_output", "see_delta"):
        sizes["M"] = -(-sizes["N"] // 8)
    if kernel == "schedule":
        sizes["H"] = max(sizes["H"], sizes["C"])
    if "offsets" in names:
        sizes["R"] = sizes["N"] * sizes["T"]
        sizes["Q"] = sizes["N"] + sizes["R"]
    if "turned" in names:
        sizes["G"] = sizes["O"] + changes.get("turned", SCALARS["turned"])
    if "panels" in names:
        blocks = {"rnn": 1, "gru": 3, "lstm": 4}[kernel.split("_")[0]]
        sizes["W"] = room(blocks, sizes["H"], sizes["N"], sizes["I"] if "x" in names else 0)
    return sizes


def example(kernel: str, dtype, rng: np.random.Generator, **changes) -> dict:
    """A good call, all optional arguments included; `changes` sets sizes and arguments."""
    sizes = sizes_for(kernel, changes)
    values = {}
    for a in contract.arguments(kernel):
        if a.name in changes or a.dims is None:
            values[a.name] = changes.get(a.name, SCALARS.get(a.name))
            if a.kind == "loss" and a.name not in changes:
                values[a.name] = own_functions.loss(own_functions.huber).formula
            continue
        shape = shape_of(a.dims, sizes)
        if a.name == "hyper":
            value = HYPER[kernel]
        elif a.name in ("blocks", "groups"):
            parts = sizes["B" if a.name == "blocks" else "S"]
            value = np.arange(parts + 1) * sizes["P" if a.name == "blocks" else "B"] // parts
        elif kernel == "note_outputs" and a.name in ("rows", "units"):
            most = sizes["Q" if a.name == "rows" else "U"]
            value = np.sort(rng.integers(most, size=shape), axis=None)  # of no two layers
        elif a.name == "places":
            value = rng.choice(sizes[a.below], shape, replace=False)
        elif a.written and a.name not in read_first(kernel):
            value = untouched(a.name, shape, a.kind or dtype)
        elif a.name == "offsets":
            value = ragged(rng, sizes["N"], sizes["T"])
        elif a.name == "lengths":
            value = rng.integers(sizes["T"] + 1, size=shape)
        elif a.name == "order" and a.below == "N":
            value = rng.permutation(sizes["N"])
        elif a.name in COUNTERS:
            value = np.zeros(shape)
        elif a.below:
            value = rng.integers(sizes[a.below], size=shape)
        elif a.kind == "i8":
            value = rng.integers(100, size=shape)
        else:
            value = rng.uniform(0.1 if a.name in WEIGHTS else -1, 1, shape)
        values[a.name] = np.asarray(value, a.kind or dtype).reshape(shape)
    return values


class Guarded:
    """A copy of `values` in the middle of a larger buffer."""

    def __init__(self, values: np.ndarray) -> None:
        sentinel = SENTINEL[values.dtype.kind]
        self.buffer = np.full(values.size + 2 * GUARD, sentinel, values.dtype)
        self.array = self.buffer[GUARD : GUARD + values.size].reshape(values.shape)
        self.array[...] = values
        self.before = self.buffer.copy()

    def changed(self, inside: bool) -> bool:
        """Whether any bit changed since: around the array, and with `inside` also in it."""
        after = self.buffer.copy()
        if not inside:
            after[GUARD:-GUARD] = self.before[GUARD:-GUARD]
        return after.tobytes() != self.before.tobytes()


def call(backend: backends.Backend, kernel: str, **given) -> SimpleNamespace:
    """The outputs of one call, by name.

    Inputs left out are None; outputs left out are made here. No byte outside the outputs may
    change, and what lies around an input is NaN.
    """
    specs = contract.arguments(kernel)
    assert given.keys() <= {a.name for a in specs}
    arrays = {a: given[a.name] for a in specs if a.dims and given.get(a.name) is not None}
    dtype = next((array.dtype for a, array in arrays.items() if not a.kind), None)
    sizes = {}
    for a, array in arrays.items():
        for dim, size in zip(a.dims, array.shape, strict=True):
            times, symbol, extra = contract.size_of(dim)
            sizes[symbol] = (size - extra) // times
    for a in specs:
        if a.written and a.name not in given:
            arrays[a] = untouched(a.name, shape_of(a.dims, sizes), a.kind or dtype)
    guards = {a: Guarded(array) for a, array in arrays.items()}
    values = [guards[a].array if a in guards else given.get(a.name) for a in specs]
    if backend.name == "cuda" and SIMULATED:
        recorded = backend.record(kernel, *values)
        if sum(phase.work * phase.repeat for phase in recorded.phases) > MOST_SIMULATED:
            pytest.skip("too much for the simulator")
    getattr(backend, kernel)(*values)
    for a, guard in guards.items():
        assert not guard.changed(inside=not a.written), f"{kernel} wrote outside: {a.name}"
    return SimpleNamespace(**{a.name: guard.array for a, guard in guards.items() if a.written})


def meant(kernel: str, given: dict, out: SimpleNamespace) -> dict[str, np.ndarray]:
    """Those of the outputs that mean something: of arrays in steps, what is not behind the last."""
    found = {k: v for k, v in vars(out).items() if k not in ("panels", "ready", "spare", "squares")}
    if kernel == "rnn_forward" and not contract.needs_slope(given["activation"]):
        del found["gates"]
    if "initial" in given and not given["initial"]:
        found = {k: v for k, v in found.items() if k not in ("dh0", "dc0")}
    if "offsets" in given and kernel != "indices_to_steps":
        rows = int(given["offsets"][-1])
        initial = len(given["h"]) - len(given["gates"]) if "h" in given else 0
        cuts = {"R": rows, "Q": initial + rows}
        for a in contract.arguments(kernel):
            if a.name in found and a.dims and a.dims[0] in cuts:
                found[a.name] = found[a.name][: cuts[a.dims[0]]]
    return found


def exact(kernel: str, **given) -> SimpleNamespace:
    """The same call in float64, on the reference."""
    for a in contract.arguments(kernel):
        if a.dims and not a.kind and given.get(a.name) is not None:
            given[a.name] = given[a.name].astype(np.float64)
    return call(backends.load("reference"), kernel, **given)


@functools.cache
def golden(name: str) -> dict[str, np.ndarray]:
    """Results of PyTorch and mpmath: golden/make_*.py say how they were made."""
    with np.load(Path(__file__).parent / "golden" / f"{name}.npz") as arrays:
        return dict(arrays)
