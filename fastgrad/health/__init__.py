"""Gradient health: predicted before training, measured at every step, explained and cured."""

from fastgrad.health.budget import Budget, BudgetRow, budget
from fastgrad.health.health import Health
from fastgrad.health.measurements import Measurements
from fastgrad.health.per_sample import PerSample, per_sample
from fastgrad.health.prediction import Comparison, Memory, Prediction, predict
from fastgrad.health.provenance import Provenance, provenance
from fastgrad.health.ranges import Range
from fastgrad.health.treatment import Diagnosis, doctor
from fastgrad.health.verdicts import FAMILIES, SEVERITIES, Verdict

__all__ = [
    "FAMILIES",
    "SEVERITIES",
    "Budget",
    "BudgetRow",
    "Comparison",
    "Diagnosis",
    "Health",
    "Measurements",
    "Memory",
    "PerSample",
    "Prediction",
    "Provenance",
    "Range",
    "Verdict",
    "budget",
    "doctor",
    "per_sample",
    "predict",
    "provenance",
]
