"""Logs of runs: CSV, JSON lines and TensorBoard, read back."""

from __future__ import annotations

import csv
import json
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from nets import chain

import fastgrad as fg
from fastgrad.callbacks import CSVLog, JSONLog, TensorBoard
from fastgrad.callbacks.rows import NewValues, flat
from fastgrad.norms import layer_norms

pytestmark = pytest.mark.usefixtures("one_thread")

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 5)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
LOGS = pytest.mark.parametrize("log", [CSVLog, JSONLog])


def fit(*callbacks, **options):
    options = {"loss": "cross_entropy", "epochs": 3, "batch_size": 16, "rng": 0} | options
    return fg.fit(chain(5, 8, 3), X, Y, callbacks=callbacks, **options)


class Told:
    """A run whose history is given."""

    def __init__(self, **history):
        self.history = {"epoch": [0]} | {name: [value] for name, value in history.items()}
        self.epoch = 0

    def next(self, **values):
        for name, value in {"epoch": len(self.history["epoch"]), **values}.items():
            self.history.setdefault(name, []).append(value)
        return self


def read(path):
    """Rows of a log, as dicts of str to number; an empty cell and null are None."""
    lines = path.read_text().splitlines()
    if path.suffix == ".csv":
        return [
            {k: float(v) if v else None for k, v in row.items()} for row in csv.DictReader(lines)
        ]
    return [json.loads(line, parse_constant=lambda name: pytest.fail(name)) for line in lines]


CLIPS = {"clip": [fg.ClipNorm(1.0), fg.GradFloor(1e-9)], "validation": 0.25}


def test_csv_holds_the_history(tmp_path):
    path = tmp_path / "log.csv"
    run = fit(CSVLog(path), **CLIPS)
    rows = read(path)
    assert len(rows) == 3
    assert [list(row) for row in rows] == [
        list(flat({n: v[-1] for n, v in run.history.items()}))
    ] * 3
    for name in ("epoch", "loss", "val_loss", "val_accuracy", "seconds", "lr"):
        assert [row[name] for row in rows] == run.history[name]
    assert [[row["clipped.0"], row["clipped.1"]] for row in rows] == run.history["clipped"]
    assert path.read_text().endswith("\n")


def test_json_lines_hold_the_history(tmp_path):
    path = tmp_path / "log.jsonl"
    run = fit(JSONLog(path), **CLIPS)
    rows = read(path)
    assert {name: [row[name] for row in rows] for name in rows[0]} == run.history


@LOGS
def test_every_epoch_is_in_the_file_when_it_is_done(log, tmp_path):
    path = tmp_path / ("log.csv" if log is CSVLog else "log.jsonl")
    lengths = []
    fit(log(path), lambda run: lengths.append(len(read(path))))
    assert lengths == [1, 2, 3]


