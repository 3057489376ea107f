"""Sunspots: a GRU forecasts the next twelve months, month by month up to 2008.

At each month a network that has read all months before it tells the twelve that follow. It is
trained on the years before the last fifth of the series, and compared there with the last value
(persistence), with the value of eleven years before (the solar cycle), and with a linear
autoregression on the last 132 months. What was chosen, units, rate, epochs and the regression's
order and penalty, was chosen by errors on 1917 to 1956 after training on the years before; the
tail was not looked at (``--validate`` repeats that).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

import fastgrad as fg
from examples import common
from fastgrad.datasets import load_sunspots
from fastgrad.plots import PALETTE, label_axes, new_figure

AHEAD, CYCLE, WINDOW, WARM_UP = 12, 132, 264, 36
FORECASTS = "GRU", "persistence", "eleven years before", "linear autoregression"
COLORS = dict(zip(FORECASTS, PALETTE, strict=False))
Array = NDArray[np.float64]


class Span(NamedTuple):
    """Where the months that are forecast begin and end."""

    start: int
    end: int

    @property
    def origins(self) -> NDArray[np.int64]:
        """The months after which forecasts are made; all that they forecast lies in the span."""
        return np.arange(self.start - 1, self.end - AHEAD)


TAIL, EARLIER = Span(208 * 12, 260 * 12), Span(168 * 12, 208 * 12)


def following(months: Array, origins: NDArray[np.int64]) -> Array:
    """The months that follow each origin, (origins, AHEAD)."""
    return np.asarray(months[origins[:, None] + 1 + np.arange(AHEAD)])


def persistence(months: Array, origins: NDArray[np.int64]) -> Array:
    """The last value."""
    return np.repeat(months[origins, None], AHEAD, axis=1)


def cycle(months: Array, origins: NDArray[np.int64]) -> Array:
    """The value of eleven years before."""
    return following(months, origins - CYCLE)


def autoregression(months: Array, origins: NDArray[np.int64], penalty: float = 3e4) -> Array:
    """Linear in the last 132 months, with a penalty on the squared weights."""

    def inputs(ends: NDArray[np.int64]) -> Array:
        past = months[ends[:, None] + 1 - CYCLE + np.arange(CYCLE)]
        return np.hstack([past, np.ones((len(ends), 1))])

    known = np.arange(CYCLE, origins[0] + 1 - AHEAD)
    x, y = inputs(known), following(months, known)
    weights = np.linalg.solve(x.T @ x + penalty * np.eye(CYCLE + 1), x.T @ y)
    return np.asarray(inputs(origins) @ weights)


def network(
    months: Array, origins: NDArray[np.int64], seed: int, epochs: int, bar: tqdm
) -> tuple[Array, list[float]]:
    """Forecasts of a GRU trained on all that is known at the first origin, and its losses."""
    known = months[: origins[0] + 1]
    mean, deviation = known.mean(), known.std()
    scaled = (months - mean) / deviation
    starts = np.arange(0, len(known) - WINDOW - AHEAD + 1, 6)
    steps = starts[:, None] + np.arange(WINDOW)
    x, y = scaled[steps, None], scaled[steps[..., None] + 1 + np.arange(AHEAD)]
    weight = np.ones(steps.shape)
    weight[:, :WARM_UP] = 0  # what it says before it has seen anything
    model = fg.Sequential(fg.GRU(1, 32, return_sequences=True), fg.Dense(32, AHEAD), rng=seed)
    trainer = fg.Trainer(
        model,
        "mse",
        fg.Adam(5e-3),
        clip=fg.ClipNorm(1.0),
        schedule=fg.schedules.Cosine(end=0.01),
        total_steps=epochs * -(-len(x) // 16),
        rng=seed,
    )
    losses = []
    for _ in range(epochs):
        losses.append(trainer.epoch(x, y, batch_size=16, sample_weight=weight))
        bar.update(1)
    # the GRU reads forward only: one pass over all months gives the forecasts of all origins
    outputs = model.predict(scaled[None, :, None])[0, origins].astype(np.float64)
    return outputs * deviation + mean, losses


def errors(forecasts: Array, truth: Array) -> Array:
    """The mean absolute error for each month ahead."""
    return np.asarray(np.abs(forecasts - truth).mean(axis=0))


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Train, print and draw; return the mean absolute error of each kind of forecast."""
    chosen = common.options("sunspots", __doc__, argv, seeds=5, validate=True)
    epochs, seeds = (4, range(1)) if chosen.quick else (20, range(chosen.seeds))
    span = EARLIER if chosen.validate else TAIL
    months = load_sunspots().astype(np.float64)[: span.end]
    origins = span.origins
    truth = following(months, origins)
    forecasts = {
        "persistence": persistence(months, origins),
        "eleven years before": cycle(months, origins),
        "linear autoregression": autoregression(months, origins),
    }
    with tqdm(total=epochs * len(seeds), unit="epoch", disable=None) as bar:
        runs = [network(months, origins, seed, epochs, bar) for seed in seeds]
    each = [errors(outputs, truth) for outputs, _ in runs]
    forecasts["GRU"] = np.mean([outputs for outputs, _ in runs], axis=0)
    alone = len(runs) == 1
    together = "GRU" if alone else f"mean of {len(runs)} GRUs"

    by_month = {name: errors(outputs, truth) for name, outputs in forecasts.items()}
    by_month["GRU"] = np.mean(each, axis=0)
    by_month.setdefault(together, errors(forecasts["GRU"], truth))
    shown = (1, 3, 6, 12)
    rows: list[Sequence[object]] = [
        ("mean absolute error", *(common.counted(m, "month") for m in shown), "all 12", "each seed")
    ]
    for name, error in by_month.items():
        seen = ", ".join(f"{e.mean():.2f}" for e in each) if name == "GRU" else ""
        rows.append((name, *(f"{error[m - 1]:.1f}" for m in shown), f"{error.mean():.2f}", seen))
    common.show(rows)
    years = 1749 + span.start // 12, 1748 + span.end // 12
    print(f"of {len(origins)} forecasts from {years[0]} to {years[1]}, in sunspots")

    figure, (left, right) = new_figure(2)
    when = 1749 + (origins + AHEAD) / 12
    left.plot(when, truth[:, -1], color="0.6", linewidth=0.9, label="truth")
    for name, label, width in (("persistence", "persistence", 0.7), ("GRU", together, 1.6)):
        left.plot(when, forecasts[name][:, -1], color=COLORS[name], linewidth=width, label=label)
    left.legend(frameon=False)
    label_axes(left, title="Forecast twelve months before", xlabel="year", ylabel="sunspots")
    for marker, (name, color) in zip("osD^", COLORS.items(), strict=True):
        label = name if alone or name != "GRU" else f"GRU, mean error of {len(runs)} seeds"
        right.plot(range(1, AHEAD + 1), by_month[name], color=color, marker=marker, label=label)
    right.set_ylim(bottom=0)
    right.legend(frameon=False)
    title = "Errors by how far ahead"
    label_axes(right, title=title, xlabel="months ahead", ylabel="mean absolute error")
    common.save(figure, chosen.out)
    return {name: float(error.mean()) for name, error in by_month.items()}


if __name__ == "__main__":
    main()
