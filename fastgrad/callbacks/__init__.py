"""What may watch a run, and end it: callbacks of `fit`."""

from fastgrad.callbacks.early_stopping import EarlyStopping

__all__ = ["EarlyStopping"]
