"""Recurrent layers a second time: every step from what a kernel left, and how far it may be off.

A step is held against the exact step from the kernel's own states, and its gradient against that
from the kernel's own gradients of the gates behind it. So a bound is that of one step, however far
errors grow over time.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from harness import exact
from norm_cells import lstm_norm_backward, lstm_norm_step
from rounding import MOST_CURVED, rounding, slope_bound, stored_slope_bound
from running_error import Rounded, joined, sum_of

from fastgrad.backends import contract
from fastgrad.backends.contract import needs_slope, room

# of rows of w, of columns of gates
BLOCKS = {"rnn": (1, 1), "lstm": (4, 4), "lstm_norm": (4, 4), "gru": (3, 4)}
STATES = {"rnn": "h", "lstm": "hc", "lstm_norm": "hc", "gru": "h"}
PEEPHOLES = ("p_i", "p_f", "p_o")
NORMS = {"norm_h": 4, "norm_c": 1, "bias_c": 1}  # blocks of units
KEPT = ("sums", "seen", "mean_h", "scale_h", "mean_c", "scale_c")
OPTIONS = {"rnn": {"activation": "tanh", "alpha": 0.0}, "lstm": {}, "gru": {"before": 0}}
OPTIONS["lstm_norm"] = {"eps": 1e-5}
CELLS = {
    "rnn": ("rnn", {}),
    "lstm": ("lstm", {"peepholes": ()}),
    "peepholes": ("lstm", {}),
    "norm": ("lstm_norm", {}),
    "gru": ("gru", {}),
    "original": ("gru", {"before": 1}),
}
cells = pytest.mark.parametrize(("cell", "options"), CELLS.values(), ids=CELLS)


def problem(cell, rng, dtype, lengths, units, times=None, peepholes=PEEPHOLES, **options):
    """Arguments of a forward kernel; what lies behind the last step is NaN."""
    count, lengths = len(lengths), np.asarray(lengths)
    times = lengths.max() if times is None else times
    offsets = np.append(0, np.cumsum([(lengths > t).sum() for t in range(times)]))
    rows, (high, wide) = count * times, BLOCKS[cell]
    given = {"offsets": offsets.astype(np.int64), **OPTIONS[cell], **options}
    given["w"] = rng.standard_normal((high * units, units)) / np.sqrt(units)
    if cell == "lstm":
        given |= {name: rng.standard_normal(units) for name in peepholes}
    if cell == "lstm_norm":
        given |= {name: rng.standard_normal(n * units) for name, n in NORMS.items()}
    given["gates"] = rng.standard_normal((rows, wide * units))
    given["gates"][offsets[-1] :] = np.nan
    for state in STATES[cell]:
        given[state] = np.full((count + rows, units), np.nan)
        given[state][:count] = rng.standard_normal((count, units))
    given |= {"panels": np.full(room(high, units, count), np.nan)}
    integers = ("offsets",)
    arrays = {k: v for k, v in given.items() if isinstance(v, np.ndarray) and k not in integers}
    return given | {k: v.astype(dtype) for k, v in arrays.items()}


def gradients(cell, rng, given, which=("dy", "dh_last", "dc_last")):
    """Gradients from above, for a backward kernel."""
    count = len(given["h"]) - len(given["gates"])
    dy = rng.standard_normal((len(given["gates"]), given["h"].shape[1]))
    dy[given["offsets"][-1] :] = np.nan
    found = {"dy": dy}
    found |= {f"d{s}_last": rng.standard_normal((count, dy.shape[1])) for s in STATES[cell]}
    return {k: v.astype(given["w"].dtype) for k, v in found.items() if k in which}


def backward_of(run, cell, given, out, above, initial=1, **changes):
    """The backward kernel after a forward pass with these results."""
    names = ("offsets", "w", *PEEPHOLES, *NORMS, "activation", "alpha", "before", "panels")
    names = {a.name for a in contract.arguments(f"{cell}_backward")}.intersection(names)
    call = {k: v for k, v in given.items() if k in names} | above | {"initial": initial}
    states = {k: getattr(out, k) for k in (*STATES[cell], "gates")}
    if cell == "lstm_norm":
        states |= {k: getattr(out, k) for k in KEPT}
    if cell == "lstm":
        call |= {f"d{p}": None for p in PEEPHOLES if p not in given}
    empty = np.full((len(out.h) - len(out.gates), out.h.shape[1]), np.nan, out.h.dtype)
    states |= {f"d{s}0": empty for s in STATES[cell]}
    return run(f"{cell}_backward", **call | states | changes)


def rounded_forward(cell, given):
    """The exact results of a forward kernel, in the kernel's dtype."""
    out, dtype = vars(exact(f"{cell}_forward", **given)), given["w"].dtype
    kinds = {a.name: a.kind or dtype for a in contract.arguments(f"{cell}_forward")}
    return SimpleNamespace(**{k: v.astype(kinds[k]) for k, v in out.items()})


