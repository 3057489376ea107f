"""Data frames of pandas and Polars, and of whoever else has the same methods."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from nets import bits, chain

import fastgrad as fg
from fastgrad import checks

pytestmark = pytest.mark.usefixtures("one_thread")

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)
NAMES = ["age", "size", "mass"]


class FakeColumn:
    """A column of a library that nobody has heard of."""

    def __init__(self, name, values):
        self.name, self.values = name, values

    def to_numpy(self):
        return self.values

    def __array__(self, dtype=None, copy=None):
        return self.values


class FakeFrame:
    """A frame whose columns are its own arrays, or those of one array."""

    def __init__(self, columns, whole=None):
        self._columns, self._whole = columns, whole

    @property
    def columns(self):
        return list(self._columns)

    def __getitem__(self, name):
        return FakeColumn(name, np.asarray(self._columns[name]))

    def __len__(self):
        return len(next(iter(self._columns.values())))

    def to_numpy(self):
        if self._whole is not None:
            return self._whole
        return np.stack([np.asarray(column) for column in self._columns.values()], axis=1)

    def __array__(self, dtype=None, copy=None):
        return self.to_numpy()


class Interchanged:
    """A frame that has the interchange protocol, and no `to_numpy`."""

    def __init__(self, columns):
        self._columns = {name: np.asarray(values) for name, values in columns.items()}

    def __dataframe__(self):
        return self

    def column_names(self):
        return self._columns

    def __getitem__(self, name):
        return FakeColumn(name, self._columns[name])

    def __array__(self, dtype=None, copy=None):
        return np.stack([*self._columns.values()], axis=1)


def fake(columns):
    return FakeFrame(columns)


def pandas(columns):
    return pytest.importorskip("pandas").DataFrame(columns)


def polars(columns):
    return pytest.importorskip("polars").DataFrame(columns, strict=False)


MAKERS = [fake, pandas, polars, Interchanged]


@pytest.mark.parametrize("make", MAKERS)
def test_frames_train_as_their_arrays_do(make):
    frame = make({name: X[:, i].copy() for i, name in enumerate(NAMES)})
    more = make({"kind": Y, "weight": np.linspace(0.5, 1, 40)})
    options = {"loss": "cross_entropy", "epochs": 2, "batch_size": 16, "validation": 0.25, "rng": 0}
    by_frame, by_array = chain(3, 4, 2), chain(3, 4, 2)
    fg.fit(by_frame, frame, more["kind"], sample_weight=more["weight"], **options)
    fg.fit(by_array, X, Y, sample_weight=np.linspace(0.5, 1, 40), **options)
    assert bits(by_frame.flat_params) == bits(by_array.flat_params)
    assert bits(by_frame.predict(frame)) == bits(by_array.predict(X))
    trainers = [fg.Trainer(model, "cross_entropy", rng=0) for model in (by_frame, by_array)]
    assert trainers[0].epoch(frame, more["kind"]) == trainers[1].epoch(X, Y)
    assert trainers[0].step(frame, more["kind"]) == trainers[1].step(X, Y)
    assert trainers[0].evaluate(frame, more["kind"]) == trainers[1].evaluate(X, Y)


@pytest.mark.parametrize("make", MAKERS)
def test_columns_of_several_kinds_become_one_array(make):
    frame = make({"a": [1, 2, 3], "b": [0.5, 1.5, 2.5], "c": [True, False, True]})
    expected = [[1, 0.5, 1], [2, 1.5, 0], [3, 2.5, 1]]
    assert checks.rows("X", frame, 3, np.float32).tolist() == expected
    assert checks.real_array("y", frame["a"]).dtype == np.int64


MISSING, WRONG = (ValueError, "has no value at row 1"), (TypeError, "must hold numbers, got")
CELLS = {  # the cells of column "mass", error and message
    "a hole among numbers": ([1.5, None, 2.5], *MISSING),
    "NaN": ([1.5, np.nan, 2.5], *MISSING),
    "a hole among integers": ([1, None, 3], *MISSING),
    "a hole among booleans": ([True, None, False], *MISSING),
    "text": (["1", "2", "3"], WRONG[0], f"{WRONG[1]} '1' at row 0"),
    "text at last": ([1, 2, "three"], WRONG[0], f"{WRONG[1]} .*three"),
    "dates": (np.array(["2020-01-01"] * 3, "M8[ms]"), WRONG[0], f"{WRONG[1]} .*2020.* at row 0"),
}


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("case", CELLS)
def test_errors_name_column_and_row(make, case):
    cells, kind, message = CELLS[case]
    if make is polars and case == "text at last":
        pytest.skip("Polars has no columns of several kinds")
    if make in (fake, Interchanged):
        cells = np.array(cells, object)
    model = chain(3, 2)
    frame = make({"age": [1.0, 2.0, 3.0], "size": [4, 5, 6], "mass": cells})
    with pytest.raises(kind, match=f"X column 'mass' {message}"):
        model.predict(frame)
    with pytest.raises(kind, match=f"y 'mass' {message}"):
        fg.fit(model, X[:3], frame["mass"], loss="mse")


@pytest.mark.parametrize("make", MAKERS)
def test_what_is_not_finite_or_of_other_width_is_said_as_for_arrays(make):
    with pytest.raises(ValueError, match="X has 1 values that are not finite; the first is inf"):
        chain(2, 1).predict(make({"a": [1.0, 2.0], "b": [np.inf, 1.0]}))
    with pytest.raises(ValueError, match=r"X has shape \(2, 1\), needs \(N, 2\)"):
        chain(2, 1).predict(make({"a": [1.0, 2.0]}))


def test_a_repeated_name_is_refused():
    pd = pytest.importorskip("pandas")
    with pytest.raises(ValueError, match="X has several columns of the name 'a'"):
        chain(2, 1).predict(pd.DataFrame(np.ones((2, 2)), columns=["a", "a"]))


def test_a_frame_without_columns_is_refused():
    with pytest.raises(ValueError, match=r"X has shape \(3, 0\), needs \(N, 2\)"):
        chain(2, 1).predict(pytest.importorskip("pandas").DataFrame(index=range(3)))


@pytest.mark.parametrize("kind", ["Int64", "Float32", "boolean"])
def test_nullable_columns_without_holes_are_numbers(kind):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": pd.array([1, 0, 1], kind), "b": pd.array([0, 1, 1], kind)})
    assert checks.rows("X", frame, 2, np.float32).tolist() == [[1, 0], [0, 1], [1, 1]]
    frame.loc[2, "b"] = pd.NA
    with pytest.raises(ValueError, match="X column 'b' has no value at row 2"):
        checks.rows("X", frame, 2, np.float32)


def test_one_array_is_not_copied():
    whole = np.ones((4, 2), np.float32)
    frame = FakeFrame({"a": whole[:, 0], "b": whole[:, 1]}, whole)
    assert np.shares_memory(checks.rows("X", frame, 2, np.float32), whole)


def test_one_array_in_pandas_is_not_copied():
    whole = np.ones((4, 2), np.float32)
    frame = pytest.importorskip("pandas").DataFrame(whole, copy=False)
    assert np.shares_memory(checks.rows("X", frame, 2, np.float32), whole)


def test_a_polars_column_is_not_copied():
    column = pytest.importorskip("polars").Series("y", [1, 2, 3])
    assert np.shares_memory(checks.real_array("y", column), column.to_numpy(allow_copy=False))


def test_no_library_is_imported():
    code = "import sys, fastgrad; assert not {'pandas', 'polars', 'pyarrow'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True)
