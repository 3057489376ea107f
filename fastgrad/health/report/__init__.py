"""Gradient health to look at: text for a terminal, figures, and a page of HTML."""

from fastgrad.health.report.figures import draw
from fastgrad.health.report.html import write
from fastgrad.health.report.terminal import table, worst

__all__ = ["draw", "table", "worst", "write"]
