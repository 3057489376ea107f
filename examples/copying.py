"""The copying problem: ten symbols are repeated after a hundred steps.

Arjovsky, Shah & Bengio, "Unitary evolution recurrent neural networks", 2016: without memory the
best answer is blanks and then symbols at random, a cross entropy of 10 ln 8 / (T + 20). As we
recall it, RNNs of 80 tanh units and LSTMs of 40 stay there, while a network whose recurrent weights
are unitary comes close to 0 within 2000 minibatches of 20. As there, RMSprop with a rate of 0.001
trains RNN and LSTM, each element of the gradient clipped at 1.

In place of the unitary network there is one without an activation, whose recurrent weights start as
an orthogonal matrix and are then free: its gradients neither vanish nor explode at the start. Its
rate is 0.0001; with 0.001 it fell below the baseline, too, and then rose again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

import fastgrad as fg
from examples import common
from fastgrad.plots import label_axes, new_figure

DELAY, BATCH, TEST = 100, 20, 500
NETWORKS = ("RNN", "LSTM", "linear RNN")


def network(name: str, seed: int) -> fg.Sequential:
    """One of `NETWORKS`."""
    first: fg.Layer
    if name == "LSTM":
        first = fg.LSTM(10, 40, one_hot=True, return_sequences=True)
        return fg.Sequential(first, fg.Dense(40, 9), rng=seed)
    units, activation = (80, "tanh") if name == "RNN" else (128, "identity")
    first = fg.RNN(10, units, activation, one_hot=True, return_sequences=True)
    return fg.Sequential(first, fg.Dense(units, 9), rng=seed)


def train(
    name: str, model: fg.Sequential, seed: int, updates: int, test: common.Indices, bar: tqdm
) -> list[tuple[float, float]]:
    """Train on new sequences; return updates done, and the cross entropy of others by then."""
    drawn = np.random.default_rng([seed, 0])
    rate = 1e-4 if name == "linear RNN" else 1e-3
    trainer = fg.Trainer(model, "cross_entropy", fg.RMSprop(rate), clip=fg.ClipValue(1.0), rng=seed)
    curve = [(0.0, trainer.evaluate(*test))]
    at_once = 50
    for done in range(0, updates, at_once):
        x, y = common.copying(drawn, at_once * BATCH, DELAY)
        trainer.epoch(x, y, BATCH, shuffle=False)
        curve.append((done + at_once, trainer.evaluate(*test)))
        bar.update(at_once)
    return curve


def main(argv: Sequence[str] | None = None) -> dict[str, list[float]]:
    """Train, print and draw; return the cross entropy of each run at its end."""
    chosen = common.options("copying", __doc__, argv, seeds=2)
    updates = 50 if chosen.quick else 2000
    seeds = range(1 if chosen.quick else chosen.seeds)
    test = common.copying(np.random.default_rng(500), TEST, DELAY)
    baseline = 10 * np.log(8) / (DELAY + 20)
    curves: dict[str, list[list[tuple[float, float]]]] = {name: [] for name in NETWORKS}
    reached: dict[str, NDArray[np.float64]] = {}
    with tqdm(total=updates * len(seeds) * len(NETWORKS), unit="step", disable=None) as bar:
        for seed in seeds:
            for name in NETWORKS:
                model = network(name, seed)
                reached[name] = common.reach(model, test[0][:100], last=10)
                curves[name].append(train(name, model, seed, updates, test, bar))

    found = {name: [curve[-1][1] for curve in of_name] for name, of_name in curves.items()}
    published = dict.fromkeys(("RNN", "LSTM"), f"{baseline:.3f}")
    rows: list[Sequence[object]] = [("network", "weights", "published, as we recall it", "ours")]
    rows.append(("no memory", "-", f"{baseline:.3f}", "-"))
    for name, last in found.items():
        ours = ", ".join(f"{loss:.3f}" for loss in last)
        told = published.get(name, "near 0 (unitary network)")
        rows.append((name, network(name, 0).num_parameters, told, ours))
    common.show(rows)
    print(
        f"measured: mean cross entropy over all {DELAY + 20} steps of {TEST} new sequences after "
        f"{updates} minibatches of {BATCH}, for {common.counted(len(seeds), 'seed')}"
    )

    figure, (left, right) = new_figure(2)
    left.axhline(baseline, color="black", linestyle=":", label="no memory")
    common.draw_runs(left, curves)
    title = f"Copying ten symbols after {DELAY} steps"
    label_axes(left, title=title, xlabel="minibatches", ylabel="cross entropy")
    left.set_yscale("log")
    common.draw_reach(right, reached, "How far gradients of the answer reach, before training")
    common.save(figure, chosen.out)
    return found


if __name__ == "__main__":
    main()
