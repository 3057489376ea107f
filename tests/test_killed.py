"""A real process, killed at random moments, ends where one that was left alone ends."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest

import fastgrad as fg

SCRIPT = """
import sys
from pathlib import Path
import numpy as np
import fastgrad as fg

path, done = map(Path, sys.argv[1:])
rng = np.random.default_rng(0)
X, Y = rng.standard_normal((4000, 20)).astype(np.float32), rng.integers(5, size=4000)
callbacks = [fg.EarlyStopping(patience=99), fg.Checkpoint(path, every_steps=7)]
if path.exists():
    run = fg.resume(path, X, Y, callbacks=callbacks)
else:
    model = fg.Sequential(fg.Dense(20, 64, "relu"), fg.BatchNorm(64), fg.Dropout(0.2),
                          fg.Dense(64, 5), rng=1)
    run = fg.fit(
        model, X, Y, loss="cross_entropy", optimizer=fg.Adam(1e-3), clip=fg.ClipNorm(0.5),
        schedule="cosine", average=0.99, validation=0.1, epochs=12, batch_size=32, rng=2,
        callbacks=callbacks,
    )
run.model.save(done)
"""
KILLS = 20


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_twenty_kills_change_nothing(tmp_path):
    """Most of the time is spent writing: some of the kills fall into that."""
    errors = tmp_path / "errors.txt"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(name):
        command = [sys.executable, "-c", SCRIPT, tmp_path / f"{name}.ckpt", tmp_path / name]
        with open(errors, "w", encoding="utf-8") as said:
            return subprocess.Popen(command, env=environment, stderr=said)

    begin = time.perf_counter()
    alone = start("alone")
    assert alone.wait(timeout=120) == 0, errors.read_text()
    seconds = time.perf_counter() - begin

    draw = random.Random(3)
    kills = attempts = 0
    while kills < KILLS:
        attempts += 1
        assert attempts < 10 * KILLS
        process = start("killed")
        checkpoint = tmp_path / "killed.ckpt"
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        # from its first checkpoint on, a random part of what a run takes
        while process.poll() is None and (
            not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before
        ):
            time.sleep(0.002)
        time.sleep(draw.uniform(0, 0.5 * seconds / KILLS))
        if process.poll() is not None:  # done too early: once more from the start
            assert process.returncode == 0, errors.read_text()
            checkpoint.unlink()
            continue
        process.kill()
        process.wait()
        kills += 1
    last = start("killed")
    assert last.wait(timeout=120) == 0, errors.read_text()
    expected, found = (fg.load(tmp_path / name) for name in ("alone", "killed"))
    assert found.flat_params.tobytes() == expected.flat_params.tobytes()
    assert found.flat_buffers.tobytes() == expected.flat_buffers.tobytes()