def steps(given):
    """For each step its rows, where its states lie, and those of the step before."""
    offsets = given["offsets"]
    count = len(given["h"]) - len(given["gates"])
    for t in range(len(offsets) - 1):
        now = slice(*offsets[t : t + 2])
        earlier = count + offsets[t - 1] if t else 0
        yield (
            now,
            slice(count + now.start, count + now.stop),
            slice(earlier, earlier + now.stop - now.start),
        )


class Known:
    """Arrays by name as exact numbers, those that are missing as 0."""

    def __init__(self, arrays, dtype):
        self.arrays, self.dtype = arrays, dtype

    def __getitem__(self, name):
        value = self.arrays.get(name)
        return Rounded.given(0.0 if value is None else value, self.dtype)


def check_forward(cell, given, out):
    """Every step against that from the states before it."""
    own, z_all = Known(given, given["w"].dtype), given["gates"]
    left = Known(vars(out), given["w"].dtype)
    for now, here, before in steps(given):
        z = Rounded.given(z_all[now], own.dtype)
        h, c = left["h"][before], left["c"][before] if "c" in STATES[cell] else None
        if cell == "lstm_norm":
            found = lstm_norm_step(given, own, z, h, c, left, now, here)
        else:
            step = {"rnn": rnn_step, "lstm": lstm_step, "gru": gru_step}[cell]
            found = step(given, own, z, h, c)
        for name, wanted in found.items():
            wanted.holds(getattr(out, name)[here if name in STATES[cell] else now], name)


def rnn_step(given, own, z, h, c):
    z = sum_of(z, (h, own["w"].T))
    name, alpha = given["activation"], given["alpha"]
    flat, slope = z.value.ravel(), None
    y = exact("activation_forward", x=flat, activation=name, alpha=alpha, slope=np.empty_like(flat))
    found = {"h": z.activation(name, y.y.reshape(z.value.shape))}
    if needs_slope(name):
        slope = y.slope.reshape(z.value.shape)
        error = MOST_CURVED * z.error + stored_slope_bound(name, z.value, own.dtype)
        found["gates"] = Rounded(slope, error, own.dtype)
    return found


def lstm_step(given, own, z, h, c):
    i, f, g, o = sum_of(z, (h, own["w"].T)).blocks(4)
    i, f, g = (i + own["p_i"] * c).sigmoid(), (f + own["p_f"] * c).sigmoid(), g.tanh()
    c = f * c + i * g
    o = (o + own["p_o"] * c).sigmoid()
    return {"gates": joined(i, f, g, o), "c": c, "h": o * c.tanh()}


def gru_step(given, own, z, h, c):
    n, r, z, m = z.blocks(4)
    w_r, w_z, w_n = own["w"].rows(3)
    r, z = sum_of(r, (h, w_r.T)).sigmoid(), sum_of(z, (h, w_z.T)).sigmoid()
    if given["before"]:
        m = r * h
        n = sum_of(n, (m, w_n.T)).tanh()
    else:
        m = sum_of(m, (h, w_n.T))
        n = (n + r * m).tanh()
    # n + z (h - n) is the same
    new = (1 - z) * n + z * h
    return {"gates": joined(n, r, z, m), "h": new}


def check_backward(cell, given, out, above, initial, got):
    """The gradients of gates at every step, and all that is made of them; `out` went in."""
    dtype, w = given["w"].dtype, Known(given, given["w"].dtype)["w"]
    own, left, found = (Known(x, dtype) for x in (given, vars(out), vars(got)))
    backward = {"rnn": rnn_backward, "lstm": lstm_backward, "gru": gru_backward}.get(cell)
    carried = {s: Known(above, dtype)[f"d{s}_last"] for s in STATES[cell]}
    shape = len(out.h) - len(out.gates), w.value.shape[1]
    carried = {s: Rounded(*(np.zeros(shape) + x for x in (d.value, d.error)), dtype)
               for s, d in carried.items()}  # fmt: skip
    flow = []
    for t, (now, here, before) in reversed(list(enumerate(steps(given)))):
        count = now.stop - now.start
        d = {s: x[:count] for s, x in carried.items()}
        if above.get("dy") is not None:
            d["h"] = d["h"] + Rounded.given(above["dy"][now], dtype)
        came = joined(*d.values()).norm()
        step = given, own, left, found["gates"][now], d, now, here, before
        dz, d_whole, d_before = backward(*step) if backward else lstm_norm_backward(*step, found)
        width = dz.value.shape[1]  # the rest of a GRU with r before the product is spare
        dz.holds(got.gates[now, :width], f"gates of step {t}")
        ratio = quotient(joined(*d_before.values()).norm(), came) if t or initial else np.nan
        flow.append((d["h"].norm(), d_whole.norm() if d_whole else 0.0, ratio))
        for s, x in d_before.items():
            for kept, new in ((carried[s].value, x.value), (carried[s].error, x.error)):
                kept[:count] = new
    check_flow(flow[::-1], got.flow)
    if initial:
        for s, x in carried.items():
            x.holds(getattr(got, f"d{s}0"), f"d{s}0")
    for name, wanted in sums(cell, given, own, left, found).items():
        wanted.holds(getattr(got, name), name)


