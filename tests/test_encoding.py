"""Encoding tables as arrays: what is decided, what is refused, and the JSON round trip."""

from __future__ import annotations

import json
import string

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fastgrad.data import Encoder, Table
from fastgrad.data.columns import NumericColumn, Scaling, TextColumn
from fastgrad.data.target import ClassTarget, ValueTarget

VALUES = st.floats(-1e30, 1e30, allow_nan=False)
WORDS = st.text(string.ascii_letters + "äß ,;'\"", min_size=1, max_size=4).map("w".__add__)


def make_table(**columns: list[object]) -> Table:
    """Return a table of the columns given, as if read from t.csv."""
    rows = len(next(iter(columns.values())))
    cells = {name: [str(cell) for cell in column] for name, column in columns.items()}
    return Table("t.csv", cells, list(range(2, rows + 2)))


PETS = make_table(kg=[4, 30, 5, 1], fur=["long", "short", "short", "none"], y=["a", "b", "a", "a"])


def test_numbers_are_standardized_and_texts_one_hot():
    X = Encoder.fit(PETS, "y").encode(PETS)
    assert X.dtype == np.float32
    assert X.shape == (4, 4)
    np.testing.assert_allclose(X[:, 0].mean(), 0, atol=1e-6)
    np.testing.assert_allclose(X[:, 0].std(), 1, rtol=1e-6)
    assert X[:, 1:].tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 1], [0, 1, 0]]


def test_scaling_is_fitted_to_the_training_rows_and_categories_to_all():
    encoder = Encoder.fit(PETS, "y", rows=np.array([1, 2]))
    assert encoder.features == (
        NumericColumn("kg", Scaling(17.5, 12.5)),
        TextColumn("fur", ("long", "none", "short")),
    )
    assert encoder.width == 4


@pytest.mark.parametrize("value", [0.1, 1e300, 0])
def test_a_constant_column_is_zero_whatever_it_holds_later(value):
    table = make_table(x=[value] * 3, z=[1, 2, 3], y=["a", "b", "a"])
    encoder = Encoder.fit(table, "y")
    assert not encoder.encode(table)[:, 0].any()
    assert not encoder.encode(make_table(x=[7], z=[1]))[:, 0].any()


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["b", "a", "b"], ClassTarget("y", ("a", "b"), integer=False)),
        (["1", "x", "2"], ClassTarget("y", ("1", "2", "x"), integer=False)),
        ([10, 9] * 3, ClassTarget("y", ("9", "10"), integer=True)),
        (["1.0", "-1", "1", "-1.0", "1"], ClassTarget("y", ("-1", "1"), integer=True)),
        (
            [2**53, 2**53 + 1] * 3,
            ClassTarget("y", ("9007199254740992", "9007199254740993"), integer=True),
        ),
        ([1, 2] * 2, ValueTarget("y", Scaling(1.5, 0.5))),
        ([1, 2.5] * 4, ValueTarget("y", Scaling(1.75, 0.75))),
        ([*range(20)] * 3, ClassTarget("y", tuple(map(str, range(20))), integer=True)),
        ([*range(21)] * 3, ValueTarget("y", Scaling(10, float(np.std(range(21)))))),
    ],
)
def test_the_kind_of_target(cells, expected):
    assert Encoder.fit(make_table(x=range(len(cells)), y=cells), "y").target == expected


def test_integer_labels_are_recognized_in_any_spelling():
    encoder = Encoder.fit(make_table(x=range(5), y=[3, 7, 3, 3, 7]), "y")
    assert encoder.encode_target(make_table(y=["7.0", "3", "+7"])).tolist() == [1, 0, 1]


def test_classes_are_decoded_with_their_probability():
    target = ClassTarget("y", ("a", "b"), integer=False)
    labels, probabilities = target.decode(np.array([[0, np.log(3)], [2000, 0]], np.float32))
    assert labels == ["b", "a"]
    np.testing.assert_allclose(probabilities, [0.75, 1])


def test_values_are_decoded_to_their_units():
    table = make_table(x=range(4), y=[1000, 1001.5, 1003, 1010])
    encoder = Encoder.fit(table, "y")
    y = encoder.encode_target(table)
    assert y.shape == (4, 1)
    assert y.dtype == np.float32
    decoded = encoder.target.decode(y)
    assert decoded.shape == (4,)
    np.testing.assert_allclose(decoded, [1000, 1001.5, 1003, 1010], rtol=1e-7)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"kg": ["x"], "fur": ["long"]}, "column 'kg': 'x' on line 2 is not a finite number"),
        ({"kg": ["inf"], "fur": ["long"]}, "column 'kg': 'inf' on line 2 is not a finite number"),
        ({"kg": ["1e60"], "fur": ["long"]}, "'1e60' on line 2 is too far from the values trained"),
        ({"kg": [1, 2], "fur": ["long", "bald"]}, "'fur': 'bald' on line 3 is none of the 3 val"),
        ({"kg": [1, 2], "fur": ["", "long"]}, "1 missing value .*: line 2 column 'fur'"),
        ({"size": [1]}, "no column 'kg', 'fur'; the columns are 'size'"),
    ],
)
def test_rows_that_do_not_fit_the_encoder_are_refused(columns, message):
    with pytest.raises(ValueError, match=message):
        Encoder.fit(PETS, "y").encode(make_table(**columns))


