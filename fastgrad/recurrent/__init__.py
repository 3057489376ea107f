"""Layers for sequences: `RNN`, `LSTM` and `GRU`."""

from fastgrad.recurrent.base import Options, Recurrent
from fastgrad.recurrent.cells import GRU, LSTM, RNN
from fastgrad.recurrent.time_gradients import TimeGradients

__all__ = ["GRU", "LSTM", "RNN", "Options", "Recurrent", "TimeGradients"]
