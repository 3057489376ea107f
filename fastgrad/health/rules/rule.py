"""`Rule`: a name, a family and a pure function; `Finding`: what such a function returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from fastgrad.health.rules.facts import Facts
from fastgrad.health.rules.limits import Limits
from fastgrad.health.rules.window import Window


@dataclass(frozen=True)
class Finding:
    """What a rule sees in one window.

    Attributes
    ----------
    severity : str
        "info", "warning" or "critical".
    cause : str
        One sentence.
    cures : tuple of str
        See `cures`.
    evidence : dict of str to float
    layer, tensor, time_step
        As those of `Verdict`.
    step : int, optional
        At which it happened, where that is one step of the window.
    """

    severity: str
    cause: str
    cures: tuple[str, ...] = ()
    evidence: Mapping[str, float] = field(default_factory=dict)
    layer: str | None = None
    tensor: str | None = None
    time_step: int | None = None
    step: int | None = None


Check: TypeAlias = "Callable[[Window, Facts, Limits], Finding | None]"


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes
    ----------
    name, family : str
        Its own name, and one of `FAMILIES`.
    check : callable
        ``check(window, facts, limits)``; it keeps nothing between calls.
    votes : (int, int)
        k and n: the rule's finding is believed once k of the last n windows have it, and until
        none of them has and the run has learned.
    lasting : bool
        Whether it is believed for good.
    in_time : bool
        Whether it has nothing to say of windows without gradients along time.
    whole : bool
        Whether it looks at the run as a whole, so that what it no longer finds is no longer so.
    at_start : bool
        Whether it looks at nothing but what is known before the first step, so that one look is
        enough.
    """

    name: str
    family: str
    check: Check
    votes: tuple[int, int] = (3, 5)
    lasting: bool = False
    in_time: bool = False
    whole: bool = False
    at_start: bool = False