def test_an_unknown_class_is_refused():
    with pytest.raises(ValueError, match="column 'y': 'c' on line 3 is none of the 2 values"):
        Encoder.fit(PETS, "y").encode_target(make_table(y=["a", "c"]))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": [1, 2]}, "no column 'y'"),
        ({"y": [1, 2]}, "no column besides the target 'y'"),
        ({"x": [1, "NA"], "y": [1, 2]}, "1 missing value .*: line 3 column 'x'"),
        ({"x": [1, "1e999"], "y": [1, 2]}, "'x': '1e999' on line 3 is not a finite number"),
        ({"x": ["1e200", "-1e200"], "y": [1, 2]}, "'x': values from -1e[+]200 to 1e[+]200 are too"),
        ({"x": [1, 2], "y": [1.5, 1.5]}, "'y' is '1.5' in every row .* nothing to predict"),
        ({"x": [1, 2, 3], "y": ["a"] * 3}, "'y' is 'a' in every row .* nothing to predict"),
        (
            {"x": ["1", *(f"name{i}" for i in range(256))], "y": ["a"] * 257},
            "'x' is text with 257 distinct values, and at most 256 .* correct 'name0' on line 3",
        ),
    ],
)
def test_tables_that_cannot_be_learnt_from_are_refused(columns, message):
    with pytest.raises(ValueError, match=message):
        Encoder.fit(make_table(**columns), "y")


def test_rows_must_not_be_empty():
    with pytest.raises(ValueError, match="at least one of the table's 4 rows"):
        Encoder.fit(PETS, "y", rows=np.array([], dtype=np.intp))


@st.composite
def tables(draw) -> Table:
    """Draw a table of numeric and text columns, with any kind of target under "y"."""
    rows = draw(st.integers(3, 12))
    kinds = draw(st.lists(st.sampled_from([VALUES, WORDS]), min_size=1, max_size=4))
    kinds.append(draw(st.sampled_from([VALUES, WORDS, st.integers(0, 2)])))
    drawn = [draw(st.lists(kind, min_size=rows, max_size=rows)) for kind in kinds]
    assume(len(set(drawn[-1])) > 1)
    # A target whose variance underflows to zero is refused as constant.
    assume(not isinstance(drawn[-1][0], float) or np.std(drawn[-1]) > 0)
    names = [*(f"x{position}" for position in range(len(drawn) - 1)), "y"]
    return make_table(**dict(zip(names, drawn, strict=True)))


@given(tables())
def test_json_round_trip(table):
    encoder = Encoder.fit(table, "y")
    again = Encoder.from_json(encoder.to_json())
    assert again == encoder
    assert again.encode(table).tobytes() == encoder.encode(table).tobytes()
    assert again.encode_target(table).tobytes() == encoder.encode_target(table).tobytes()


@given(tables())
def test_encoded_inputs_are_finite_and_as_wide_as_declared(table):
    encoder = Encoder.fit(table, "y")
    X = encoder.encode(table)
    assert X.shape == (len(table), encoder.width)
    assert np.isfinite(X).all()


GOOD = json.loads(Encoder.fit(PETS, "y").to_json())
KG, FUR = GOOD["features"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "'format' must be 1, not 2"),
        ({"format": "1"}, "'format' must be of type int, not '1'"),
        ({"features": []}, "'features' must not be empty"),
        ({"features": [3]}, "expected an object, got 3"),
        ({"features": [KG | {"kind": "date"}]}, "'kind' must be 'numeric' or 'text', not 'date'"),
        ({"features": [KG | {"mean": "0"}]}, "'mean' must be of type float, not '0'"),
        ({"features": [KG | {"mean": float("nan")}]}, "'mean' must be finite"),
        ({"features": [KG | {"deviation": -1.0}]}, "'deviation' finite and not negative"),
        ({"features": [FUR | {"categories": []}]}, "'categories' must be a list of texts"),
        ({"features": [FUR | {"categories": [1]}]}, "'categories' must be a list of texts"),
        ({"target": None}, "'target' must be of type dict, not None"),
        ({"target": GOOD["target"] | {"kind": "text"}}, "'kind' must be 'classes' or 'values'"),
        ({"target": GOOD["target"] | {"integer": 1}}, "'integer' must be of type bool, not 1"),
    ],
)
def test_a_damaged_record_is_refused(change, message):
    with pytest.raises(ValueError, match=f"encoder record: .*{message}"):
        Encoder.from_json(json.dumps(GOOD | change))


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_what_is_no_record_is_refused(text):
    with pytest.raises(ValueError, match="encoder record: "):
        Encoder.from_json(text)
