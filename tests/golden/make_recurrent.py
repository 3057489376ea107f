"""Write recurrent.npz beside this file from PyTorch: ``python make_recurrent.py``.

Recurrent layers of PyTorch 2.13.0 on a CPU in float64, of numbers with six binary places; gradients
are autograd's, of ``sum(dy * y) + sum(dh_n * h_n) + sum(dc_n * c_n)``. What PyTorch has no module
for is a loop over its functions, which is held against the modules below.

One array of the file, "values", is all numbers of all cases one after the other, in a third of the
space that 1200 arrays need. The other one, "cases", holds a JSON string for each case:
"name", ``<cell>.<variant>``; "arrays", the names and shapes of its arrays in the order of their
values; "cell": "lstm", "gru" or "rnn"; and the options "activation" (of an rnn), "num_layers",
"bidirectional", "bias", "lengths" (a list or null), "states", "learn_initial", "peepholes", "norm"
and "reset_after". tests/recurrent_golden.py reads it. D below counts directions, L layers, G gates:
4 of an LSTM (i, f, g, o), 3 of a GRU (r, z, n), 1 of an RNN.

- ``x`` (N, T, I), ``y`` (N, T, D H), ``h_n`` and ``c_n`` (L D, N, H), as PyTorch orders them; c of
  an LSTM alone. With lengths, y is 0 from there on, and the last states are those of the last step
  of each sequence, for the reverse direction those of its first.
- ``dy``, ``dh_n`` and ``dc_n``: the gradients that come in; dy is not 0 beyond the lengths, where
  it must not count. ``dx``, ``dh0``, ``dc0``: those that go out.
- ``h0`` and ``c0`` (L D, N, H) where "states" is true; else they are 0, or learned.
- Parameters, and the gradient of each as ``grad.<parameter>``: PyTorch's ``weight_ih_l0`` (G H, I),
  ``weight_hh_l0`` (G H, H), ``bias_ih_l0``, ``bias_hh_l0`` (G H,), with ``_l1`` and ``_reverse``.
- "learn_initial": the initial states of all rows are the parameters ``initial_h_l0`` and
  ``initial_c_l0`` (H,), with ``_l1`` and ``_reverse``.
- "peepholes" (Gers et al. 2002): ``weight_ci_l0`` and ``weight_cf_l0`` (H,) times c of the step
  before are added in the gates i and f, ``weight_co_l0`` (H,) times the new c in o.
- "norm" (Ba et al. 2016, eq. 20 to 22, eps 1e-5): the gates are ``LN(W_hh h) + LN(W_ih x) + b_ih +
  b_hh``, each LN over all 4 H together with ``norm_hh_weight_l0`` and ``norm_hh_bias_l0``,
  ``norm_ih_weight_l0`` and ``norm_ih_bias_l0`` (4 H,); and ``h = o tanh(LN(c))`` with
  ``norm_c_weight_l0`` and ``norm_c_bias_l0`` (H,).
- "reset_after" is false for the GRU of Cho et al. 2014: ``n = tanh(W_in x + b_in + W_hn (r h) +
  b_hn)``. As in PyTorch's, which has the product with r after that with W_hn, ``h = (1 - z) n + z
  h``.
"""

import json
import zlib

import numpy as np
import torch
from make_golden import ACTIVATIONS, HERE

F = torch.nn.functional
N, T, INPUTS, H = 4, 6, 3, 4
LENGTHS = [3, 6, 1, 4]  # in no order, the longest and the shortest possible among them
GATES = {"lstm": 4, "gru": 3, "rnn": 1}
MODULES = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}
DEFAULTS = {
    "activation": "tanh",
    "num_layers": 1,
    "bidirectional": False,
    "bias": True,
    "lengths": None,
    "states": False,
    "learn_initial": False,
    "peepholes": False,
    "norm": False,
    "reset_after": True,
}
EVERYTHING = {"num_layers": 2, "bidirectional": True, "lengths": LENGTHS}
VARIANTS = {
    "plain": {},
    "states": {"states": True},
    "lengths": {"lengths": LENGTHS},
    "bidirectional": {"bidirectional": True},
    "bidirectional_lengths": {"bidirectional": True, "lengths": LENGTHS},
    "layers": {"num_layers": 2},
    "no_bias": {"bias": False},
    "one_step": {"states": True},
    "one_row": {"states": True},
    "everything": {"states": True, **EVERYTHING},
}
LEARNED = {
    "learned": {"learn_initial": True},
    "learned_everything": {"learn_initial": True, **EVERYTHING},
}
STATES = {"states": {"states": True}, "lengths": {"states": True, "lengths": LENGTHS}}


