"""`summary`: numbers counted by hand, and memory as the recorded passes take it."""

from __future__ import annotations

import numpy as np
import pytest

import fastgrad as fg
from fastgrad import backends
from fastgrad.containers import record_all
from fastgrad.program import Tape, Workspace


def told(model, shape=None):
    """Flops forward and backward, and bytes kept for a row, of each layer."""
    return {
        layer.name: (layer.flops_forward, layer.flops_backward, layer.activation_bytes)
        for layer in model.summary(shape).layers
    }


def test_dense_layers():
    """Two for each multiply-add; no gradient of the input; tanh 1, and 2 for its gradient."""
    model = fg.Sequential(fg.Dense(3, 4, "tanh"), fg.Dense(4, 2, "gelu", bias=False), rng=0)
    summary = model.summary((10, 3))
    assert told(model) == {
        "0": (2 * 12 + 4 + 4, 2 * 12 + 4 + 2 * 4, 4 * 4),
        "1": (2 * 8 + 2, 2 * 2 * 8 + 2 * 2, 2 * 2 * 4),
    }
    assert [layer.output_shape for layer in summary.layers] == [(10, 4), (10, 2)]
    assert [layer.parameters for layer in summary.layers] == [16, 8]
    assert (summary.rows, summary.parameters, summary.parameter_bytes) == (10, 24, 96)
    assert (summary.flops_forward, summary.flops_backward) == (50, 72)
    assert summary.activation_bytes == 3 * 4 + 16 + 16


def test_a_sequence_is_one_row():
    model = fg.Sequential(fg.Dense(3, 4), fg.Activation("silu"), rng=0, dtype="float64")
    found = told(model, (7, 5, 3))
    assert found == {"0": (5 * 28, 5 * 28, 5 * 32), "1": (5 * 4, 5 * 8, 5 * 64)}
    assert model.summary((7, 5, 3)).layers[1].output_shape == (7, 5, 4)


@pytest.mark.parametrize(
    ("layer", "forward", "backward", "kept"),
    [
        (fg.Activation("relu"), 1, 2, 4),
        (fg.Activation("identity"), 0, 0, 4),
        (fg.Dropout(0.5), 1, 1, 4),
        (fg.Dropout(0), 0, 0, 0),
        (fg.BatchNorm(6), 7, 9, 4),
        (fg.BatchNorm(6, affine=False), 5, 9, 4),
        (fg.LayerNorm(6), 7, 2 + 3 + 8, 4),
        (fg.LayerNorm(6, affine=False), 5, 2 + 7, 4),
        (fg.LayerNorm(6, bias=False), 6, 2 + 2 + 8, 4),
        (fg.RMSNorm(6), 4, 1 + 2 + 6, 4),
        (fg.Residual(fg.Activation("relu"), learn_scale=True), 1 + 2, 2 + 4, 8),
    ],
    ids=repr,
)
def test_what_an_element_takes(layer, forward, backward, kept):
    model = fg.Sequential(fg.Dense(2, 6), layer, rng=0)
    row = 16 if "Norm(" in repr(layer) and "Batch" not in repr(layer) else 0
    assert told(model)["1"] == (6 * forward, 6 * backward, 6 * kept + row)


def test_without_a_gradient_of_the_input():
    for layer, backward in (
        (fg.Activation("relu"), 0),
        (fg.Dropout(0.5), 0),
        (fg.BatchNorm(6), 5),
        (fg.BatchNorm(6, affine=False), 0),
        (fg.LayerNorm(6), 2 + 3),
        (fg.LayerNorm(6, affine=False), 0),
        (fg.RMSNorm(6), 1 + 2),
        (fg.Standardize(6), 0),
        (fg.Residual(fg.Dropout(0.5)), 0),
    ):
        assert told(fg.Sequential(layer), (1, 6))["0"][1] == 6 * backward, layer


def test_indices_and_branches():
    model = fg.Sequential(
        fg.Embedding(50, 4),
        fg.Flatten(3, 4),
        fg.Parallel(fg.Dense(12, 5), fg.Sequential(fg.Dense(12, 6), fg.Dense(6, 5)), merge="sum"),
        fg.Concat(fg.Dense(5, 1), fg.Activation("identity"), fg.Dropout(0.5)),
        rng=0,
    )
    summary = model.summary((10, 3))
    assert {layer.name: layer.output_shape for layer in summary.layers} == {
        "0": (10, 3, 4), "1": (10, 12), "2": (10, 5), "2.0": (10, 5), "2.1": (10, 5),
        "2.1.0": (10, 6), "2.1.1": (10, 5), "3": (10, 11), "3.0": (10, 1), "3.1": (10, 5),
        "3.2": (10, 5),
    }  # fmt: skip
    found = told(model, (10, 3))
    assert found["0"] == (0, 12, 48)
    assert found["1"] == (0, 0, 0)
    assert found["2.0"] == (125, 245, 20)
    assert found["2.1"] == (150 + 65, 294 + 125, 24 + 20)
    assert found["2"] == (125 + 215 + 5, 245 + 419 + 12, 20 + 44 + 20)
    assert found["3"] == (11 + 5, 21 + 5 + 2 * 5, 4 + 20 + 20 + 44)
    assert summary.activation_bytes == 3 * 8 + 48 + 84 + 88
    assert summary.parameters == 200 + 65 + 78 + 35 + 6


