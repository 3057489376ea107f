"""The doctor: tries cures on a training setup, and keeps those that measurably help.

To add a cure, write a function from `Findings` to changed setups and put the `Cure` into its file's
``CURES``.
"""

from fastgrad.health.treatment.cure import Cure, Findings
from fastgrad.health.treatment.cures import CURES
from fastgrad.health.treatment.diagnosis import Change, Diagnosis
from fastgrad.health.treatment.entry import doctor
from fastgrad.health.treatment.setup import Setup
from fastgrad.health.treatment.trial import Trial

__all__ = ["CURES", "Change", "Cure", "Diagnosis", "Findings", "Setup", "Trial", "doctor"]
