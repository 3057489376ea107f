"""`Cure`: a name and a pure function from a setup to others; `Findings`: what it may go by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from fastgrad.health.rules.cures import name_of
from fastgrad.health.treatment.setup import Setup
from fastgrad.health.treatment.trial import Material, Trial


@dataclass(frozen=True)
class Findings:
    """What is known of a setup that has been tried.

    Attributes
    ----------
    material : Material
    trial : Trial
    """

    material: Material
    trial: Trial

    @property
    def setup(self) -> Setup:
        """The one that is to be changed."""
        return self.trial.setup

    @property
    def seed(self) -> int:
        """Of what is drawn anew."""
        return self.material.seed

    @property
    def families(self) -> frozenset[str]:
        """Of the warnings."""
        return frozenset(verdict.family for verdict in self.trial.warnings)


Apply: TypeAlias = "Callable[[Findings], Iterator[tuple[str, Setup]]]"


@dataclass(frozen=True)
class Cure:
    """One cure.

    Attributes
    ----------
    name : str
        As in what `Verdict.cures` start with.
    extent : int
        How much of the setup it changes: 1 for numbers and first weights, 2 for what stands before
        or after the layers, 3 for a kind (activation, optimizer), 4 for layers between the others,
        5 for other layers. Of cures that help alike the least is taken.
    apply : callable
        ``apply(findings)`` yields changed setups, each with what was changed, the most promising
        first; none where it does not apply.
    """

    name: str
    extent: int
    apply: Apply


def prescribed(findings: Findings) -> list[str]:
    """Names of cures in the order of the verdicts, and in that of each verdict's own."""
    found: dict[str, None] = {}
    for verdict in findings.trial.symptoms:
        for cure in verdict.cures:
            found.setdefault(name_of(cure))
    return list(found)
