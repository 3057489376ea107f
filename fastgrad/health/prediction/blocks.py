"""The rules of layers that are made of layers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from fastgrad.arena import Array
from fastgrad.containers import Chain
from fastgrad.health.prediction.elementwise import log
from fastgrad.health.prediction.signal import Back, Flow, Signal
from fastgrad.health.prediction.walk import Walk, follow, follow_all, sum_moment, through
from fastgrad.parallel import Parallel
from fastgrad.residual import Residual

_SINGLE = 1.5752  # twice by how much the log of a squared normal number lies below 0 in the median


@through.register
def _(layer: Chain, name: str, signal: Signal, walk: Walk) -> tuple[Signal, Back]:
    return follow_all(layer.layers, f"{name}.", signal, walk)


@through.register
def _(layer: Residual, name: str, signal: Signal, walk: Walk) -> tuple[Signal, Back]:
    """``y = x + scale f(x)`` with an f(x) that is independent of x but for their means.

    Squares of gradients then add up, ``1 + scale^2 chi_f``, but for the part along y: it reaches x
    both ways, and grows as the signal does.
    """
    branch, back_of_branch = follow_all(layer.layers, f"{name}.", replace(signal, degree=1.0), walk)
    learned = walk.array(name, "scale")
    scale = layer.scale if learned is None else float(learned[0])
    up = plus(signal, branch, scale)
    ways = Ways.of(signal, branch, up, scale)
    if scale:
        walk.blocks.append(name)
    up = replace(up, degree=signal.degree * ways.degree)

    def back(flow: Flow) -> Flow:
        power = branch.power * (1 + flow.cross) - flow.cross * branch.apart
        walk.parameter(
            f"{name}.scale",
            flow.log_power + log(power),
            sum_moment(flow, branch.alike) + _SINGLE,
        )
        if not scale:
            back_of_branch(replace(flow, log_power=-math.inf))
            return flow
        there = replace(
            flow,
            log_power=flow.log_power + 2 * math.log(abs(scale)),
            radial=ways.seen(flow.radial, ways.y_f, flow.features),
        )
        below = back_of_branch(there)
        return ways.joined(flow, below, added([flow, below]))

    return up, back


@dataclass(frozen=True)
class Ways:
    """Around and through a branch, for the part of a gradient along ``y = x + scale f``.

    Attributes
    ----------
    x_y, y_f : float
        Cosines of x and y, and of y and f, less than 0 where ``scale`` is.
    through : float
        What comes back along x of a gradient of norm 1 along f, times ``|scale|``.
    branch, degree : float
        Derivatives of the logs of the sizes of f and y by that of x.
    """

    x_y: float
    y_f: float
    through: float
    branch: float
    degree: float

    @classmethod
    def of(cls, x: Signal, f: Signal, y: Signal, scale: float) -> Ways:
        both = in_common(x, f)
        if not (x.power and y.power and f.power):
            return cls(1.0, 0.0, 0.0, 0.0, 1.0)
        x_y = (x.power + scale * both) / math.sqrt(x.power * y.power)
        y_f = math.copysign(1.0, scale) * (scale * f.power + both) / math.sqrt(y.power * f.power)
        through = abs(scale) * f.degree * math.sqrt(f.power / x.power)
        along = x_y + y_f * through
        return cls(x_y, y_f, through, f.degree, along * math.sqrt(x.power / y.power))

    def seen(self, radial: float, cosine: float, features: int) -> float:
        """Share of a gradient along one signal, of which so much is along another one."""
        return radial * cosine**2 + (1 - radial) * (1 - cosine**2) / max(features - 1, 1)

    def joined(self, flow: Flow, branch: Flow, total: Flow) -> Flow:
        """The sum of both ways, what they share of the part along y included."""
        gain = math.exp(min(total.log_power - flow.log_power, 700.0))
        twice = 2 * flow.radial * self.x_y * self.y_f * self.through
        # what points away from y does so along x as much as against the branch
        aside = (1 - flow.radial) * (1 - self.x_y**2) / max(flow.features - 1, 1)
        twice -= 2 * aside * self.branch
        whole = max(gain + twice, 0.0)
        if not whole:
            return total
        through = math.exp(min(branch.log_power - flow.log_power, 700.0)) * branch.radial
        along = self.seen(flow.radial, self.x_y, flow.features) + through + twice
        return replace(
            total,
            log_power=flow.log_power + log(whole),
            radial=min(max(along / whole, 0.0), 1.0),
        )


@through.register
def _(layer: Parallel, name: str, signal: Signal, walk: Walk) -> tuple[Signal, Back]:
    given, ups, backs = walk.x, [], []
    for i, branch in enumerate(layer.layers):
        walk.x = given
        up, back = follow(branch, f"{name}.{i}", signal, walk)
        ups.append(up)
        backs.append(back)
    walk.x = None
    total = sum(up.features for up in ups)
    if layer.merge == "sum":
        up = ups[0]
        for other in ups[1:]:
            up = plus(up, other)
        shares = [1.0] * len(ups)
    else:
        shares = [up.features / total for up in ups]

        def mixed(quantity: str) -> float:
            pairs = zip(shares, ups, strict=True)
            return float(sum(share * getattr(up, quantity) for share, up in pairs))

        up = replace(
            ups[0],
            features=total,
            power=mixed("power"),
            apart=mixed("apart"),
            mean=mixed("mean"),
            alike=mixed("alike"),
            centre=_concatenated([each.centre for each in ups]),
            variances=_concatenated([each.variances for each in ups]),
        )

    def down(flow: Flow) -> Flow:
        found = []
        for share, each, back in zip(shares, ups, backs, strict=True):
            part = flow.log_power + math.log(share)
            found.append(back(replace(flow, features=each.features, log_power=part)))
        return added(found)

    return up, down


def in_common(x: Signal, f: Signal) -> float:
    """Mean product of the two, unit by unit."""
    if x.centre is None or f.centre is None:
        return x.mean * f.mean
    return float((x.centre * f.centre).mean())


def _concatenated(arrays: list[Array | None]) -> Array | None:
    """Of what is known of all branches, or nothing."""
    known = [each for each in arrays if each is not None]
    return np.concatenate(known) if len(known) == len(arrays) else None


def _sum(x: Array | None, f: Array | None, scale: float) -> Array | None:
    return None if x is None or f is None else x + scale * f


def plus(x: Signal, f: Signal, scale: float = 1.0) -> Signal:
    """``x + scale f`` of independent units, but for their means."""
    power = x.power + scale**2 * f.power + 2 * scale * in_common(x, f)
    apart = x.apart + scale**2 * f.apart
    up = replace(x, power=power, apart=apart, mean=x.mean + scale * f.mean)
    centre = _sum(x.centre, f.centre, scale)
    up = replace(up, centre=centre, variances=_sum(x.variances, f.variances, scale**2))
    cosine = (power - apart) / power if power else 1.0
    share = x.power / power if power else 1.0
    return replace(
        up,
        alike=max(cosine**2, 1 / x.features),
        # rows that are long are so in both
        spread=(share * math.sqrt(x.spread) + (1 - share) * math.sqrt(f.spread)) ** 2,
        shared=share**2 * x.shared + (1 - share) ** 2 * f.shared,
    )


def added(flows: list[Flow]) -> Flow:
    """The sum of gradients that came different ways, and are therefore independent."""
    top = max(flow.log_power for flow in flows)
    if top == -math.inf:
        return flows[0]
    powers = np.exp([flow.log_power - top for flow in flows])
    total = float(powers.sum())
    shares = powers / total
    first = flows[0]

    def second(quantity: str) -> float:
        """Of the sum: a way's gain is independent of what it is given, which all ways share."""
        values = np.array([getattr(flow, quantity) for flow in flows])
        mixed = np.minimum.outer(values, values)
        np.fill_diagonal(mixed, values)
        return float(shares @ mixed @ shares)

    # twice the product of two ways, squared
    beat = 2 * float(1 - (shares**2).sum()) / first.features
    parts = [share * flow.sizes for share, flow in zip(shares, flows, strict=True)]
    return replace(
        first,
        log_power=top + math.log(total),
        sizes=np.asarray(sum(parts[1:], parts[0])),
        cross=float(shares @ [flow.cross for flow in flows]),
        same=second("same") + beat,
        pair=second("pair") + beat / first.features,
        overlap=second("overlap"),
        radial=float(shares @ [flow.radial for flow in flows]),
        aligned=None,
    )
