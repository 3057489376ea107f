"""Rules: what measurements of a run say about its health.

A rule is a name, a family and a pure function of a window of steps and of what is known besides;
to add one, write the function and put the `Rule` into its file's ``RULES``.
"""

from fastgrad.health.rules.bounds import proven_dead
from fastgrad.health.rules.cures import CURES, name_of
from fastgrad.health.rules.facts import Facts
from fastgrad.health.rules.limits import Limits
from fastgrad.health.rules.monitor import RULES, Monitor
from fastgrad.health.rules.rule import Finding, Rule
from fastgrad.health.rules.window import Losses, Window

__all__ = [
    "CURES",
    "RULES",
    "Facts",
    "Finding",
    "Limits",
    "Losses",
    "Monitor",
    "Rule",
    "Window",
    "name_of",
    "proven_dead",
]
