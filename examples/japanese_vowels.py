"""Japanese vowels: which of nine men says /ae/, from 7 to 29 frames of sound?

A bidirectional GRU on the sequences as they are, none cut or stretched: `lengths` says where each
one ends. Units, dropout, rate and epochs were chosen by three-fold cross-validation on the 270
training sequences (``--validate`` repeats that); the 370 of the published test part only give the
figures at the end.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

import fastgrad as fg
from examples import common
from fastgrad.datasets import load_japanese_vowels
from fastgrad.plots import label_axes, new_figure

SPEAKERS, FOLDS, BATCH = 9, 3, 16
Data = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]
Curve = list[tuple[float, float]]


def answers(model: fg.Sequential, data: Data) -> NDArray[np.int64]:
    """The speakers that the model names."""
    X, _, lengths = data
    return np.asarray(model.predict(X, lengths=lengths).argmax(axis=1))


def train(
    training: Data, held_out: Data, seed: int, epochs: int, bar: tqdm
) -> tuple[fg.Sequential, dict[str, Curve]]:
    """Train for so many epochs; return the model and losses and accuracies on the way."""
    X, y, lengths = training
    model = fg.Sequential(
        fg.Standardize(12),
        fg.GRU(12, 64, bidirectional=True),
        fg.Dropout(0.5),
        fg.Dense(128, SPEAKERS),
        rng=seed,
    )
    model.fit_input(X, lengths=lengths)
    trainer = fg.Trainer(
        model,
        fg.CrossEntropy(label_smoothing=0.1),
        fg.Adam(3e-3),
        clip=fg.ClipNorm(1.0),
        schedule=fg.schedules.Cosine(end=0.01),
        total_steps=epochs * -(-len(X) // BATCH),
        rng=seed,
    )
    curves: dict[str, Curve] = {"loss": [], "training": [], "held out": []}
    for epoch in range(1, epochs + 1):
        curves["loss"].append((epoch, trainer.epoch(X, y, BATCH, lengths=lengths)))
        for name, data in (("training", training), ("held out", held_out)):
            curves[name].append((epoch, float((answers(model, data) == data[1]).mean())))
        bar.update(1)
    return model, curves


def folds(data: Data) -> list[tuple[Data, Data]]:
    """Training sequences in thirds: two of them to train on, and one that is held out."""
    order = np.random.default_rng(99).permutation(len(data[0]))
    X, y, lengths = data
    parts = []
    for k in range(FOLDS):
        held = np.isin(np.arange(len(X)), order[k::FOLDS])
        parts.append(((X[~held], y[~held], lengths[~held]), (X[held], y[held], lengths[held])))
    return parts


def main(argv: Sequence[str] | None = None) -> dict[str, list[float]]:
    """Train, print and draw; return the accuracy of each run."""
    chosen = common.options("japanese_vowels", __doc__, argv, seeds=5, validate=True)
    epochs, seeds = (3, range(1)) if chosen.quick else (40, range(chosen.seeds))
    training = load_japanese_vowels("train")
    if chosen.validate:
        parts, what = folds(training), f"{FOLDS} folds of the training part"
    else:
        parts, what = [(training, load_japanese_vowels("test"))], "test"
    accuracies: list[float] = []
    confusion = np.zeros((SPEAKERS, SPEAKERS), np.int64)
    with tqdm(total=epochs * len(seeds) * len(parts), unit="epoch", disable=None) as bar:
        curves: dict[str, list[Curve]] = {"loss": [], "training": [], "held out": []}
        for seed in seeds:
            for known, held_out in parts:
                model, found = train(known, held_out, seed, epochs, bar)
                for name, curve in found.items():
                    curves[name].append(curve)
                np.add.at(confusion, (held_out[1], answers(model, held_out)), 1)
                accuracies.append(found["held out"][-1][1])

    runs = common.counted(len(accuracies), "run")
    each = ", ".join(f"{accuracy:.2%}" for accuracy in accuracies)
    common.show(
        [
            ("classifier", f"accuracy, {what}", "each run"),
            ("bidirectional GRU", f"{np.mean(accuracies):.2%}", each),
            ("hidden Markov model (1)", "96.2%", ""),
            ("nearest prototypes (1)", "94.1%", ""),
        ]
    )
    print("(1) Kudo, Toyama & Shimbo 1999, test part, as we recall it")

    figure, (left, middle, right) = new_figure(3)
    common.draw_runs(left, {"training": curves.pop("loss")})
    label_axes(left, title="Loss", xlabel="epoch", ylabel="smoothed cross entropy")
    last = "held out" if chosen.validate else "published test part"
    common.draw_runs(middle, {"training": curves["training"], last: curves["held out"]})
    label_axes(middle, title="Accuracy", xlabel="epoch", ylabel="of all sequences")
    middle.set_ylim(top=1.01)
    common.draw_confusion(right, confusion, f"Who is taken for whom, {runs}")
    common.save(figure, chosen.out)
    return {"accuracy": accuracies}


if __name__ == "__main__":
    main()
