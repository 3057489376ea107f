"""Train a network on a CSV file for a while, and say how healthy its gradients are."""

from __future__ import annotations

import argparse

import fastgrad as fg
from fastgrad.commands import experiment

__all__ = ["add_arguments", "run"]

SICK = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    experiment.add_arguments(parser, epochs=10)
    parser.add_argument(
        "--fix", action="store_true", help="try cures, and report what measurably helps"
    )
    parser.epilog = "Exit status: 0 if nothing is wrong, 1 if something is, 2 for bad input."


def run(arguments: argparse.Namespace) -> int:
    """Read, encode, train, and print table and verdicts; with --fix, the doctor's report."""
    given = experiment.read(arguments)
    training, validation = given.training, given.validation
    own = (given.X[training], given.y[training]), (given.X[validation], given.y[validation])
    settings = {
        "loss": given.loss,
        "optimizer": fg.Adam(arguments.lr),
        "epochs": arguments.epochs,
        "batch_size": arguments.batch_size,
        "validation": own[1],
        "rng": arguments.seed,
    }
    model = experiment.network(given.encoder, arguments)
    try:
        health = fg.fit(model, *own[0], **settings).health
    except fg.GradientError as error:
        health = error.run.health  # type: ignore[attr-defined]
    assert health is not None
    print(health.table())
    if arguments.fix:
        model = experiment.network(given.encoder, arguments)
        print(f"\n{fg.health.doctor(model, *own[0], **settings).report()}")
    return 0 if health.ok else SICK
