"""The steps of layer-normalized LSTMs a second time, for cells.py: from what the kernels left.

Every row is normalized with the mean and the scale that the kernel has, which are held against
those of its own sums.
"""

from __future__ import annotations

import numpy as np
from rounding import rounding
from running_error import Rounded, joined, sum_of


def moments(x, eps):
    """Mean and scale of rows; sums of so many terms in float64, and what is made of them."""
    x = x.value
    count, mean = x.shape[1], x.mean(axis=1)
    scale = 1 / np.sqrt(((x - mean[:, None]) ** 2).mean(axis=1) + eps)
    of_mean = rounding(np.abs(x).mean(axis=1), np.float64, count)
    of_scale = rounding(scale, np.float64, count + 10)
    return Rounded(mean, of_mean, np.float64), Rounded(scale, of_scale, np.float64)


def normed(x, mean, scale):
    """Two differences, a product, and the three numbers that go into them."""
    v = (x.value - mean.value[:, None]) * scale.value[:, None]
    return Rounded(v, rounding(v, x.dtype, 6), x.dtype)


def normed_back(x, mean, scale, weight, dy):
    """The gradient of x out of that of ``weight v``: lanes of 8 terms, then sums in float64."""
    v, g = normed(x, mean, scale), dy.value * weight.value
    dot, shift = ((g * u).mean(axis=1, keepdims=True) for u in (v.value, 1))
    sizes = np.abs(g), np.abs(g).mean(axis=1, keepdims=True)
    size_v = np.abs(v.value)
    size_dot = (sizes[0] * size_v).mean(axis=1, keepdims=True)
    sums = sizes[1] + size_v * size_dot
    bound = rounding(sizes[0] + sums, x.dtype, 24) + rounding(sums, np.float64, g.shape[1])
    bound = bound + v.error * size_dot + size_v * (sizes[0] * v.error).mean(axis=1, keepdims=True)
    tiny = float(np.finfo(x.dtype).tiny)  # what may count as zero, in the result or what it is of
    scale = scale.value[:, None]
    return Rounded(scale * (g - shift - v.value * dot), scale * bound + 4 * tiny, x.dtype)


def lstm_norm_step(given, own, z, h, c, left, now, here):
    names = {"h": left["sums"][now], "c": left["c"][here]}
    found = {}
    for name, x in names.items():
        both = f"mean_{name}", f"scale_{name}"
        found |= dict(zip(both, moments(x, given["eps"]), strict=True))
        names[name] = normed(x, *(left[k][now] for k in both))
    i, f, g, o = (z + own["norm_h"] * names["h"]).blocks(4)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    seen = (own["norm_c"] * names["c"] + own["bias_c"]).tanh()
    found |= {"sums": sum_of(0, (h, own["w"].T)), "gates": joined(i, f, g, o), "seen": seen}
    return found | {"c": f * c + i * g, "h": o * seen}


def lstm_norm_backward(given, own, left, dz, d, now, here, before, found):
    i, f, g, o = left["gates"][now].blocks(4)
    t = left["seen"][now]
    dz_o = d["h"] * t * (o * (1 - o))
    d_seen = d["h"] * o * (1 - t * t)
    d_seen.holds(found["seen"].value[now], "seen")
    of_c, of_h = ([left[f"{k}_{s}"][now] for k in ("mean", "scale")] for s in "ch")
    dc = d["c"] + normed_back(left["c"][here], *of_c, own["norm_c"], found["seen"][now])
    dz_i, dz_f = dc * g * (i * (1 - i)), dc * left["c"][before] * (f * (1 - f))
    d_sums = normed_back(left["sums"][now], *of_h, own["norm_h"], dz)
    d_sums.holds(found["d_sums"].value[now], "d_sums")
    carried = {"h": sum_of(0, (found["d_sums"][now], own["w"])), "c": dc * f}
    return joined(dz_i, dz_f, dc * i * (1 - g * g), dz_o), dc, carried
