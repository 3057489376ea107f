"""Gradient health: predicted before training, measured at every step, explained and cured."""

from fastgrad.health.measurements import Measurements
from fastgrad.health.treatment import Diagnosis, doctor
from fastgrad.health.verdicts import FAMILIES, SEVERITIES, Verdict

__all__ = ["FAMILIES", "SEVERITIES", "Diagnosis", "Measurements", "Verdict", "doctor"]