KILLED = """
import os, signal, sys
import numpy as np
import fastgrad as fg
from fastgrad.callbacks import CSVLog, JSONLog

def stop(run):
    if run.epoch == 5:
        os.kill(os.getpid(), signal.SIGKILL)

X = np.random.default_rng(0).standard_normal((40, 5))
model = fg.Sequential(fg.Dense(5, 3), rng=0)
fg.fit(model, X, np.arange(40) % 3, loss="cross_entropy", epochs=9, rng=0,
       callbacks=[CSVLog("log.csv"), JSONLog("log.jsonl"), stop])
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_run_leaves_whole_lines(tmp_path):
    source = str(Path(fg.__file__).parents[1])
    code = subprocess.run(
        [sys.executable, "-c", KILLED], cwd=tmp_path, env={**os.environ, "PYTHONPATH": source}
    ).returncode
    assert code == -signal.SIGKILL
    for name in ("log.csv", "log.jsonl"):
        assert (tmp_path / name).read_text().endswith("\n")
        assert [row["epoch"] for row in read(tmp_path / name)] == [1, 2, 3, 4, 5]


def test_columns_that_come_later(tmp_path):
    path, run = tmp_path / "log.csv", Told(loss=1.5)
    log = CSVLog(path)
    log(run)
    log(run.next(loss=1.25, note='a "quoted", one'))
    log(run.next(loss=1.125))
    log(run.next(loss=1.0, rate=[1, 2.5], note=None))
    assert path.read_text().splitlines() == [
        "epoch,loss,note,rate.0,rate.1",
        "0,1.5,,,",
        '1,1.25,"a ""quoted"", one",,',
        "2,1.125,,,",
        "3,1.0,,1,2.5",
    ]
    assert os.listdir(tmp_path) == ["log.csv"]


def test_numbers_that_are_not_finite(tmp_path):
    run = Told(loss=np.nan, norm=np.float32(np.inf), clipped=[-np.inf, 1.0], epoch_name="first")
    CSVLog(tmp_path / "log.csv")(run)
    JSONLog(tmp_path / "log.jsonl")(run)
    assert (tmp_path / "log.csv").read_text().splitlines()[1] == "0,nan,inf,-inf,1.0,first"
    assert read(tmp_path / "log.jsonl") == [
        {"epoch": 0, "loss": None, "norm": None, "clipped": [None, 1.0], "epoch_name": "first"}
    ]


def test_what_is_of_numpy_or_unknown(tmp_path):
    run = Told(a=np.float32(0.5), b=np.int64(3), c=np.arange(2), d=True, e=Path("x"))
    CSVLog(tmp_path / "log.csv")(run)
    JSONLog(tmp_path / "log.jsonl")(run)
    assert (tmp_path / "log.csv").read_text() == "epoch,a,b,c.0,c.1,d,e\n0,0.5,3,0,1,True,x\n"
    assert read(tmp_path / "log.jsonl") == [
        {"epoch": 0, "a": 0.5, "b": 3, "c": [0, 1], "d": True, "e": "x"}
    ]


@LOGS
def test_another_run_replaces_the_file_or_adds_to_it(log, tmp_path):
    path = tmp_path / ("log.csv" if log is CSVLog else "log.jsonl")
    epochs = [1, 2, 3]
    first = log(path)
    fit(first)
    assert [row["epoch"] for row in read(path)] == epochs
    fit(first)  # another run with the same log
    assert [row["epoch"] for row in read(path)] == epochs
    again = log(path)
    assert len(read(path)) == 3  # only the first epoch replaces it
    fit(again)
    assert [row["epoch"] for row in read(path)] == epochs
    fit(log(path, append=True), validation=0.25)
    rows = read(path)
    assert [row["epoch"] for row in rows] == 2 * epochs
    assert [row.get("val_loss") is None for row in rows] == [True] * 3 + [False] * 3
    path.write_text(path.read_text()[:-1])  # somebody's editor
    fit(log(path, append=True))
    assert [row["epoch"] for row in read(path)] == 3 * epochs


@LOGS
def test_a_run_that_is_resumed_goes_on(log, tmp_path):
    path = tmp_path / ("log.csv" if log is CSVLog else "log.jsonl")
    run = Told(loss=1.0).next(loss=2.0)
    log(path)(run)
    run.epoch = 1
    resumed = log(path)
    resumed.start(run)
    resumed(run.next(loss=3.0))
    assert read(path) == [{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 3.0}]


@LOGS
def test_appending_to_nothing_starts(log, tmp_path):
    path = tmp_path / ("log.csv" if log is CSVLog else "log.jsonl")
    fit(log(path, append=True))
    assert len(read(path)) == 3


def test_only_what_has_grown_is_new():
    new, run = NewValues(), Told(loss=1.0)
    assert new(run.history) == {"epoch": 0, "loss": 1.0}
    assert new(run.next(loss=2.0, val=3.0).history) == {"epoch": 1, "loss": 2.0, "val": 3.0}
    assert new(run.next(loss=4.0).history) == {"epoch": 2, "loss": 4.0}
    assert new(Told(loss=5.0).history) == {"epoch": 0, "loss": 5.0}
    assert flat({"a": [1, [2, 3]], "b": "c"}) == {"a.0": 1, "a.1.0": 2, "a.1.1": 3, "b": "c"}


BAD = {
    "folder": (lambda f: CSVLog(f), IsADirectoryError, "is a folder, needs to be a file"),
    "nowhere": (
        lambda f: JSONLog(f / "a" / "b.jsonl"),
        FileNotFoundError,
        "there is no folder .*a",
    ),
    "no path": (lambda f: CSVLog(3), TypeError, "int"),
    "a file": (lambda f: TensorBoard(f / "file"), NotADirectoryError, "is a file, needs to be"),
}


@pytest.mark.parametrize(("call", "error", "message"), BAD.values(), ids=BAD)
def test_bad_paths_are_found_at_once(call, error, message, tmp_path):
    if call is BAD["a file"][0]:
        pytest.importorskip("tensorboardX")
    (tmp_path / "file").write_text("")
    with pytest.raises(error, match=message):
        call(tmp_path)


def test_tensorboard_is_an_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r'pip install "fastgrad\[tensorboard\]"'):
        TensorBoard(tmp_path)


def scalars(folder):
    """(name, step): value of all event files, which are records of length, crc, bytes, crc."""
    from tensorboardX.proto.event_pb2 import Event

    found = {}
    for path in sorted(folder.iterdir()):
        content, at = path.read_bytes(), 0
        while at < len(content):
            (length,) = struct.unpack_from("<Q", content, at)
            event = Event.FromString(content[at + 12 : at + 12 + length])
            found |= {(v.tag, event.step): v.simple_value for v in event.summary.value}
            at += 12 + length + 4
    return found


def test_tensorboard_reads_what_was_written(tmp_path):
    pytest.importorskip("tensorboardX")
    folder, wanted, seen = tmp_path / "runs" / "first", {}, []

    def look(run):
        for kind, views in (("parameter", run.model.params), ("gradient", run.model.grads)):
            for layer, norm in layer_norms(views).items():
                wanted[f"{kind}_norm/{layer}", run.epoch] = norm
        for name, value in flat({n: v[-1] for n, v in run.history.items() if n != "epoch"}).items():
            wanted[name, run.epoch] = value
        seen.append(scalars(folder).keys() == wanted.keys())

    board = TensorBoard(folder, norms=True)
    fit(board, look, **CLIPS)
    assert seen == [True, True, True]  # in the file at the end of each epoch
    found = scalars(folder)
    assert found == {key: np.float32(value) for key, value in wanted.items()}
    assert {name for name, _ in found} > {"parameter_norm/0", "gradient_norm/1", "loss"}

    fit(board)
    assert len(list(folder.iterdir())) == 2


def test_norms_of_layers():
    big = np.full((2, 8), 1e25, np.float32)  # whose squares float32 does not have
    found = layer_norms({"0.weight": big, "0.bias": big[0], "1.0.weight": big * 0})
    assert found == {"0": pytest.approx(24**0.5 * 1e25, rel=1e-6), "1.0": 0.0}
