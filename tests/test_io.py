"""Saving and loading: the same bits again, whole files or none, clear words about all others."""

from __future__ import annotations

import json
import os
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import ACTIVATIONS, bits, chain
from safetensors.numpy import save as to_bytes

import fastgrad as fg

pytestmark = pytest.mark.usefixtures("one_thread")

X = np.random.default_rng(0).standard_normal((9, 5))


class Scale(fg.Layer):
    """A layer of the user's own, with an argument and a parameter."""

    def __init__(self, power=1):
        self.power = power

    def parameters(self):
        return {"factor": ((), lambda shape, rng, dtype: np.full(shape, 2, dtype))}

    def forward(self, x, params, train):
        return params["factor"] * x**self.power

    def config(self):
        return {"power": self.power}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_same_bits_again(activation, dtype, tmp_path, backend):
    options = {"alpha": 0.3} if activation in ("elu", "leaky_relu") else {}
    model = fg.Sequential(
        fg.Dense(5, 8, activation, bias=False, **options),
        fg.Activation(activation, **options),
        fg.Dense(8, 3),
        rng=0,
        dtype=dtype,
    )
    model.save(tmp_path / "model")
    again = fg.load(str(tmp_path / "model"))
    assert repr(again) == repr(model)
    assert bits(again.flat_params) == bits(model.flat_params)
    assert bits(again.predict(X)) == bits(model.predict(X))
    assert fg.Trainer(again, "mse").step(X, np.ones((9, 3))) == fg.Trainer(model, "mse").step(
        X, np.ones((9, 3))
    )


def test_a_layer_of_ones_own(tmp_path):
    model = fg.Sequential(fg.Dense(5, 3), Scale(power=2), rng=0)
    model.params["1.factor"] = 3.0
    model.save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"'Scale' is unknown; name it in load\(\.\.\., layers"):
        fg.load(tmp_path / "model")
    again = fg.load(tmp_path / "model", layers={"Scale": Scale})
    assert again.layers[1].power == 2
    assert bits(again.predict(X)) == bits(model.predict(X))


def test_metadata(tmp_path):
    model = chain(5, 3)
    notes = {"unit": "°C", "a note": 'quotes " and\nlines', "": ""}
    model.save(tmp_path / "a", metadata=notes)
    again = fg.load(tmp_path / "a")
    assert again.metadata == model.metadata == notes
    again.save(tmp_path / "b")
    assert fg.load(tmp_path / "b").metadata == notes
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    again.save(tmp_path / "b", metadata={})
    assert fg.load(tmp_path / "b").metadata == {}


