"""Rows in files: every row once, in bounded memory, and the same training as from memory."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nets import bits, chain

import fastgrad as fg
from fastgrad.data import FileRows
from fastgrad.data.array_file import ArrayFile
from fastgrad.data.windows import Windows

pytestmark = pytest.mark.usefixtures("one_thread")

RNG = np.random.default_rng(0)
X = RNG.standard_normal((103, 5)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64) + (X[:, 1] > 0)
ROW_BYTES = 5 * 4 + 8  # of X and Y in memory


@pytest.fixture
def saved(tmp_path):
    """Saves arrays; returns their paths."""

    def save(*arrays):
        paths = [tmp_path / f"{i}.npy" for i in range(len(arrays))]
        for path, array in zip(paths, arrays, strict=True):
            np.save(path, array)
        return paths

    return save


def small(*sources, block=4, blocks=5):
    """File rows in windows of 20, if a row takes `ROW_BYTES`."""
    return FileRows(*sources, block_bytes=block * ROW_BYTES, window_blocks=blocks)


def trained(model, *data, epochs=2, shuffle=True, **options):
    trainer = fg.Trainer(model, "cross_entropy", fg.SGD(0.1, momentum=0.9), rng=3, **options)
    return [trainer.epoch(*data, batch_size=5, shuffle=shuffle) for _ in range(epochs)]


class Shape:
    """Stands for the file of X."""

    def __init__(self, rows):
        self.shape = (rows, 1)


@given(
    st.integers(1, 200), st.integers(1, 30), st.integers(1, 9), st.integers(1, 40), st.booleans()
)
def test_every_row_comes_once_in_windows_of_whole_minibatches(n, block, blocks, batch, shuffle):
    rows = FileRows.__new__(FileRows)
    rows.X, rows.block_bytes, rows.window_blocks = Shape(n), block, blocks
    if block * blocks < min(batch, n):
        with pytest.raises(ValueError, match="holds"):
            rows.window_rows(1, batch)
        return
    window = rows.window_rows(1, batch)
    assert window == n or window % batch == 0
    assert window <= max(block * blocks, 1)
    rng = np.random.default_rng(0) if shuffle else None
    plan = list(rows.windows(block, window, rng))
    sizes = [sum(count for _, count in runs) for runs in plan]
    assert sizes[:-1] == [window] * (len(sizes) - 1)
    assert 0 < sizes[-1] <= window
    order = [row for runs in plan for start, count in runs for row in range(start, start + count)]
    assert sorted(order) == [*range(n)]
    assert all(count <= block for runs in plan for _, count in runs)
    if not shuffle:
        assert order == [*range(n)]


KINDS = ["float32", "float64", ">f4", ">f8", "float16", "uint8", "int16", "int64", "bool"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_numbers_are_read_as_the_model_needs_them(kind, dtype, saved):
    values = (10 * X).astype(kind)
    rows = small(*saved(values))
    with closing(Windows(rows, dtype, 5).read(None)) as windows:
        read = [window.copy() for window, _ in windows]
    assert {window.dtype for window in read} == {np.dtype(dtype)}
    assert bits(np.concatenate(read)) == bits(values.astype(dtype))


@pytest.mark.parametrize("place", ["file", "offset", "part", "of a part"])
def test_a_memmap_says_where_its_rows_are(place, tmp_path):
    path = tmp_path / "raw"
    with open(path, "wb") as file:
        file.write(b"x" * 5020 + X.tobytes())
    mapped = np.memmap(path, np.float32, "r", 5020, X.shape)
    source, expected = {
        "file": lambda: (np.memmap(path, np.uint8, "r", shape=(6, 500)), None),
        "offset": lambda: (mapped, X),
        "part": lambda: (mapped[7:], X[7:]),
        "of a part": lambda: (mapped[7:90][3:50].reshape(-1, 5), X[10:57]),
    }[place]()
    if expected is None:
        expected = np.fromfile(path, np.uint8, 3000).reshape(6, 500)
    file = ArrayFile.find("X", source)
    read = np.empty_like(expected)
    with file.open() as opened:
        file.read(opened, 0, read)
    assert bits(read) == bits(expected)


@pytest.mark.parametrize("kind", ["float32", ">f8"])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_in_the_order_of_the_files_it_is_an_epoch_from_memory(kind, accumulate, saved, engine):
    by_file, by_array = chain(5, 8, 3), chain(5, 8, 3)
    options = {"shuffle": False, "accumulate": accumulate}
    losses = trained(by_file, small(*saved(X.astype(kind), Y)), **options)
    assert losses == trained(by_array, X, Y, **options)
    assert bits(by_file.flat_params) == bits(by_array.flat_params)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy", "soft_cross_entropy"])
def test_targets_and_sequences(loss, saved):
    x = RNG.standard_normal((23, 4, 5)).astype(np.float32)
    y = RNG.uniform(size=(23, 4, 3))
    y = RNG.integers(3, size=(23, 4)).astype(np.int16) if loss == "cross_entropy" else y
    by_file, by_array = chain(5, 8, 3), chain(5, 8, 3)
    for model, data in ((by_file, (small(*saved(x, y), block=16),)), (by_array, (x, y))):
        trainer = fg.Trainer(model, loss, fg.SGD(0.1))
        trainer.epoch(*data, batch_size=5, shuffle=False)
    assert bits(by_file.flat_params) == bits(by_array.flat_params)


@pytest.mark.parametrize("kind", ["uint8", "int64"])
@pytest.mark.parametrize("shape", [(103,), (103, 4)])
def test_indices_in_files(kind, shape, saved):
    x = RNG.integers(7, size=shape)
    y = RNG.integers(3, size=shape)
    rows = FileRows(*saved(x.astype(kind), y), block_bytes=32, window_blocks=20)
    models = [fg.Sequential(fg.Embedding(7, 5), fg.Dense(5, 3), rng=0) for _ in range(2)]
    assert trained(models[0], rows, shuffle=False) == trained(models[1], x, y, shuffle=False)
    assert bits(models[0].flat_params) == bits(models[1].flat_params)
    assert bits(models[0].predict(rows, 5)) == bits(models[1].predict(x, 5))


def test_standardize_takes_its_statistics_from_files(saved):
    x = 100 + 5 * X
    by_file, by_array = (fg.Sequential(fg.Standardize(5), fg.Dense(5, 3), rng=0) for _ in range(2))
    options = {"loss": "cross_entropy", "epochs": 1, "batch_size": 5, "shuffle": False}
    fg.fit(by_file, small(*saved(x, Y)), **options)
    fg.fit(by_array, x, Y, **options)
    for name in ("0.mean", "0.scale"):
        np.testing.assert_allclose(by_file.buffers[name], by_array.buffers[name], rtol=2e-7)
    far = x.astype(float)
    far[7, 2], far[90, 2] = 1e308, -1e308
    wide = fg.Sequential(fg.Standardize(5), dtype="float64")
    with pytest.raises(ValueError, match="column 2 of X has a standard deviation that is not"):
        wide.fit_input(small(*saved(far)))


class Seen(fg.Layer):
    """Keeps the first number of every row that passes."""

    def __init__(self):
        self.batches = []

    def forward(self, x, params, train):
        self.batches.append(x[:, 0].tolist())
        return x

    def backward(self, dy, params, grads):
        return dy


def test_shuffled_epochs_are_all_rows_in_other_orders(saved):
    numbers = np.arange(103.0)[:, None]

    def seen(rng):
        layer = Seen()
        trainer = fg.Trainer(fg.Sequential(layer, fg.Dense(1, 1), rng=0), "mse", rng=rng)
        rows = FileRows(*saved(numbers, numbers), block_bytes=4 * 8, window_blocks=5)
        for _ in range(2):
            trainer.epoch(rows, batch_size=6)
        assert [len(batch) for batch in layer.batches] == 2 * [*[6] * 17, 1]
        return [int(row) for batch in layer.batches for row in batch]

    order = seen(0)
    assert sorted(order[:103]) == sorted(order[103:]) == [*range(103)]
    assert order[:103] != order[103:]
    assert seen(0) == order != seen(1)
    # a window has no more than six blocks, one of them cut, of four consecutive rows
    assert len({row // 4 for row in order[:18]}) <= 6
    assert np.abs(np.diff(order)).mean() > 10


def test_an_epoch_can_be_stopped_in_a_later_window_and_gone_on_with(saved):
    """As from memory: by the steps that are done, and the generator from before the epoch."""
    rows, kept = small(*saved(X, Y)), []

    def keep():
        arrays = {name: array.copy() for name, array in trainer.arrays().items()}
        kept.append((trainer.stepper.done, arrays, trainer.stepper.numbers()))

    trainer = fg.Trainer(chain(5, 8, 3), "cross_entropy", fg.Adam(0.01), rng=3)
    trainer.every(3, keep)
    loss = trainer.epoch(rows, batch_size=5)
    assert [done for done, _, _ in kept] == [3, 6, 9, 12, 15, 18]
    for done, arrays, numbers in kept:
        other = fg.Trainer(chain(5, 8, 3), "cross_entropy", fg.Adam(0.01), rng=3)
        for name, array in other.arrays().items():
            array[...] = arrays[name]
        other.stepper.set_numbers(numbers, {}, done)
        assert other.epoch(rows, batch_size=5) == loss
        assert bits(*other.arrays().values()) == bits(*trainer.arrays().values())


def test_fit_is_repeatable_and_validates(saved):
    rows = small(*saved(X, Y))
    options = {"loss": "cross_entropy", "epochs": 3, "batch_size": 5, "rng": 0, "progress": False}
    models = [chain(5, 8, 3) for _ in range(3)]
    runs = [fg.fit(m, rows, validation=(X, Y), optimizer=fg.Adam(0.02), **options) for m in models]
    assert bits(models[0].flat_params) == bits(models[1].flat_params)
    assert runs[0].history["val_loss"] == runs[1].history["val_loss"]
    assert runs[0].history["val_accuracy"][-1] > 0.6
    assert runs[0].trainer.steps == 3 * 21
    plain = fg.fit(chain(5, 8, 3), FileRows(*saved(X, Y)), **options)  # all in one window
    assert plain.history["loss"][-1] < plain.history["loss"][0]


@pytest.mark.parametrize("batch", [7, 20, 1000])
def test_predictions_of_files(batch, saved, tmp_path):
    model = chain(5, 8, 3)
    rows = FileRows(*saved(X.astype(np.float64)), block_bytes=4 * 20, window_blocks=300)
    expected = model.predict(X, batch)
    assert bits(model.predict(rows, batch)) == bits(expected)
    out = np.memmap(tmp_path / "out", np.float32, "w+", shape=(103, 3))
    assert model.predict(rows, batch, out) is out
    assert bits(out) == bits(expected)
    assert bits(model.predict(X, batch, np.empty((103, 3)))) == bits(expected.astype(float))


def reads(monkeypatch, action=lambda start: None):
    """The first rows that are read, as they are read."""
    found, read = [], ArrayFile.read

    def noted(self, file, start, out):
        action(start)
        read(self, file, start, out)
        found.append(start)

    monkeypatch.setattr(ArrayFile, "read", noted)
    return found


def wait(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_one_window_is_read_ahead_and_no_more(saved, monkeypatch):
    found = reads(monkeypatch)
    rows = FileRows(*saved(X), block_bytes=9 * 20, window_blocks=5)
    with closing(Windows(rows, np.float32, 5).read(None)) as windows:
        first, _ = next(windows)
        wait(lambda: found == [*range(0, 90, 9)])  # two windows of five blocks
        assert bits(first) == bits(X[:45])
        second, _ = next(windows)
        assert bits(second) == bits(X[45:90])
        third, _ = next(windows)
        assert bits(third) == bits(X[90:])
        assert next(windows, None) is None


def test_nothing_is_left_running_or_open_when_training_fails(saved):
    model = chain(5, 8, 3, dtype="float64")
    rows = small(*saved(X, Y))
    model.params["1.bias"][...] = np.nan
    with pytest.raises(fg.GradientError):
        trained(model, rows)
    assert not [t for t in threading.enumerate() if t.name.startswith("fastgrad")]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_what_reading_raises_arrives_and_the_model_is_usable(error, saved, monkeypatch):
    rows = small(*saved(X, Y))
    model = chain(5, 8, 3)

    def fail(start):
        if start >= 40:
            raise error

    reads(monkeypatch, fail)
    with pytest.raises(error):
        trained(model, rows, shuffle=False)
    monkeypatch.undo()
    same = chain(5, 8, 3)
    trained(same, X[:40], Y[:40], shuffle=False, epochs=1)
    assert bits(model.flat_params) == bits(same.flat_params)
    assert all(np.isfinite(trained(model, rows)))


def spoiled(array, row, value):
    copy = array.astype(float) if isinstance(value, float) else array.copy()
    copy[row] = value
    return copy


VALUES = {  # X, y and what is said once their window is read
    "NaN": (spoiled(X, 61, np.nan), Y, "X has 5 values .* first is nan at row 61, column 0"),
    "inf": (spoiled(X, (61, 2), np.inf), Y, "X has 1 values .* first is inf at row 61, column 2"),
    "beyond float32": (spoiled(X, (61, 2), 1e300), Y, "first is inf at row 61, column 2"),
    "label too high": (
        X,
        spoiled(Y, 61, 3),
        r"y must lie in \[0, 3\), got . to 3, in rows 60 to 6",
    ),
    "label below 0": (X, spoiled(Y, 61, -1), r"y must lie in \[0, 3\), got -1 to ., in rows 60 to"),
    "NaN in y": (X, spoiled(np.eye(3)[Y], 61, np.nan), "y has 3 values .* nan at row 61, column 0"),
    "y below 0": (X, spoiled(np.eye(3)[Y], 61, -1.0), "y must not be negative, got -1, in rows 60"),
}


@pytest.mark.parametrize("case", VALUES)
def test_bad_values_are_said_with_their_rows_and_end_the_epoch_there(case, saved):
    x, y, message = VALUES[case]
    model, same = chain(5, 8, 3), chain(5, 8, 3)
    rows = FileRows(*saved(x, y), block_bytes=160, window_blocks=5)
    with pytest.raises(ValueError, match=message):
        trained(model, rows, shuffle=False)
    trained(same, x[:50], y[:50], shuffle=False, epochs=1)  # two windows of 25
    assert bits(model.flat_params) == bits(same.flat_params)


def test_a_file_that_is_cut_while_it_is_used(saved):
    paths = saved(X, Y)
    rows = small(*paths)
    with open(paths[0], "r+b") as file:
        file.truncate(1500)
    with pytest.raises(ValueError, match=r"0\.npy has been cut to 1500 bytes since"):
        trained(chain(5, 8, 3), rows)


def test_memory_does_not_grow_with_the_files(tmp_path):
    sizes = []
    for n in (10**4, 10**9):  # 20 GB that take no room on the disk
        path = tmp_path / f"{n}.npy"
        with open(path, "wb") as file:
            np.lib.format.write_array_header_2_0(
                file, {"descr": "<f4", "fortran_order": False, "shape": (n, 5)}
            )
            file.truncate(file.tell() + 20 * n)
        rows = FileRows(path, block_bytes=1000, window_blocks=10)
        sizes.append(Windows(rows, np.float32, 7).nbytes)
    assert sizes[0] == sizes[1] <= 2 * 10 * 1000


LIMITED = """
import resource, sys
import numpy as np
import fastgrad as fg
from fastgrad.data import FileRows

fg.set_num_threads(1)
path, labels = sys.argv[1:]
rows = FileRows(path, labels, window_blocks=8)
model = fg.Sequential(fg.Dense(64, 10), rng=0)
trainer = fg.Trainer(model, "cross_entropy")
trainer.step(np.zeros((64, 64)), np.zeros(64, int))
size = next(line for line in open("/proc/self/status") if line.startswith("VmSize"))
limit = int(size.split()[1]) * 1024 + 2**25
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    np.load(path, mmap_mode="r")
except OSError as error:
    print("mapping:", error.strerror)
print("good:", np.isfinite(trainer.epoch(rows)))
"""


def test_files_larger_than_the_memory_allowed(tmp_path):
    n = 2**20  # 256 MB, of which nothing is on the disk
    path, labels = tmp_path / "x.npy", tmp_path / "y.npy"
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": (n, 64)}
        )
        file.truncate(file.tell() + 256 * n)
    np.save(labels, np.zeros(n, np.uint8))
    command = [sys.executable, "-c", LIMITED, str(path), str(labels)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "mapping: Cannot allocate memory" in said
    assert "good: True" in said
