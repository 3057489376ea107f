"""Train a network to read handwritten digits, and show how it went."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import fastgrad as fg
from fastgrad.commands.arguments import count, figure_path, seed
from fastgrad.commands.layers import GradientFlow, layer_table
from fastgrad.data.split import split_rows
from fastgrad.datasets import load_digits
from fastgrad.plots import training_figure

__all__ = ["add_arguments", "run"]

_BATCH = 32
_LEARNING_RATE = 2e-3
_HELD_OUT = 0.2
_GREY_LEVELS = 16  # the pixels' greatest value, which scales them to 0 to 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    parser.add_argument(
        "--out",
        type=figure_path,
        default="fastgrad-demo.png",
        help="figure to write (default: %(default)s)",
        metavar="PNG",
    )
    parser.add_argument(
        "--epochs", type=count, default=30, help="passes over the images (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=seed, default=0, help="seed of everything random (default: %(default)s)"
    )


def run(arguments: argparse.Namespace) -> None:
    """Train on four fifths of the digits, test on the others, and print and draw the run."""
    images, y = load_digits()
    X = images / _GREY_LEVELS
    training, test = split_rows(len(X), _HELD_OUT, arguments.seed)
    model = fg.Sequential(
        fg.Dense(64, 128, "relu"),
        fg.Dense(128, 64, "relu"),
        fg.Dense(64, 10),
        rng=arguments.seed,
    )
    flow = GradientFlow(X[training], y[training])
    print(f"training 64-128-64-10 on {len(training)} digits, testing on {len(test)} others")
    fitted = fg.fit(
        model,
        X[training],
        y[training],
        loss="cross_entropy",
        optimizer=fg.Adam(_LEARNING_RATE),
        epochs=arguments.epochs,
        batch_size=_BATCH,
        validation=(X[test], y[test]),
        callbacks=[flow],
        rng=arguments.seed,
    )
    batch = training[:_BATCH]
    speed = np.median(fitted.history["samples_per_second"])
    print(f"test accuracy {np.mean(model.predict(X[test]).argmax(axis=1) == y[test]):.2%}")
    print(f"{speed:,.0f} samples per second ({fg.info()['backend']}, threads: {fg.num_threads()})")
    print(layer_table(fitted, X[batch], y[batch]))
    assert fitted.health is not None
    print("health:", fitted.health)
    _draw(fitted, flow, arguments.out)


def _draw(fitted: fg.Run, flow: GradientFlow, path: Path) -> None:
    try:
        figure = training_figure(fitted.history, flow.norms)
    except ImportError:
        print('no figure drawn: it needs matplotlib, from pip install "fastgrad[plot]"')
        return
    figure.savefig(path)
    print(f"figure written to {path}")
