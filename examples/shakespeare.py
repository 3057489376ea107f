"""Shakespeare: a GRU reads eight plays character by character, and writes on.

The text is cut into 32 stretches, which are the rows of one minibatch. The first nine tenths of
each are trained on in windows of 64 characters, each going on from the state in which the one
before it ended (truncated backpropagation through time), of every hundred of them the first from
zeros; the last tenths are held out. Beside it stand n-grams of the same training text: each order
is smoothed by the one below it (Witten & Bell, "The zero-frequency problem", 1991).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

import fastgrad as fg
from examples import common
from fastgrad.datasets import load_shakespeare
from fastgrad.plots import PALETTE, label_axes, new_figure

ROWS, WINDOW, UNITS = 32, 64, 256
ORDERS = {1: "unigrams", 2: "bigrams", 3: "trigrams", 5: "5-grams"}
Indices = NDArray[np.int64]


def split(text: str) -> tuple[Indices, Indices, list[str]]:
    """Characters as indices, (ROWS, T) to train on and (ROWS, T) held out; and what they are."""
    characters = sorted(set(text))
    place = {character: i for i, character in enumerate(characters)}
    indices = np.array([place[character] for character in text])
    rows = indices[: len(indices) // ROWS * ROWS].reshape(ROWS, -1)
    border = rows.shape[1] * 9 // 10
    return rows[:, :border], rows[:, border:], characters


def ngram_bits(training: Indices, test: Indices, order: int, classes: int) -> float:
    """Bits for each character of the test rows, given the `order` - 1 characters before it."""

    def keys(rows: Indices, length: int) -> Indices:
        """Every run of so many characters as a number, the last one in its lowest digit."""
        runs = np.lib.stride_tricks.sliding_window_view(rows, length, axis=1)
        return runs.reshape(-1, length) @ classes ** np.arange(length)[::-1]

    def looked_up(wanted: Indices, known: Indices, values: Indices) -> Indices:
        at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        return np.where(known[at] == wanted, values[at], 0)

    runs = keys(test, order)
    chance = np.full(len(runs), 1 / classes)
    for length in range(1, order + 1):
        known, counts = np.unique(keys(training, length), return_counts=True)
        contexts, of_context, kinds = np.unique(
            known // classes, return_inverse=True, return_counts=True
        )
        totals = np.bincount(of_context, counts)
        wanted = runs % classes**length
        seen = looked_up(wanted, known, counts)
        total, kind = (looked_up(wanted // classes, contexts, v) for v in (totals, kinds))
        mixed = (seen + kind * chance) / np.maximum(total + kind, 1)
        chance = np.where(total > 0, mixed, chance)
    return float(-np.log2(chance).mean())


def train(
    model: fg.Sequential, training: Indices, test: Indices, updates: int, bar: tqdm
) -> list[tuple[float, float]]:
    """Train for so many windows; return updates done, and bits per held-out character by then."""
    trainer = fg.Trainer(
        model,
        "cross_entropy",
        fg.Adam(4e-3),
        clip=fg.ClipNorm(1.0),
        schedule=fg.schedules.Warmup(0.05, then=fg.schedules.Cosine(end=0.02)),
        total_steps=updates,
        rng=0,
    )
    windows = (training.shape[1] - 1) // WINDOW
    at_once = min(100, updates // 2)
    curve: list[tuple[float, float]] = []
    window = 0
    while trainer.steps < updates:
        count = min(at_once, windows - window, updates - trainer.steps)
        part = slice(window * WINDOW, (window + count) * WINDOW)
        x, y = training[:, :-1][:, part], training[:, 1:][:, part]
        trainer.epoch(x, y, ROWS, shuffle=False, bptt=WINDOW)
        window = (window + count) % windows
        loss = trainer.evaluate(test[:, :-1], test[:, 1:])
        curve.append((trainer.steps, loss / np.log(2)))
        bar.update(count)
        bar.set_postfix_str(f"{curve[-1][1]:.3f} bits", refresh=False)
    return curve


def write(
    model: fg.Sequential, characters: list[str], start: str, length: int, temperature: float
) -> str:
    """Go on with a text, a character at a time, each drawn from softmax(logits / temperature)."""
    rng = np.random.default_rng(0)
    session = fg.Session(model, (1, 1))
    for character in start:
        logits = session([[characters.index(character)]])[0, -1]
    written = start
    for _ in range(length):
        weights = np.exp((logits - logits.max()).astype(np.float64) / temperature)
        drawn = int(rng.choice(len(weights), p=weights / weights.sum()))
        written += characters[drawn]
        logits = session([[drawn]])[0, -1]
    return written


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Train, print and draw; return the bits per character of each model."""
    chosen = common.options("shakespeare", __doc__, argv)
    updates, units = (10, 32) if chosen.quick else (4000, UNITS)
    training, test, characters = split(load_shakespeare())
    classes = len(characters)
    bits = {name: ngram_bits(training, test, n, classes) for n, name in ORDERS.items()}
    model = fg.Sequential(
        fg.GRU(classes, units, one_hot=True, return_sequences=True),
        fg.Dense(units, classes),
        rng=0,
    )
    with tqdm(total=updates, unit="window", disable=None) as bar:
        curve = train(model, training, test, updates, bar)
    bits[f"GRU of {units} units"] = curve[-1][1]

    common.show(
        [("model", "bits per character"), *((name, f"{b:.3f}") for name, b in bits.items())]
    )
    passes = updates * ROWS * WINDOW / training.size
    print(
        f"of {test.size:,} held-out characters; the GRU read {passes:.1f} times {training.size:,}"
    )
    print(f"at temperature 0.7 it writes:\n\n{write(model, characters, 'ROMEO.', 400, 0.7)}\n")

    figure, (axes,) = new_figure(1)
    axes.plot(*zip(*curve, strict=True), color=PALETTE[0], linewidth=1.8)
    for color, name in zip(PALETTE[1:], ORDERS.values(), strict=False):
        axes.axhline(bits[name], color=color, linestyle="--", linewidth=1.4)
        where = axes.get_yaxis_transform()  # x as a share of the width
        axes.text(0.99, bits[name], name, transform=where, color=color, ha="right", va="bottom")
    title = f"Shakespeare, a GRU of {units} units beside n-grams"
    label_axes(axes, title=title, xlabel="updates", ylabel="bits per held-out character")
    common.save(figure, chosen.out)
    return bits


if __name__ == "__main__":
    main()
