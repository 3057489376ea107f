"""All cures, and which of them are tried for what is wrong."""

from __future__ import annotations

from fastgrad.health.treatment import starts, steps, structure
from fastgrad.health.treatment.cure import Cure, Findings, prescribed

CURES: tuple[Cure, ...] = (*starts.CURES, *steps.CURES, *structure.CURES)

# where verdicts prescribe little: what is cheap and often at fault comes first
_USUAL = (
    "normalize_inputs",
    "initializer",
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
_STRUCTURAL = tuple(cure.name for cure in (*structure.CURES, *starts.CURES))


def chosen(findings: Findings, count: int) -> list[Cure]:
    """The cures to try: those that verdicts prescribe, in their order, and then usual ones.

    Beside layers of a user's own no others are changed.
    """
    known = {cure.name: cure for cure in CURES}
    names = dict.fromkeys([*prescribed(findings), *_USUAL])
    if findings.setup.foreign:
        names = {name: None for name in names if name not in _STRUCTURAL}
    return [known[name] for name in names if name in known][:count]
