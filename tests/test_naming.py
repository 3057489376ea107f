"""Which parameters a key of `per_layer` stands for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgrad.naming import select

NAMES = ["0.weight", "0.bias", "2.0.weight", "2.0.bias", "2.scale", "20.weight"]

# three parts of two letters, so that names share their beginnings
NAME = st.lists(st.sampled_from(["1", "11", "w"]), min_size=1, max_size=3).map(".".join)


CASES = {
    "nothing": ({}, {}),
    "a name": ({"0.bias": 1}, {"0.bias": 1}),
    "a layer": ({"0": 1}, {"0.weight": 1, "0.bias": 1}),
    "a layer of layers": ({"2": 1}, {"2.0.weight": 1, "2.0.bias": 1, "2.scale": 1}),
    "a layer in it": ({"2.0": 1}, {"2.0.weight": 1, "2.0.bias": 1}),
    "the longest decides": (
        {"2": 1, "2.0.bias": 3, "2.0": 2},
        {"2.0.weight": 2, "2.0.bias": 3, "2.scale": 1},
    ),
    "covered by longer ones": ({"20": 1, "20.weight": 2}, {"20.weight": 2}),
    "None is a value": (
        {"2": 1, "2.scale": None},
        {"2.0.weight": 1, "2.0.bias": 1, "2.scale": None},
    ),
}


@pytest.mark.parametrize(("per_layer", "wanted"), CASES.values(), ids=CASES)
def test_select(per_layer, wanted):
    assert select(per_layer, NAMES) == wanted
    assert select(per_layer, iter(NAMES)) == wanted


@given(st.dictionaries(NAME, st.integers()), st.lists(NAME, unique=True))
def test_the_rule(per_layer, names):
    """Said again, without a loop over the parts of a name."""
    fits = {key: [n for n in names if f"{n}.".startswith(f"{key}.")] for key in per_layer}
    if not all(fits.values()):
        with pytest.raises(ValueError, match="fits none of"):
            select(per_layer, names)
        return
    wanted = {}
    for key in sorted(per_layer, key=len):
        wanted |= dict.fromkeys(fits[key], per_layer[key])
    found = select(per_layer, names)
    assert found == wanted
    assert list(found) == [name for name in names if name in wanted]


@pytest.mark.parametrize(
    ("per_layer", "error", "message"),
    [
        ({"1": 0}, ValueError, "per_layer: '1' fits none of 0.weight, 0.bias, 2.0.weight"),
        ({"0": 0, "3": 0, "bias": 0}, ValueError, "per_layer: '3', 'bias' fits none of"),
        ({"0.": 0}, ValueError, "per_layer: '0.' fits none of"),
        ({"": 0}, ValueError, "per_layer: '' fits none of"),
        ({"0.weight.x": 0}, ValueError, "per_layer: '0.weight.x' fits none of"),
        ({0: 0}, TypeError, r"per_layer must map names to values, got \{0: 0\}"),
        ([("0", 0)], TypeError, "per_layer must map names to values, got"),
        (None, TypeError, "per_layer must map names to values, got None"),
    ],
)
def test_bad_input(per_layer, error, message):
    with pytest.raises(error, match=message):
        select(per_layer, NAMES)
