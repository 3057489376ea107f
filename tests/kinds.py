"""The recurrent layers, each of which the tests go through."""

from __future__ import annotations

import pytest

import fastgrad as fg

KINDS = {
    "rnn": (fg.RNN, {}),
    "rnn_gelu": (fg.RNN, {"activation": "gelu"}),
    "lstm": (fg.LSTM, {}),
    "peepholes": (fg.LSTM, {"peepholes": True}),
    "norm": (fg.LSTM, {"layer_norm": True}),
    "gru": (fg.GRU, {}),
    "original": (fg.GRU, {"reset_after": False}),
}
kinds = pytest.mark.parametrize("kind", KINDS)
