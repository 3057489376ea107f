"""Apply a model made by `fastgrad train` to the rows of a CSV file."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

import fastgrad as fg
from fastgrad.commands.arguments import output_path
from fastgrad.commands.scores import predicted, score, truth
from fastgrad.commands.train import ENCODER_KEY
from fastgrad.data import Encoder, Table, read_table
from fastgrad.data.target import ClassTarget

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    parser.add_argument("model", help="file written by fastgrad train", metavar="model.safetensors")
    parser.add_argument("data", help="CSV file with a header", metavar="data.csv")
    parser.add_argument(
        "--out", type=output_path, help="CSV file to write, instead of standard output"
    )


def run(arguments: argparse.Namespace) -> None:
    """Predict the target of each row, write the predictions, and score them if possible."""
    model = fg.load(arguments.model)
    if ENCODER_KEY not in model.metadata:
        raise ValueError(f"{arguments.model}: holds no column encoding; fastgrad train writes one")
    encoder = Encoder.from_json(model.metadata[ENCODER_KEY])
    table = read_table(arguments.data)
    outputs = model.predict(encoder.encode(table))
    if outputs.shape[1] != encoder.target.width:
        raise ValueError(
            f"{arguments.model}: expected {encoder.target.width} outputs for the target"
            f" {encoder.target.name!r}, got {outputs.shape[1]}"
        )
    if arguments.out is None:
        _write(sys.stdout, encoder, outputs)
    else:
        with arguments.out.open("w", encoding="utf-8", newline="") as file:
            _write(file, encoder, outputs)
    if encoder.target.name in table.columns:
        # Standard output may be the predictions, so what is said of them goes elsewhere.
        print(_verdict(encoder, table, outputs), file=sys.stderr)


def _write(file: TextIO, encoder: Encoder, outputs: NDArray[np.floating]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    rows: Iterable[tuple[str, ...]]
    if isinstance(encoder.target, ClassTarget):
        writer.writerow(["prediction", "probability"])
        labels, probabilities = encoder.target.decode(outputs)
        rows = ((label, f"{p:.6g}") for label, p in zip(labels, probabilities, strict=True))
    else:
        writer.writerow(["prediction"])
        # Outputs are float32, of which more digits than this say nothing.
        rows = ((f"{value:.8g}",) for value in encoder.target.decode(outputs))
    writer.writerows(rows)


def _verdict(encoder: Encoder, table: Table, outputs: NDArray[np.floating]) -> str:
    """Return the score of the predictions, or why there is none."""
    try:
        true = truth(encoder, table)
    except ValueError as error:
        return f"not scored: {error}"
    return f"{len(table)} rows: {score(encoder, predicted(encoder, outputs), true)}"
