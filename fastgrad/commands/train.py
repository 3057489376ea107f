"""Train a network on a CSV file, and save it with the encoding of its columns."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable
from itertools import pairwise

import fastgrad as fg
from fastgrad.commands.arguments import count, fraction, output_path, positive, seed, widths
from fastgrad.commands.layers import layer_table
from fastgrad.commands.scores import baseline, predicted, score, truth
from fastgrad.data import Encoder, read_table
from fastgrad.data.columns import NumericColumn, TextColumn
from fastgrad.data.split import split_rows
from fastgrad.data.target import ClassTarget

__all__ = ["ENCODER_KEY", "add_arguments", "run"]

ENCODER_KEY = "fastgrad.encoder"
"""The entry of a model file's metadata that holds the encoder."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    add = parser.add_argument
    add("data", help="CSV file with a header", metavar="data.csv")
    add("--target", required=True, help="column to predict")
    add(
        "--hidden",
        type=widths,
        default="128,64",
        help="widths of the hidden layers, separated by commas (default: %(default)s)",
    )
    add(
        "--activation",
        default="relu",
        help="activation of the hidden layers (default: %(default)s)",
    )
    add(
        "--epochs",
        type=count,
        default=50,
        help="passes over the training rows (default: %(default)s)",
    )
    add("--batch-size", type=count, default=64, help="rows per update (default: %(default)s)")
    add("--lr", type=positive, default=1e-3, help="learning rate of Adam (default: %(default)s)")
    add(
        "--validation",
        type=fraction,
        default=0.2,
        help="part of the rows to validate on (default: %(default)s)",
    )
    add("--seed", type=seed, default=0, help="seed of everything random (default: %(default)s)")
    add(
        "--out",
        type=output_path,
        default="model.safetensors",
        help="model file to write (default: %(default)s)",
    )
    add("--quiet", action="store_true", help="print nothing but the scores")


def run(arguments: argparse.Namespace) -> None:
    """Read, encode, train, score and save."""
    say: Callable[[str], None] = _ignore if arguments.quiet else print
    table = read_table(arguments.data)
    if len(table) < 2:
        raise ValueError(f"{arguments.data}: 1 row, where both training and validation need some")
    training, validation = split_rows(len(table), arguments.validation, arguments.seed)
    encoder = Encoder.fit(table, arguments.target, training)
    say(f"{arguments.data}: {len(table)} rows\n{_decisions(encoder)}")
    X, y = encoder.encode(table), encoder.encode_target(table)

    model = _network(encoder, arguments)
    say(f"training on {len(training)} rows, validating on {len(validation)}")
    try:
        fitted = fg.fit(
            model,
            X[training],
            y[training],
            loss="cross_entropy" if encoder.target.task == "classification" else "mse",
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

    true = truth(encoder, table)
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


def _network(encoder: Encoder, arguments: argparse.Namespace) -> fg.Sequential:
    """Return an untrained network between the encoder's inputs and its target's outputs."""
    sizes = [encoder.width, *arguments.hidden]
    hidden = [fg.Dense(n, m, arguments.activation) for n, m in pairwise(sizes)]
    return fg.Sequential(*hidden, fg.Dense(sizes[-1], encoder.target.width), rng=arguments.seed)


def _decisions(encoder: Encoder) -> str:
    """Describe what the encoder takes the columns and the target to be."""
    texts = [f for f in encoder.features if isinstance(f, TextColumn)]
    numeric = [f.name for f in encoder.features if isinstance(f, NumericColumn)]
    lines = []
    if numeric:
        lines.append(f"numeric columns: {', '.join(numeric)}")
    if texts:
        counted = [f"{column.name} ({column.width} values)" for column in texts]
        lines.append(f"text columns: {', '.join(counted)}")
    target = encoder.target
    classes = f" into {target.width} classes" if isinstance(target, ClassTarget) else ""
    lines.append(f"target: {target.name}, {target.task}{classes}")
    wrap = textwrap.TextWrapper(width=88, subsequent_indent="  ")
    return "\n".join(wrap.fill(line) for line in lines)
