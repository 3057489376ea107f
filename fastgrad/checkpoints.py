"""`Checkpoint`, a callback that saves a whole run, and `resume`, which goes on with it.

A checkpoint is a model file, which `fastgrad.load` reads, with all else in it that the next step
hangs on: optimizer, schedule, clips, average, random numbers, callbacks, position in the epoch.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastgrad import checks, fitting, io
from fastgrad.arena import Array
from fastgrad.callbacks.early_stopping import one_of_modes, rises
from fastgrad.custom import files
from fastgrad.descriptions import (
    described,
    fingerprint,
    random_generator,
    random_state,
    rebuilt,
    remade,
)
from fastgrad.layers import Layer
from fastgrad.run import Callback, Run, Settings
from fastgrad.run_data import prepared
from fastgrad.stepping import STATE
from fastgrad.train import Trainer

_FORMAT = 1
_KEY = "fastgrad_training"


class Checkpoint:
    """A callback that saves the run, so that `resume` can go on with it however it ended.

    The file is replaced as a whole: a process killed while it writes leaves the one before. A
    resumed run ends with the very parameters, bit for bit, of one that was never interrupted.

    Parameters
    ----------
    path : path
        A safetensors file.
    every_epochs : int
        Epochs between two checkpoints; the last epoch always makes one.
    every_steps : int, optional
        Steps between two more of them within an epoch.
    best : path, optional
        Where the model of the best epoch so far is saved, with the averaged parameters if there
        are some.
    monitor : str, optional
        The name in the history by which the best is found; `val_loss` where there is one, else
        `loss`.
    mode : "auto", "min" or "max"
        Whether less or more of it is better; "auto" as for `EarlyStopping`.

    Examples
    --------
    >>> import fastgrad as fg
    >>> keep = fg.Checkpoint("run.safetensors", every_steps=1000, best="best.safetensors")
    """

    saves = True  # after the other callbacks, whose state is saved, too

    def __init__(
        self,
        path: str | Path,
        every_epochs: int = 1,
        every_steps: int | None = None,
        best: str | Path | None = None,
        monitor: str | None = None,
        mode: str = "auto",
    ) -> None:
        self.path = Path(path)
        self.every_epochs = checks.count("every_epochs", every_epochs)
        self.every_steps = None if every_steps is None else checks.count("every_steps", every_steps)
        self.best = None if best is None else Path(best)
        if self.best == self.path:
            raise ValueError(
                f"best must be another file than path, got {str(self.path)!r} for both"
            )
        self.monitor = monitor
        self.mode = one_of_modes(mode)
        self.best_value: float | None = None

    def start(self, run: Run) -> None:
        """See that there is a place to write to; have the run save itself within epochs."""
        for path in (self.path, self.best):
            if path is not None and not path.parent.is_dir():
                raise FileNotFoundError(
                    f"there is no folder {str(path.parent)!r} to write {path.name!r} in"
                )
        if self.every_steps is not None and run.settings.bptt is not None:
            raise ValueError(
                "every_steps must not be given with bptt, between whose windows no run can be "
                "resumed: every_epochs can"
            )
        fingerprint(run)
        remade(described(run.trainer))  # what cannot be made again is better known now
        if run.epoch == 0 and run.trainer.steps == 0:
            self.best_value = None
        if self.every_steps is not None:
            run.trainer.every(self.every_steps, lambda: save(run, self.path))

    def __call__(self, run: Run) -> None:
        """Save what the epoch just done has come to."""
        if self.best is not None:
            self._keep_best(run, self.best)
        ended = run.epoch == run.settings.epochs or run.stopped is not None
        if ended or run.epoch % self.every_epochs == 0:
            save(run, self.path)

    def _keep_best(self, run: Run, path: Path) -> None:
        name = self.monitor or run.usual_monitor
        value = run.latest(name)
        best = self.best_value
        sign = 1 if rises(self.mode, name) else -1
        if best is None or math.isnan(best) or sign * value > sign * best:
            self.best_value = value
            run.model.save(path)

    def state(self) -> dict[str, Any]:
        """The best value so far."""
        return {"best_value": self.best_value}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.best_value = state["best_value"]


def save(run: Run, path: Path) -> None:
    """Write a checkpoint of a run, between two epochs or two steps of one."""
    trainer, settings = run.trainer, run.settings
    within = run.epoch_start is not None
    arrays, callbacks = _callback_states(run.callbacks)
    note = {
        "format": _FORMAT,
        "trainer": files.named(described(trainer)),
        "numbers": trainer.stepper.numbers(),
        "done": trainer.stepper.done if within else 0,
        "rng": random_state(run.epoch_start or trainer.rng),
        "settings": {**vars(settings), "split": random_state(settings.split)},
        "data": fingerprint(run),
        "elapsed": time.perf_counter() - run.started if within else 0.0,
        "bad_before": run.bad_before if within else None,
        "epoch": run.epoch,
        "history": run.history,
        "stopped": run.stopped,
        "callbacks": callbacks,
        "health": None if trainer.health is None else trainer.health.state(),
    }
    with trainer.raw():
        tensors, description = io.packed(run.model)
        found = trainer.arrays()
        arrays |= {f"trainer.{name}": found[name] for name in found if name not in _IN_MODEL}
        arrays |= {f"guard.{name}": array for name, array in trainer.guard.kept.items()}
        tensors |= {f"{io.TRAINING}{name}": array for name, array in arrays.items()}
        io.write(path, tensors, {**description, _KEY: json.dumps(note, default=_jsonable)})


def _callback_states(
    callbacks: Sequence[Callback],
) -> tuple[dict[str, Array], list[dict[str, Any]]]:
    """The arrays of all callbacks' states, and all else that is in them."""
    arrays: dict[str, Array] = {}
    notes = []
    for i, callback in enumerate(callbacks):
        state = callback.state() if hasattr(callback, "state") else {}
        held = {key: value for key, value in state.items() if isinstance(value, np.ndarray)}
        arrays |= {f"callback.{i}.{key}": value for key, value in held.items()}
        plain = {key: value for key, value in state.items() if key not in held}
        notes.append({"class": type(callback).__name__, "state": plain})
    return arrays, notes


