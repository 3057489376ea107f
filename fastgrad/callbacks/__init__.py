"""Callbacks for `fit`: what is called with the run after every epoch."""

from fastgrad.callbacks.early_stopping import EarlyStopping
from fastgrad.callbacks.logs import CSVLog, JSONLog
from fastgrad.callbacks.tensorboard import TensorBoard

__all__ = ["CSVLog", "EarlyStopping", "JSONLog", "TensorBoard"]