def test_a_first_layer_that_is_not_trained():
    model = fg.Sequential(fg.Standardize(6), fg.Dense(6, 2), rng=0)
    assert told(model) == {"0": (12, 0, 24), "1": (26, 26, 8)}


class Own(fg.Layer):
    def forward(self, x, params, train):
        return x


def test_what_others_wrote_is_unknown():
    model = fg.Sequential(fg.Dense(3, 4), fg.Residual(Own()), fg.Sequential(Own()), rng=0)
    found = told(model)
    assert found["1"][:2] == found["2"][:2] == found["1.0"][:2] == (None, None)
    assert found["1.0"][2] == 16
    summary = model.summary()
    assert summary.flops_forward is None
    assert "? flops forward, ? backward" in str(summary)


def every_layer():
    return fg.Sequential(
        fg.Dense(6, 8, "gelu"),
        fg.BatchNorm(8),
        fg.Residual(fg.RMSNorm(8), fg.Dense(8, 8, "tanh"), fg.Dropout(0.5)),
        fg.LayerNorm(8),
        fg.Activation("silu"),
        fg.Concat(fg.Dense(8, 3), fg.Sequential(fg.Dense(8, 2, "relu")), Own()),
        rng=0,
    )


def words():
    return fg.Sequential(fg.Embedding(9, 4), fg.Flatten(6, 4), fg.Dense(24, 2), rng=0)


@pytest.mark.parametrize("make", [every_layer, words])
def test_memory_is_what_a_recording_takes(make):
    model = make()
    sizes = []
    for rows in (100, 200):
        tape = Tape(backends.load("reference"), Workspace(), model.dtype)
        x = tape.empty((rows, 6), model.input_dtype)
        own = {**model.params, **model.buffers}
        record_all(model.layers, tape, x, own, model.grads, train=True)
        sizes.append(sum(buffer.nbytes for buffer in tape._workspace.buffers))
    assert sizes[1] - sizes[0] == 100 * model.summary((100, 6)).activation_bytes


def test_it_prints_as_a_table():
    model = fg.Sequential(fg.Dense(784, 512, "relu"), fg.Residual(fg.Dense(512, 512)), rng=0)
    assert str(model.summary((64, 784))) == repr(model.summary((64, 784)))
    assert str(model.summary((64, 784))).splitlines() == [
        "layer        output     parameters  flops forward  flops backward   memory",
        "0 Dense      (64, 512)     401,920        803,840         804,352  2.0 KiB",
        "1 Residual   (64, 512)     262,656        525,824       1,050,112  4.0 KiB",
        "  1.0 Dense  (64, 512)     262,656        524,800       1,049,088  2.0 KiB",
        "",
        "664,576 parameters, 2.5 MiB",
        "a row: 1,329,664 flops forward, 1,854,464 backward; 9.1 KiB of activations in training",
        "64 rows: 580.0 KiB of activations",
    ]


def test_html_is_escaped():
    strange = type("A<b>&", (Own,), {})
    page = fg.Sequential(fg.Dense(2, 3), fg.Residual(strange()), rng=0).summary()._repr_html_()
    assert page.startswith("<table><thead><tr><th>layer</th>")
    assert "<td>&emsp;1.0 A&lt;b&gt;&amp;</td>" in page
    assert "<b>" not in page
    assert page.count("<tr>") == 1 + 3


def test_nothing_is_recorded_or_changed():
    model = fg.Sequential(fg.Standardize(3), fg.BatchNorm(3), fg.Dense(3, 2), rng=0)
    before = model.flat_params.copy()
    model.summary()
    assert not model._passes
    assert np.array_equal(model.flat_params, before)


@pytest.mark.parametrize(
    ("model", "shape", "error", "message"),
    [
        (fg.Sequential(Own()), None, ValueError, "input_shape is needed: no layer says"),
        (every_layer(), 6, TypeError, "input_shape must be a tuple of integers, got 6"),
        (every_layer(), (6,), ValueError, r"input_shape is \(6,\), needs \(N, 6\)"),
        (every_layer(), (2, 5), ValueError, r"input_shape is \(2, 5\), needs \(N, 6\)"),
        (every_layer(), (0, 6), ValueError, r"input_shape\[0\] must be at least 1, got 0"),
        (every_layer(), (1.5, 6), TypeError, r"input_shape\[0\] must be an integer, got 1.5"),
        (fg.Sequential(Own()), (6,), ValueError, r"needs \(N, features\)"),
        (words(), (2, 6, 4), ValueError, r"input_shape is \(2, 6, 4\), needs \(N,\) or \(N, T\)"),
        (words(), None, ValueError, r"Flatten needs \(N, 6, 4\), got shape \(1, 4\)"),
    ],
)
def test_bad_shapes(model, shape, error, message):
    with pytest.raises(error, match=message):
        model.summary(shape)
