"""What is recorded is remembered by its last use."""

from __future__ import annotations

import numpy as np
import pytest

import fastgrad as fg
from fastgrad.recent import Recent


def test_the_value_unused_longest_goes():
    made = []

    def make(key):
        made.append(key)
        return key.upper()

    recent = Recent(2)
    for key in "abacabbc":
        assert recent.get(key, lambda key=key: make(key)) == key.upper()
    assert "".join(made) == "abcbc"
    assert len(recent) == 2


def test_what_cannot_be_made_replaces_nothing():
    recent = Recent(1)
    first = recent.get(0, object)
    with pytest.raises(ZeroDivisionError):
        recent.get(1, lambda: 1 / 0)
    assert recent.get(0, object) is first


def test_passes_in_use_are_not_recorded_again(monkeypatch, rng):
    recorded = []
    record = fg.Sequential.record
    monkeypatch.setattr(
        fg.Sequential,
        "record",
        lambda self, tape, x, train: recorded.append(len(x)) or record(self, tape, x, train),
    )
    model = fg.Sequential(fg.Dense(2, 1), rng=0)
    for rows in range(2, 9):
        for count in (1, rows):
            model.predict(rng.standard_normal((count, 2)))
    assert recorded == list(range(1, 9))
    recorded.clear()
    trainer = fg.Trainer(model, "mse")
    for rows in range(2, 15):
        for count in (1, rows):
            trainer.step(rng.standard_normal((count, 2)), np.zeros((count, 1)))
    assert recorded == list(range(1, 15))
