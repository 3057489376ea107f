"""`Verdict`: what is wrong with a training run, where, why, and what would help."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

FAMILIES = (
    "vanishing",
    "exploding",
    "nonfinite",
    "dead",
    "saturated",
    "init",
    "inputs",
    "loss",
    "update_ratio",
    "regularization",
    "clipping",
)
SEVERITIES = ("info", "warning", "critical")


@dataclass(frozen=True)
class Verdict:
    """One finding.

    Attributes
    ----------
    rule : str
        Name of the rule that found it.
    family : str
        One of `FAMILIES`.
    severity : str
        One of `SEVERITIES`.
    cause : str
        What is wrong, in one sentence.
    cures : tuple of str
        What helps, the most promising first.
    evidence : dict of str to float
        The numbers that say so.
    layer : str or None
        Name of the layer to blame ("0", "2.1").
    tensor : str or None
        Name of the parameter to blame ("2.weight").
    time_step : int or None
        Where along the sequence.
    first_step : int
        Optimizer step at which it was seen first.
    """

    rule: str
    family: str
    severity: str
    cause: str
    cures: tuple[str, ...] = ()
    evidence: Mapping[str, float] = field(default_factory=dict)
    layer: str | None = None
    tensor: str | None = None
    time_step: int | None = None
    first_step: int = 0

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"family must be one of {', '.join(FAMILIES)}, got {self.family!r}")
        if self.severity not in SEVERITIES:
            known = ", ".join(SEVERITIES)
            raise ValueError(f"severity must be one of {known}, got {self.severity!r}")

    @property
    def rank(self) -> int:
        """0 for info, 1 for a warning, 2 for what is critical."""
        return SEVERITIES.index(self.severity)

    def __str__(self) -> str:
        where = self.tensor or self.layer
        place = f" [{where}]" if where else ""
        return f"{self.severity}: {self.family}{place}: {self.cause}"
