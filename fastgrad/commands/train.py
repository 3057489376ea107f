"""Train a network on a CSV file, and save it with the encoding of its columns."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import fastgrad as fg
from fastgrad.commands import experiment
from fastgrad.commands.arguments import output_path
from fastgrad.commands.layers import layer_table
from fastgrad.commands.scores import baseline, predicted, score, truth

__all__ = ["ENCODER_KEY", "add_arguments", "run"]

ENCODER_KEY = "fastgrad.encoder"
"""The entry of a model file's metadata that holds the encoder."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    experiment.add_arguments(parser, epochs=50)
    parser.add_argument(
        "--out",
        type=output_path,
        default="model.safetensors",
        help="model file to write (default: %(default)s)",
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but the scores")


def run(arguments: argparse.Namespace) -> None:
    """Read, encode, train, score and save."""
    say: Callable[[str], None] = _ignore if arguments.quiet else print
    given = experiment.read(arguments)
    encoder, X, y = given.encoder, given.X, given.y
    training, validation = given.training, given.validation
    say(f"{arguments.data}: {len(given.table)} rows\n{experiment.decisions(encoder)}")

    model = experiment.network(encoder, arguments)
    say(f"training on {len(training)} rows, validating on {len(validation)}")
    try:
        fitted = fg.fit(
            model,
            X[training],
            y[training],
            loss=given.loss,
            optimizer=fg.Adam(arguments.lr),
            epochs=arguments.epochs,
            batch_size=arguments.batch_size,
            validation=(X[validation], y[validation]),
            progress=False if arguments.quiet else None,
            rng=arguments.seed,
        )
    except fg.GradientError as error:
        what = f"training diverged at --lr {arguments.lr:g}, no model is written"
        raise ValueError(f"{what}: {error}") from error

    true = truth(encoder, given.table)
    answers = predicted(encoder, model.predict(X[validation]))
    name, always = baseline(encoder, true[training])
    print(f"validation: {score(encoder, answers, true[validation])}")
    print(f"always {name}: {score(encoder, always, true[validation])}")
    batch = training[: arguments.batch_size]
    say(layer_table(fitted, X[batch], y[batch]))
    model.save(arguments.out, metadata={ENCODER_KEY: encoder.to_json()})
    say(f"model written to {arguments.out}")


def _ignore(message: str) -> None:
    """Print nothing."""