def drawn(rng, *shape, scale=1.0):
    return np.round(64 * scale * rng.standard_normal(shape)) / 64


def parameters(rng, cell, options):
    """All of them by name, none with a value that would hide an error, such as 0 or 1."""
    found, rows = {}, GATES[cell] * H
    for layer in range(options["num_layers"]):
        inputs = H * (1 + options["bidirectional"]) if layer else INPUTS
        for end in ["", "_reverse"][: 1 + options["bidirectional"]]:
            at = f"_l{layer}{end}"
            found |= {f"weight_ih{at}": drawn(rng, rows, inputs, scale=0.6)}
            found |= {f"weight_hh{at}": drawn(rng, rows, H, scale=0.6)}
            if options["bias"]:
                found |= {f"bias_{k}{at}": drawn(rng, rows, scale=0.5) for k in ("ih", "hh")}
            if options["learn_initial"]:
                found |= {f"initial_{s[0]}{at}": drawn(rng, H) for s in states(cell)}
            if options["peepholes"]:
                found |= {f"weight_c{gate}{at}": drawn(rng, H) for gate in "ifo"}
            if options["norm"]:
                for k, width in (("ih", rows), ("hh", rows), ("c", H)):
                    found |= {f"norm_{k}_weight{at}": 1 + drawn(rng, width, scale=0.3)}
                    found |= {f"norm_{k}_bias{at}": drawn(rng, width, scale=0.3)}
    return found


def states(cell):
    return ["h0", "c0"] if cell == "lstm" else ["h0"]


def by_module(cell, options, x, start, p):
    """Outputs, and last states by name, of PyTorch's module."""
    how = {"nonlinearity": options["activation"]} if cell == "rnn" else {}
    how |= {key: options[key] for key in ("bias", "bidirectional")}
    module = MODULES[cell](x.shape[2], H, options["num_layers"], batch_first=True, **how)
    weights = {name: v for name, v in p.items() if not name.startswith("initial_")}
    if options["learn_initial"]:
        start = [
            torch.stack([v.expand(len(x), H) for name, v in p.items() if f"initial_{s[0]}" in name])
            for s in states(cell)
        ]
    if options["lengths"]:
        pack = torch.nn.utils.rnn.pack_padded_sequence
        x = pack(x, torch.tensor(options["lengths"]), batch_first=True, enforce_sorted=False)
    given = tuple(start) if cell == "lstm" else start[0]
    y, last = torch.func.functional_call(module, weights, (x, given))
    if options["lengths"]:
        unpack = torch.nn.utils.rnn.pad_packed_sequence
        y, _ = unpack(y, batch_first=True, total_length=T)
    return y, last if cell == "lstm" else (last,)


def by_loop(cell, options, x, start, p):
    """The same for one layer and one direction, of a step written out."""
    step = {"lstm": lstm_step, "gru": gru_step, "rnn": rnn_step}[cell]
    now, outputs = [s[0] for s in start], []
    lengths = torch.tensor(options["lengths"] or [x.shape[1]] * len(x))
    for t in range(x.shape[1]):
        new = step(options, x[:, t], p, *now)
        goes_on = (t < lengths)[:, None]
        outputs.append(torch.where(goes_on, new[0], 0.0))
        now = [torch.where(goes_on, a, b) for a, b in zip(new, now, strict=True)]
    return torch.stack(outputs, 1), tuple(s[None] for s in now)


def layer_norm(name, v, p):
    return F.layer_norm(
        v, v.shape[1:], p[f"norm_{name}_weight_l0"], p[f"norm_{name}_bias_l0"], 1e-5
    )


def lstm_step(options, x, p, h, c):
    from_x, from_h = x @ p["weight_ih_l0"].T, h @ p["weight_hh_l0"].T
    if options["norm"]:
        from_x, from_h = layer_norm("ih", from_x, p), layer_norm("hh", from_h, p)
    i, f, g, o = (from_x + from_h + p["bias_ih_l0"] + p["bias_hh_l0"]).chunk(4, 1)
    if options["peepholes"]:
        i, f = i + p["weight_ci_l0"] * c, f + p["weight_cf_l0"] * c
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    if options["peepholes"]:
        o = o + p["weight_co_l0"] * c
    seen = layer_norm("c", c, p) if options["norm"] else c
    return torch.sigmoid(o) * torch.tanh(seen), c


