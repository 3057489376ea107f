"""What commands that train have in common: a table, a network, and how it is trained."""

from __future__ import annotations

import argparse
import textwrap
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastgrad as fg
from fastgrad.commands.arguments import count, fraction, positive, seed, widths
from fastgrad.data import Encoder, Table, read_table
from fastgrad.data.columns import NumericColumn, TextColumn
from fastgrad.data.split import split_rows
from fastgrad.data.target import ClassTarget

__all__ = ["Experiment", "add_arguments", "decisions", "network", "read"]


@dataclass(frozen=True)
class Experiment:
    """A table as arrays, and which of its rows are for what.

    Attributes
    ----------
    table : Table
    encoder : Encoder
    X, y : ndarray
    training, validation : ndarray of int
        Row numbers.
    loss : str
    """

    table: Table
    encoder: Encoder
    X: NDArray[Any]
    y: NDArray[Any]
    training: NDArray[np.int64]
    validation: NDArray[np.int64]
    loss: str


def add_arguments(parser: argparse.ArgumentParser, epochs: int) -> None:
    """Add what says which data, which network and how to train it, to a command's parser."""
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
        default=epochs,
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


def read(arguments: argparse.Namespace) -> Experiment:
    """Read and encode the table, by its training rows."""
    table = read_table(arguments.data)
    if len(table) < 2:
        raise ValueError(f"{arguments.data}: 1 row, where both training and validation need some")
    training, validation = split_rows(len(table), arguments.validation, arguments.seed)
    encoder = Encoder.fit(table, arguments.target, training)
    loss = "cross_entropy" if encoder.target.task == "classification" else "mse"
    X, y = encoder.encode(table), encoder.encode_target(table)
    return Experiment(table, encoder, X, y, training, validation, loss)


def network(encoder: Encoder, arguments: argparse.Namespace) -> fg.Sequential:
    """Return an untrained network between the encoder's inputs and its target's outputs."""
    sizes = [encoder.width, *arguments.hidden]
    hidden = [fg.Dense(n, m, arguments.activation) for n, m in pairwise(sizes)]
    return fg.Sequential(*hidden, fg.Dense(sizes[-1], encoder.target.width), rng=arguments.seed)


def decisions(encoder: Encoder) -> str:
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