_IN_MODEL = ("params", "buffers")


def _jsonable(value: Any) -> Any:
    """What JSON has no word for."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(
        f"a checkpoint holds numbers, strings and arrays, and cannot hold {value!r} from a history "
        "or the state of a callback"
    )


def resume(
    path: str | Path,
    X: Any,
    y: Any = None,
    *,
    validation: Any = None,
    sample_weight: Any = None,
    lengths: Any = None,
    callbacks: Sequence[Callback] = (),
    epochs: int | None = None,
    progress: bool | None = None,
    layers: Mapping[str, type[Layer]] | None = None,
    custom: Mapping[str, Any] | None = None,
) -> Run:
    """Go on with a run that a `Checkpoint` has saved.

    Parameters
    ----------
    path : path
    X, y, sample_weight, lengths
        The data that `fit` was given.
    validation : (X, y) or (X, y, lengths), optional
        The validation set, where `fit` was given one; a fraction is known.
    callbacks : sequence of callable
        New ones of the same kinds, in the same order; they get the state of the old ones.
    epochs : int, optional
        Another number of epochs, counted from the start of the run; a schedule that is given in
        parts of the run follows the new one.
    progress, layers
        As for `fit` and `load`.
    custom : mapping of str to UserActivation or UserLoss, optional
        As for `load`; the loss, too, where it is your own.

    Returns
    -------
    Run
        The whole run, the epochs before included; ``run.model`` is the model. ``run.health`` is
        that of the steps from here on, where `fit` measured it.

    Raises
    ------
    FileNotFoundError
    ValueError
        For a file that is no checkpoint, or data or callbacks that are not those of the run.
    """
    path = Path(path)
    model = io.load(path, layers, custom)
    tensors, metadata = io.read(path)
    if _KEY not in metadata:
        raise ValueError(f"{path} is a model without a run; fit writes one with Checkpoint(path)")
    io.remove_leftovers(path)
    note = json.loads(metadata[_KEY])
    if note["format"] != _FORMAT:
        raise ValueError(f"{path} has format {note['format']}, this version reads {_FORMAT}")
    split = random_generator(note["settings"]["split"])
    settings = Settings(**{**note["settings"], "split": copy.deepcopy(split)})
    if epochs is not None:
        settings.epochs = checks.count("epochs", epochs, minimum=note["epoch"])
    described = files.restored(path, note["trainer"], custom)
    trainer = rebuilt(model, described, random_generator(note["rng"]))
    if (settings.validation == "given") != (validation is not None):
        given = "needs" if settings.validation == "given" else "takes no"
        raise ValueError(f"resume {given} validation=(X, y): fit had {settings.validation!r}")
    held_out = validation if settings.validation == "given" else settings.validation
    data = prepared(trainer, X, y, sample_weight, lengths, held_out, settings, split)
    run = Run(model, trainer, settings)
    run.data = data
    if fingerprint(run) != note["data"]:
        raise ValueError(
            f"X, y, sample_weight, lengths and validation are not those that {path} was trained "
            "with"
        )
    known = fitting.callables(callbacks)
    _fill(trainer, tensors, note)
    run.epoch, run.history, run.stopped = note["epoch"], note["history"], note["stopped"]
    run.elapsed, run.bad_before = note["elapsed"], note["bad_before"]
    _hand_back(known, tensors, note["callbacks"])
    return fitting.train(run, data, known, progress)


def _fill(trainer: Trainer, tensors: dict[str, Array], note: dict[str, Any]) -> None:
    prefix = f"{io.TRAINING}trainer."
    states = f"{prefix}{STATE}"
    kept = {k[len(states) :]: v for k, v in tensors.items() if k.startswith(states)}
    trainer.model._memory.put_lasting(kept)
    for name, array in trainer.arrays().items():
        if name not in _IN_MODEL:
            array[...] = tensors[prefix + name]
    prefix = f"{io.TRAINING}guard."
    kept = {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
    trainer.stepper.set_numbers(note["numbers"], kept, note["done"])
    if trainer.health is not None:
        trainer.health.resume(note["health"])


def _hand_back(
    callbacks: Sequence[Callback], tensors: dict[str, Array], notes: list[dict[str, Any]]
) -> None:
    names = [type(callback).__name__ for callback in callbacks]
    wanted = [note["class"] for note in notes]
    if names != wanted:
        raise ValueError(f"callbacks must be {wanted}, as fit had them, got {names}")
    for i, (callback, note) in enumerate(zip(callbacks, notes, strict=True)):
        prefix = f"{io.TRAINING}callback.{i}."
        arrays = {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
        if note["state"] or arrays:
            callback.set_state({**note["state"], **arrays})  # type: ignore[attr-defined]
