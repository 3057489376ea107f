"""Show the version, the machine and the kernels in use."""

from __future__ import annotations

import argparse

import fastgrad as fg

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the command has no arguments."""


def run(_: argparse.Namespace) -> None:
    """Print what `fastgrad.info` reports, one entry a line."""
    print(fg.info())
