"""Layers for sequences: `RNN`, `LSTM` and `GRU`."""

from fastgrad.recurrent.base import Options, Recurrent
from fastgrad.recurrent.cells import GRU, LSTM, RNN

__all__ = ["GRU", "LSTM", "RNN", "Options", "Recurrent"]