def quotient(a, b):
    with np.errstate(invalid="ignore", divide="ignore"):
        value = a.value / b.value
        error = (a.error + value * b.error) / np.maximum(b.value - b.error, 0)
    return Rounded(value, error + rounding(value, np.float64, 3), a.dtype)


def check_flow(wanted, got):
    for t, row in enumerate(wanted):
        for k, number in enumerate(row):
            if isinstance(number, Rounded):
                number.holds(got[t, k], f"flow[{t}, {k}]")
            else:
                assert np.array_equal(got[t, k], number, equal_nan=True), f"flow[{t}, {k}]"


def of_tanh(y):
    """f' of y = tanh(x), a difference."""
    return 1 - y * y


def rnn_backward(given, own, left, dz, d, now, here, before):
    name, h = given["activation"], left["h"][here]
    shape, ones = h.value.shape, np.ones(h.value.size)
    slopes = left["gates"][now].value.ravel() if needs_slope(name) else None
    how = {"y": h.value.ravel(), "slope": slopes, "activation": name, "alpha": given["alpha"]}
    slope = exact("activation_backward", dy=ones, **how).dx.reshape(shape)
    error = 0 * slope if slopes is not None else slope_bound(name, h.value, slope, own.dtype)
    wanted = d["h"] * Rounded(slope, error, own.dtype)
    return wanted, None, {"h": sum_of(0, (dz, own["w"]))}


def lstm_backward(given, own, left, dz, d, now, here, before):
    i, f, g, o = left["gates"][now].blocks(4)
    c, t = left["c"][before], left["c"][here].tanh()
    dz_o = d["h"] * t * (o * (1 - o))
    dc = d["c"] + d["h"] * o * of_tanh(t) + dz_o * own["p_o"]
    dz_i, dz_f = dc * g * (i * (1 - i)), dc * c * (f * (1 - f))
    dc_before = dc * f + dz_i * own["p_i"] + dz_f * own["p_f"]
    wanted = joined(dz_i, dz_f, dc * i * of_tanh(g), dz_o)
    return wanted, dc, {"h": sum_of(0, (dz, own["w"])), "c": dc_before}


def gru_backward(given, own, left, dz, d, now, here, before):
    n, r, z, m = left["gates"][now].blocks(4)
    h, (w_r, w_z, w_n) = left["h"][before], own["w"].rows(3)
    own_n, own_r, own_z, own_m = dz.blocks(4)
    dz_z = d["h"] * (h - n) * (z * (1 - z))
    dz_n = d["h"] * (1 - z) * of_tanh(n)
    kept = d["h"] * z
    if given["before"]:
        dm = sum_of(0, (own_n, w_n))
        dz_r, kept = dm * h * (r * (1 - r)), kept + dm * r
        wanted, more = joined(dz_n, dz_r, dz_z), []
    else:
        dm = dz_n * r
        dz_r = dz_n * m * (r * (1 - r))
        wanted, more = joined(dz_n, dz_r, dz_z, dm), [(own_m, w_n)]
    return wanted, None, {"h": sum_of(kept, (own_r, w_r), (own_z, w_z), *more)}


def sums(cell, given, own, left, found):
    """Gradients of parameters: sums over all rows of gradients that the kernel has left."""
    rows = list(steps(given))
    last = given["offsets"][-1]
    dz = found["gates"][:last]
    before, here = (np.concatenate([np.r_[s[k]] for s in rows]) for k in (2, 1))
    h = left["h"][before]
    if cell == "rnn":
        return {"dw": sum_of(0, (dz.T, h))}
    if cell == "gru":
        dz_n, dz_r, dz_z, dm = dz.blocks(4)
        _, _, _, m = left["gates"][:last].blocks(4)
        by_n = (dz_n.T, m) if given["before"] else (dm.T, h)
        parts = [sum_of(0, pair) for pair in ((dz_r.T, h), (dz_z.T, h), by_n)]
        return {"dw": joined(*(part.T for part in parts)).T}
    if cell == "lstm_norm":
        return {"dw": sum_of(0, (found["d_sums"][:last].T, h))}
    dz_i, dz_f, _, dz_o = dz.blocks(4)
    wanted = {"dw": sum_of(0, (dz.T, h))}
    for p, gradient, places in (("p_i", dz_i, before), ("p_f", dz_f, before), ("p_o", dz_o, here)):
        if given.get(p) is not None:
            terms = gradient.value * left["c"][places].value
            error = rounding(np.abs(terms).sum(axis=0), own.dtype, len(terms) + 1)
            wanted[f"d{p}"] = Rounded(terms.sum(axis=0), error, own.dtype)
    return wanted