@pytest.mark.parametrize("metadata", [{1: "a"}, {"a": 1}, "text", [("a", "b")]])
def test_bad_metadata_writes_nothing(metadata, tmp_path):
    model = chain(5, 3)
    with pytest.raises(TypeError, match="metadata must map str to str, got "):
        model.save(tmp_path / "model", metadata=metadata)
    assert model.metadata == {}
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("function", ["fsync", "replace", "chmod"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=repr)
def test_a_failure_leaves_the_old_file(function, error, tmp_path, monkeypatch):
    path = tmp_path / "model"
    chain(5, 3).save(path)
    before = path.read_bytes()

    def fail(*args):
        raise error

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(type(error)):
        chain(5, 3, rng=1).save(path)
    assert path.read_bytes() == before
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_mode_is_that_of_any_new_file(umask, tmp_path):
    before = os.umask(umask)
    try:
        chain(5, 3).save(tmp_path / "model")
    finally:
        assert os.umask(before) == umask
    assert (tmp_path / "model").stat().st_mode & 0o777 == 0o666 & ~umask


def test_what_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=str(tmp_path / "nothing")):
        fg.load(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        chain(5, 3).save(tmp_path / "nowhere" / "model")


def saved():
    """A good file, its description, and its parameters."""
    model = fg.Sequential(fg.Dense(2, 3, "elu", alpha=0.5), fg.Dense(3, 1), rng=0)
    layers = [{"layer": "Dense", **layer.config()} for layer in model.layers]
    description = {"format": 1, "dtype": "float32", "layers": layers, "metadata": {}}
    return description, {name: view.copy() for name, view in model.params.items()}


def described(**changes):
    """A file whose description is not good in one place."""
    description, tensors = saved()
    return to_bytes(tensors, {"fastgrad": json.dumps({**description, **changes})})


def holding(**changes):
    """A file whose parameters are not good in one place."""
    description, tensors = saved()
    tensors |= {name.replace("_", ".", 1): array for name, array in changes.items()}
    kept = {name: array for name, array in tensors.items() if array is not None}
    return to_bytes(kept, {"fastgrad": json.dumps(description)})


def of_kind(kind, size):
    """A file with numbers that NumPy may not have."""
    spec = {"dtype": kind, "shape": [4], "data_offsets": [0, size]}
    header = json.dumps({"0.weight": spec, "__metadata__": {"fastgrad": "{}"}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(size)


def dense(**changes):
    return described(layers=[{**saved()[0]["layers"][0], **changes}, saved()[0]["layers"][1]])


GOOD = described()
FILES = {
    "empty": b"",
    "truncated header": GOOD[:40],
    "truncated": GOOD[:-1],
    "too long": GOOD + b"x",
    "text": b"not a model\n" * 10,
    "zeros": bytes(1000),
    "an npz": b"PK\x03\x04" + bytes(100),
    "a pickle": b"\x80\x04\x95" + bytes(100),
    "a huge header": struct.pack("<Q", 2**62) + GOOD[8:],
    "of another program": to_bytes({"0.weight": np.zeros(3)}, {"format": "pt"}),
    "without metadata": to_bytes({"0.weight": np.zeros(3)}),
    "bfloat16": of_kind("BF16", 8),
    "float8": of_kind("F8_E4M3", 4),
    "no JSON": to_bytes({}, {"fastgrad": "{"}),
    "a list": to_bytes({}, {"fastgrad": "[]"}),
    "null": to_bytes({}, {"fastgrad": "null"}),
    "deep JSON": to_bytes({}, {"fastgrad": "[" * 100_000}),
    "a later format": described(format=2),
    "no layers": described(layers=[]),
    "layers of another kind": described(layers=5),
    "a layer of another kind": described(layers=["Dense"]),
    "an unknown layer": described(layers=[{"layer": "Conv"}]),
    "metadata of another kind": described(metadata=[1]),
    "float16": described(dtype="float16"),
    "no dtype": described(dtype=","),
    "the other dtype": described(dtype="float64"),
    "an unknown activation": dense(activation="swish"),
    "an unknown argument": dense(units=3),
    "alpha NaN": dense(alpha=float("nan")),
    "negative inputs": dense(inputs=-2),
    "other inputs": dense(inputs=4),
    "absurd inputs": dense(inputs=10**30),
    "more than any memory": dense(inputs=10**9, outputs=10**9),
    "layers that do not fit": dense(outputs=4),
    "one parameter less": holding(**{"0_bias": None}),
    "one more": holding(**{"2_bias": np.zeros(3, np.float32)}),
    "another shape": holding(**{"0_weight": np.zeros((2, 3), np.float32)}),
    "another dtype": holding(**{"0_weight": np.zeros((3, 2))}),
    "integers": holding(**{"0_weight": np.zeros((3, 2), np.int32)}),
    "NaN": holding(**{"0_weight": np.full((3, 2), np.nan, np.float32)}),
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_any_other_file_is_refused_by_name(content, tmp_path):
    path = tmp_path / "some file"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=str(path)):
        fg.load(path)


def test_a_folder_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=str(tmp_path)):
        fg.load(tmp_path)


@settings(deadline=None, max_examples=300)
@given(
    edits=st.lists(
        st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=4
    ),
    length=st.one_of(st.just(len(GOOD)), st.integers(0, len(GOOD))),
)
def test_damage_is_refused_or_harmless(tmp_path_factory, edits, length):
    damaged = bytearray(GOOD[:length])
    for place, value in edits:
        if place < length:
            damaged[place] = value
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(damaged)
    try:
        model = fg.load(path)
    except ValueError as refused:
        if str(path) not in str(refused):
            raise
    else:
        assert model.predict(X[:, :2]).shape == (9, 1)
