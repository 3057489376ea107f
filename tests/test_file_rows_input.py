"""Files that cannot be trained on, and how that is said."""

from __future__ import annotations

import numpy as np
import pytest
from nets import chain

import fastgrad as fg
from fastgrad.data import FileRows

pytestmark = pytest.mark.usefixtures("one_thread")

RNG = np.random.default_rng(0)
X = RNG.standard_normal((103, 5)).astype(np.float32)
Y = RNG.integers(3, size=103)


def write(path, content):
    path.write_bytes(content)
    return path


def changed(folder, old, new):
    content = (folder / "x.npy").read_bytes()
    return write(folder / "a", content.replace(old.encode(), new.encode(), 1))


BAD = {  # what is done with a folder, the error and what it says
    "no file": (lambda d: FileRows(d / "none.npy"), FileNotFoundError, "none.npy"),
    "a folder": (lambda d: FileRows(d), IsADirectoryError, "directory"),
    "a number": (lambda d: FileRows(5), TypeError, "X must be the path .* got int"),
    "an array": (lambda d: FileRows(X), TypeError, "X must be the path .* got ndarray"),
    "no .npy": (lambda d: FileRows(write(d / "a", b"a,b\n1,2\n")), ValueError, "X is no .npy file"),
    "an empty file": (lambda d: FileRows(write(d / "a", b"")), ValueError, "X is no .npy file"),
    "half a header": (
        lambda d: FileRows(write(d / "a", (d / "x.npy").read_bytes()[:50])), ValueError, "X is no"
    ),
    "cut off": (
        lambda d: FileRows(write(d / "a", (d / "x.npy").read_bytes()[:-1])),
        ValueError, r"X is cut off: .* 2187 bytes, needs 2188 for shape \(103, 5\) of float32",
    ),
    "an open bracket": (lambda d: FileRows(changed(d, "(", "((")), ValueError, "X is no .npy file"),
    "rows below 0": (lambda d: FileRows(changed(d, "(103", "(-10")), ValueError, r"\(-10, 5\)"),
    "one dimension": (
        lambda d: chain(5, 3).predict(FileRows(d / "y.npy")), ValueError, r"X has shape \(103,\)"
    ),
    "numbers for indices": (
        lambda d: fg.Sequential(fg.Embedding(3, 2)).predict(FileRows(d / "x.npy")),
        TypeError, "X must hold integers, got dtype float32",
    ),
    "an index too high": (
        lambda d: fg.Sequential(fg.Embedding(2, 2)).predict(FileRows(d / "y.npy")),
        ValueError, r"X must lie in \[0, 2\), got 2 at row",
    ),
    "no dimension": (lambda d: FileRows(d / "0.npy"), ValueError, r"X has shape \(\), needs"),
    "no rows": (lambda d: FileRows(d / "none_of_5.npy"), ValueError, r"X has shape \(0, 5\)"),
    "Fortran order": (lambda d: FileRows(d / "f.npy"), ValueError, "X is in Fortran order"),
    "text": (lambda d: FileRows(d / "u.npy"), TypeError, "X must hold real numbers, got dtype <U1"),
    "objects": (lambda d: FileRows(d / "o.npy"), TypeError, "X must hold real numbers, .* object"),
    "complex y": (
        lambda d: FileRows(d / "x.npy", d / "c.npy"), TypeError, "y must hold real .* complex128"
    ),
    "y too short": (lambda d: FileRows(d / "x.npy", d / "y99.npy"), ValueError, "y has 99 .* 103"),
    "steps in a memmap": (
        lambda d: FileRows(np.load(d / "x.npy", mmap_mode="r")[::2]), ValueError, "X must be C-cont"
    ),
    "copy on write": (
        lambda d: FileRows(np.load(d / "x.npy", mmap_mode="c")), ValueError, "X .* mode 'c'"
    ),
    "block_bytes 0": (lambda d: FileRows(d / "x.npy", block_bytes=0), ValueError, "block_bytes"),
    "window_blocks 1.5": (
        lambda d: FileRows(d / "x.npy", window_blocks=1.5), TypeError, "window_blocks .* 1.5"
    ),
    "a window below a minibatch": (
        lambda d: small_epoch(d, block_bytes=28, window_blocks=4),
        ValueError, "a window of 4 blocks of 28 bytes holds 4 rows, a step needs 5",
    ),
    "a window below a step": (
        lambda d: small_epoch(d, accumulate=3, block_bytes=28, window_blocks=14),
        ValueError, "holds 14 rows, a step needs 15",
    ),
    "other features": (
        lambda d: fg.Trainer(chain(4, 3), "mse").epoch(FileRows(d / "x.npy", d / "y.npy")),
        ValueError, r"X has shape \(103, 5\), needs \(N, 4\)",
    ),
    "other features to predict": (
        lambda d: chain(4, 3).predict(FileRows(d / "x.npy")), ValueError, r"needs \(N, 4\)"
    ),
    "no targets": (
        lambda d: fg.Trainer(chain(5, 3), "mse").epoch(FileRows(d / "x.npy")), ValueError,
        "y is needed to train",
    ),
    "targets of other shape": (
        lambda d: fg.Trainer(chain(5, 3), "mse").epoch(FileRows(d / "x.npy", d / "y.npy")),
        ValueError, r"y has shape \(1,\), needs \(1, 3\)",
    ),
    "classes as floats": (
        lambda d: fg.Trainer(chain(5, 3), "cross_entropy").epoch(
            FileRows(d / "x.npy", d / "yf.npy")
        ),
        TypeError, "y must hold integer classes, got dtype float64",
    ),
    "targets twice": (
        lambda d: fg.Trainer(chain(5, 3), "mse").epoch(FileRows(d / "x.npy", d / "y.npy"), Y),
        ValueError, "y must not be given with FileRows",
    ),
    "weights": (
        lambda d: fit(d, sample_weight=np.ones(103)), ValueError, "sample_weight must not be given"
    ),
    "a fraction to validate": (
        lambda d: fit(d, validation=0.1), ValueError, r"validation must be \(X, y\) .* got 0.1"
    ),
    "validation of one": (
        lambda d: fit(d, validation=(X,)), ValueError, r"\(X, y\[, lengths\]\) .* 1 items"
    ),
    "steps_per_epoch": (lambda d: fit(d, steps_per_epoch=3), ValueError, "steps_per_epoch is"),
    "out of other shape": (
        lambda d: chain(5, 3).predict(FileRows(d / "x.npy"), out=np.empty((103, 2))),
        ValueError, r"out has shape \(103, 2\), needs \(103, 3\)",
    ),
    "out of integers": (
        lambda d: chain(5, 3).predict(FileRows(d / "x.npy"), out=np.empty((103, 3), int)),
        TypeError, "out must be an array of floats, got int64",
    ),
    "out a list": (lambda d: chain(5, 3).predict(X, out=[]), TypeError, "out .* floats, got list"),
    "out read only": (
        lambda d: chain(5, 3).predict(X, out=np.broadcast_to(0.0, (103, 3))), ValueError, "writable"
    ),
}  # fmt: skip


def small_epoch(folder, accumulate=1, **options):
    trainer = fg.Trainer(chain(5, 3), "cross_entropy", accumulate=accumulate)
    return trainer.epoch(FileRows(folder / "x.npy", folder / "y.npy", **options), batch_size=5)


def fit(folder, **options):
    rows = FileRows(folder / "x.npy", folder / "y.npy")
    return fg.fit(chain(5, 3), rows, loss="cross_entropy", progress=False, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("rows")
    arrays = {"x": X, "y": Y, "y99": Y[:99], "yf": Y * 1.0, "0": np.array(1.0)}
    arrays |= {"f": np.asfortranarray(X), "none_of_5": X[:0], "c": Y * 1j}
    arrays |= {"u": np.array([["a"]]), "o": np.array([[None]])}
    for name, array in arrays.items():
        np.save(found / f"{name}.npy", array)
    return found


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_explained(case, folder):
    act, kind, message = BAD[case]
    with pytest.raises(kind, match=message) as caught:
        act(folder)
    assert type(caught.value) is kind