def gru_step(options, x, p, h):
    x_r, x_z, x_n = F.linear(x, p["weight_ih_l0"], p["bias_ih_l0"]).chunk(3, 1)
    w_r, w_z, w_n = p["weight_hh_l0"].chunk(3)
    b_r, b_z, b_n = p["bias_hh_l0"].chunk(3)
    r = torch.sigmoid(x_r + F.linear(h, w_r, b_r))
    z = torch.sigmoid(x_z + F.linear(h, w_z, b_z))
    inner = r * F.linear(h, w_n, b_n) if options["reset_after"] else F.linear(r * h, w_n, b_n)
    return [(1 - z) * torch.tanh(x_n + inner) + z * h]


def rnn_step(options, x, p, h):
    name = options["activation"]
    phi = ACTIVATIONS["leaky_relu_0.01" if name == "leaky_relu" else name]
    z = F.linear(x, p["weight_ih_l0"], p["bias_ih_l0"])
    return [phi(z + F.linear(h, p["weight_hh_l0"], p["bias_hh_l0"]))]


def run(forward, name, cell, options):
    """All arrays of a case, whose draws depend on its name alone."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    n, t = 1 if name.endswith("one_row") else N, 1 if name.endswith("one_step") else T
    directions = 1 + options["bidirectional"]
    stacked = options["num_layers"] * directions, n, H
    inputs = {"x": drawn(rng, n, t, INPUTS)}
    if options["states"]:
        inputs |= {s: drawn(rng, *stacked) for s in states(cell)}
    seeds = {"dy": drawn(rng, n, t, directions * H)}
    seeds |= {f"d{s[0]}_n": drawn(rng, *stacked) for s in states(cell)}
    params = parameters(rng, cell, options)

    leaves = {k: torch.tensor(v, requires_grad=True) for k, v in (inputs | params).items()}
    start = [leaves[s] if s in leaves else torch.zeros(stacked) for s in states(cell)]
    p = {k: leaves[k] for k in params}
    y, last = forward(cell, options, leaves["x"], start, p)
    incoming = [torch.tensor(v) for v in seeds.values()]
    grads = torch.autograd.grad((y, *last), list(leaves.values()), incoming)
    outputs = {"y": y} | {f"{s[0]}_n": v for s, v in zip(states(cell), last, strict=True)}
    outputs |= {
        f"grad.{k}" if k in params else f"d{k}": g for k, g in zip(leaves, grads, strict=True)
    }
    return inputs | seeds | params | {k: v.detach().numpy() for k, v in outputs.items()}


def all_cases():
    """Name, cell and options, and the function that computes it."""
    for name, cell, own in (
        ("lstm", "lstm", {}),
        ("gru", "gru", {}),
        ("rnn_tanh", "rnn", {}),
        ("rnn_relu", "rnn", {"activation": "relu"}),
    ):
        variants = VARIANTS if name == "rnn_relu" else VARIANTS | LEARNED
        for variant, options in variants.items():
            yield f"{name}.{variant}", cell, DEFAULTS | own | options, by_module
    for name, cell, own in (
        ("lstm_peepholes", "lstm", {"peepholes": True}),
        ("lstm_norm", "lstm", {"norm": True}),
        ("gru_original", "gru", {"reset_after": False}),
    ):
        for variant, options in STATES.items():
            yield f"{name}.{variant}", cell, DEFAULTS | own | options, by_loop
    for activation in ("leaky_relu", "gelu", "sigmoid", "softsign", "identity"):
        own = {"activation": activation, "states": True}
        yield f"rnn_{activation}.states", "rnn", DEFAULTS | own, by_loop


def main():
    index, values = [], []
    for name, cell, options, forward in all_cases():
        arrays = run(forward, name, cell, options)
        if name.endswith((".states", ".lengths")) and forward is by_module:
            for key, v in run(by_loop, name, cell, options).items():
                np.testing.assert_allclose(v, arrays[key], rtol=1e-12, atol=1e-13, err_msg=key)
        shapes = {key: v.shape for key, v in arrays.items()}
        index.append(json.dumps({"name": name, "cell": cell, **options, "arrays": shapes}))
        values += [v.ravel() for v in arrays.values()]
    path = HERE / "recurrent.npz"
    np.savez_compressed(path, cases=np.array(index), values=np.concatenate(values))
    print(f"{path.name}: {len(index)} cases, {path.stat().st_size} bytes, {torch.__version__}")


if __name__ == "__main__":
    main()
