"""From what `doctor` is given to what all trials have in common."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from fastgrad import checks
from fastgrad.health.rules.data import expected_losses
from fastgrad.health.treatment.setup import Setup
from fastgrad.health.treatment.trial import PARTS, Material, Rows
from fastgrad.recurrent.models import stateful_layer

_MOST_HELD_OUT = 2000
_LONGEST = 200  # steps of a trial, unless told


def prepared(
    setup: Setup,
    X: Any,
    y: Any,
    lengths: Any,
    loss: Any,
    validation: Any,
    epochs: int,
    batch_size: int,
    steps: int | None,
    rng: np.random.Generator,
) -> Material:
    """Arguments checked, and rows split; each is as for `doctor`."""
    from fastgrad.train import Trainer  # which knows of health itself

    model = copy.deepcopy(setup.model)
    name = stateful_layer(model.layers)
    if name is not None:
        raise ValueError(f"layer {name} is stateful: rows drawn at random do not go on from others")
    trainer = Trainer(
        model,
        loss,
        setup.optimizer,
        setup.clip,
        regularizers=setup.regularizers,
        health=True,
    )

    def checked(name: str, X: Any, y: Any, lengths: Any = None) -> Rows:
        found = trainer.samples(model.checked(name, X, lengths=lengths), y, lengths=lengths)
        return Rows(found.x, found.target, found.lengths)

    rows = checked("X", X, y, lengths)
    if isinstance(validation, (tuple, list)):
        if not 2 <= len(validation) <= 3:
            wanted = "a fraction, (X, y) or (X, y, lengths)"
            raise ValueError(f"validation must be {wanted}, got {len(validation)} of them")
        held_out = checked("validation X", *validation)
        if len(held_out) < PARTS:
            few = f"validation X has {len(held_out)} rows, needs {PARTS} at least"
            raise ValueError(f"{few}: from their scatter it is told what is more than chance")
    else:
        part = checks.number("validation", validation, 0, 1, open_low=True, open_high=True)
        if len(rows) < 2 * PARTS:
            few = f"X has {len(rows)} rows, needs {2 * PARTS} at least"
            raise ValueError(f"{few}: {PARTS} are held out, to tell what is more than chance")
        order = rng.permutation(len(rows))
        count = min(max(round(part * len(rows)), PARTS), len(rows) - 1, _MOST_HELD_OUT)
        rows, held_out = rows.some(order[count:]), rows.some(order[:count])
    size = min(checks.count("batch_size", batch_size), len(rows))
    of_run = checks.count("epochs", epochs) * -(-len(rows) // size)
    most = of_run if steps is None else checks.count("steps", steps)
    length = min(of_run, _LONGEST) if steps is None else most
    constant, _, _ = expected_losses(trainer, held_out.X, held_out.y, held_out.lengths)
    return Material(trainer.loss, rows, held_out, size, length, constant, checks.seed_of(rng), most)
