"""Layers for sequences: `RNN`, `LSTM` and `GRU`."""

from fastgrad.recurrent.base import Recurrent
from fastgrad.recurrent.cells import GRU, LSTM, RNN
from fastgrad.recurrent.options import Options
from fastgrad.recurrent.time_gradients import TimeGradients

__all__ = ["GRU", "LSTM", "RNN", "Options", "Recurrent", "TimeGradients"]
