"""Gradient health: predicted before training, measured at every step, explained and cured."""

from fastgrad.health.measurements import Measurements
from fastgrad.health.provenance import Provenance, provenance
from fastgrad.health.ranges import Range
from fastgrad.health.verdicts import FAMILIES, SEVERITIES, Verdict

__all__ = ["FAMILIES", "SEVERITIES", "Measurements", "Provenance", "Range", "Verdict", "provenance"]
