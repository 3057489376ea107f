"""All cures, and which of them are tried for what is wrong."""

from __future__ import annotations

from fastgrad.health.treatment import starts, steps, structure
from fastgrad.health.treatment.cure import Cure, Findings, prescribed

CURES: tuple[Cure, ...] = (*starts.CURES, *steps.CURES, *structure.CURES)

# where verdicts prescribe little: what is cheap and often at fault comes first
_USUAL = (
    "initializer",
    "normalize_inputs",
    "smaller_learning_rate",
    "larger_learning_rate",
    "less_regularization",
    "no_clipping",
    "activation",
    "normalization",
    "residual",
    "lstm",
    "optimizer",
    "gradient_floor",
)
# once something else has been changed, the learning rate may no longer be the right one
SETTLING = ("larger_learning_rate", "smaller_learning_rate", "optimizer")
_STRUCTURAL = tuple(cure.name for cure in structure.CURES)


def chosen(findings: Findings, count: int, treated: bool) -> list[Cure]:
    """The cures to try: what verdicts prescribe, in their order, and with warnings usual ones.

    For a setup that has been treated with success, they are those of the length of steps. Beside
    layers of a user's own no others are put in the place of any.
    """
    known = {cure.name: cure for cure in CURES}
    names = dict.fromkeys(prescribed(findings))
    if not findings.trial.ok:
        names |= dict.fromkeys(_USUAL)
    elif treated:
        names = dict.fromkeys(SETTLING)
    if findings.setup.foreign:
        names = {name: None for name in names if name not in _STRUCTURAL}
    return [known[name] for name in names if name in known][:count]


def combined(first: Cure) -> list[Cure]:
    """Cures of the length of steps, to be tried on top of another one that does not do alone."""
    return [
        Cure(f"{first.name} + {cure.name}", first.extent + cure.extent, cure.apply)
        for cure in CURES
        if cure.name in SETTLING
    ]


def of_steps(cure: Cure) -> bool:
    """Whether a cure changes the steps, and nothing else."""
    return cure in steps.CURES
