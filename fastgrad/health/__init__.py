"""Gradient health: predicted before training, measured at every step, explained and cured."""

from fastgrad.health.measurements import Measurements
from fastgrad.health.prediction import Comparison, Memory, Prediction, predict
from fastgrad.health.verdicts import FAMILIES, SEVERITIES, Verdict

__all__ = [
    "FAMILIES",
    "SEVERITIES",
    "Comparison",
    "Measurements",
    "Memory",
    "Prediction",
    "Verdict",
    "predict",
]
