"""What a checkpoint says of the parts of a run, as JSON can hold it, and those made of it again."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from fastgrad import clipping, constraints, losses, optimizers, penalties, policies, schedules
from fastgrad.arena import Array
from fastgrad.data.file_rows import FileRows
from fastgrad.model import Sequential
from fastgrad.run import Run
from fastgrad.streaming import Batches
from fastgrad.train import Trainer


def described(trainer: Trainer) -> dict[str, Any]:
    """What a trainer was made with, ready for JSON."""
    return {
        "loss": trainer.loss.config(),
        "optimizer": trainer.optimizer.config(),
        "clips": [clip.config() for clip in trainer.clips],
        "schedule": None if trainer.schedule is None else trainer.schedule.config(),
        "per_layer": trainer.per_layer,
        "accumulate": trainer.accumulate,
        "average": trainer.average_decay,
        "on_nonfinite": trainer.guard.policy.config(),
        "regularizers": [penalty.config() for penalty in trainer.regularizers],
        "constraints": [constraint.config() for constraint in trainer.constraints],
        "health": trainer.health is not None,
    }


def rebuilt(model: Sequential, found: dict[str, Any], rng: np.random.Generator) -> Trainer:
    """The trainer that `described` described, as it was before its first step."""
    return Trainer(model, rng=rng, **remade(found))


def remade(found: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a trainer; an error for what is of a user's own class."""
    schedule = found["schedule"]
    return {
        "loss": losses.from_config(found["loss"]),
        "optimizer": optimizers.from_config(found["optimizer"]),
        "clip": [clipping.from_config(config) for config in found["clips"]],
        "schedule": None if schedule is None else schedules.from_config(schedule),
        "per_layer": found["per_layer"],
        "accumulate": found["accumulate"],
        "average": found["average"],
        "on_nonfinite": policies.from_config(found["on_nonfinite"]),
        "regularizers": [penalties.from_config(config) for config in found["regularizers"]],
        "constraints": [constraints.from_config(config) for config in found["constraints"]],
        "health": found.get("health", False),  # of those written before there was any
    }


def fingerprint(run: Run) -> list[Any]:
    """What tells data from others: shapes, and of arrays a checksum over all numbers."""
    if run.fingerprint is None:
        assert run.data is not None
        X = run.data.X
        if isinstance(X, Batches):
            raise ValueError("Checkpoint needs data that can be read again: arrays, or FileRows")
        if isinstance(X, FileRows):
            files = [X.X] if X.y is None else [X.X, X.y]
            run.fingerprint = [[list(file.shape), str(file.dtype)] for file in files]
        else:
            own = (X, run.data.y, run.data.weight, run.data.lengths)
            arrays = (*own, *(run.data.held_out or ()))
            run.fingerprint = [_checksum(array) for array in arrays if array is not None]
    return run.fingerprint


def _checksum(array: Array) -> list[Any]:
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return [list(array.shape), zlib.crc32(flat.data)]


def random_state(rng: np.random.Generator) -> dict[str, Any]:
    """The state of a generator, which may have arrays in it."""
    return {"state": rng.bit_generator.state}


def random_generator(found: dict[str, Any]) -> np.random.Generator:
    """The generator with this state."""
    state = found["state"]
    kind = getattr(np.random, state["bit_generator"], None)
    if kind is None:
        raise ValueError(f"NumPy has no bit generator {state['bit_generator']!r}")
    bits = kind()
    bits.state = _arrays(state)
    return np.random.Generator(bits)


def _arrays(value: Any) -> Any:
    """The same with arrays for lists, as the bit generators need them."""
    if isinstance(value, dict):
        return {key: _arrays(inner) for key, inner in value.items()}
    return np.array(value, np.uint64) if isinstance(value, list) else value
