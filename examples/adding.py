"""The adding problem: an LSTM learns what a plain recurrent network cannot.

Two of about a hundred numbers are marked and their sum is wanted at the end, with an error below
0.04 (Hochreiter & Schmidhuber, "Long short-term memory", 1997, section 5.4; the details of the task
as we recall them). Their network of 93 weights had 1 of 2560 new sequences wrong after 74,000
sequences, on which all networks here are trained, too; theirs came one at a time, ours in
minibatches of four, and with Adam in place of plain gradient descent.

The biases of chrono (Tallec & Ollivier, "Can recurrent neural networks warp time?", 2018) give
cells memories of up to the length of the sequences. With a forget bias of 1, which is a memory of a
few steps, the same LSTM does not learn the task in as many sequences.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

import fastgrad as fg
from examples import common
from fastgrad.plots import label_axes, new_figure

STEPS, BATCH, CHECK, TEST, GOOD = 100, 4, 500, 2560, 0.04
NETWORKS = ("LSTM, chrono", "LSTM", "RNN")


def network(name: str, seed: int) -> fg.Sequential:
    """One of `NETWORKS`, all with about as many weights."""
    if name == "RNN":
        return fg.Sequential(fg.RNN(2, 17), fg.Dense(17, 1), rng=seed)
    bias = fg.initializers.chrono(longest=STEPS) if name == "LSTM, chrono" else None
    return fg.Sequential(fg.LSTM(2, 8, bias_init=bias), fg.Dense(8, 1), rng=seed)


def wrong(model: fg.Sequential, data: common.Sequences) -> int:
    """How many sequences have an error of 0.04 or more."""
    x, y, lengths = data
    return int((np.abs(model.predict(x, lengths=lengths) - y) >= GOOD).sum())


def train(model: fg.Sequential, seed: int, sequences: int, bar: tqdm) -> list[tuple[float, float]]:
    """Train on so many new sequences; return the share of others that is wrong after each part."""
    drawn, seen = (np.random.default_rng([seed, use]) for use in (0, 1))
    held_out = common.adding(seen, CHECK, STEPS)
    trainer = fg.Trainer(
        model,
        "mse",
        fg.Adam(0.01),
        clip=fg.ClipNorm(1.0),
        schedule=fg.schedules.Cosine(end=0.01),
        total_steps=-(-sequences // BATCH),
        rng=seed,
    )
    curve = [(0.0, wrong(model, held_out) / CHECK)]
    for done in range(0, sequences, 1000):
        x, y, lengths = common.adding(drawn, min(1000, sequences - done), STEPS)
        trainer.epoch(x, y, BATCH, shuffle=False, lengths=lengths)
        curve.append((done + len(x), wrong(model, held_out) / CHECK))
        bar.update(len(x))
    return curve


def main(argv: Sequence[str] | None = None) -> dict[str, list[int]]:
    """Train, print and draw; return how many of the test sequences each run of a network missed."""
    chosen = common.options("adding", __doc__, argv, seeds=5)
    sequences = 2000 if chosen.quick else 74000
    seeds = range(1 if chosen.quick else chosen.seeds)
    test = common.adding(np.random.default_rng(2560), TEST, STEPS)
    curves: dict[str, list[list[tuple[float, float]]]] = {name: [] for name in NETWORKS}
    missed: dict[str, list[int]] = {name: [] for name in NETWORKS}
    before: dict[str, NDArray[np.float64]] = {}
    after: dict[str, NDArray[np.float64]] = {}
    with tqdm(total=sequences * len(seeds) * len(NETWORKS), unit="sequence", disable=None) as bar:
        for seed in seeds:
            for name in NETWORKS:
                model = network(name, seed)
                before[name] = common.reach(model, test[0][:100, :STEPS])
                curves[name].append(train(model, seed, sequences, bar))
                after[name] = common.reach(model, test[0][:100, :STEPS])
                missed[name].append(wrong(model, test))

    published = {"LSTM, chrono": "1 (LSTM, 93 weights)"}
    rows: list[Sequence[object]] = [("network", "weights", f"wrong of {TEST}, published", "ours")]
    for name in NETWORKS:
        weights = network(name, 0).num_parameters
        rows.append((name, weights, published.get(name, "-"), ", ".join(map(str, missed[name]))))
    common.show(rows)
    print(
        f"measured on {TEST} new sequences of {STEPS} to {STEPS + STEPS // 10} steps after "
        f"training on {sequences:,}, for {common.counted(len(seeds), 'seed')}; wrong is an error "
        f"of {GOOD} or more"
    )

    figure, (left, middle, right) = new_figure(3)
    common.draw_runs(left, curves)
    title = f"Adding problem, {STEPS} to {STEPS + STEPS // 10} steps"
    label_axes(left, title=title, xlabel="sequences", ylabel=f"wrong of {CHECK} held out")
    common.draw_reach(middle, before, "How far gradients reach, before training")
    common.draw_reach(right, after, "and after it")
    common.save(figure, chosen.out)
    return missed


if __name__ == "__main__":
    main()
