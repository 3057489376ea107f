"""Recurrent layers beside PyTorch's, with random numbers and options, where it is installed."""

from __future__ import annotations

import numpy as np
import pytest

import fastgrad as fg

torch = pytest.importorskip("torch")

CASES = range(6)
# Sequences, times, inputs, units
SIZES = [(5, 7, 3, 5), (9, 6, 17, 16), (33, 4, 20, 50), (1, 9, 4, 16), (17, 1, 3, 5)]
sizes = pytest.mark.parametrize("size", SIZES, ids="{0[0]}x{0[1]}x{0[2]}x{0[3]}".format)
# Of the largest number of an array: what sums of some hundred terms may lose
TOLERANCE = {np.dtype("float64"): 1e-10, np.dtype("float32"): 1e-4}


def pair_of(kind, rng, dtype, inputs, units):
    """A model of one layer and PyTorch's, of the same random options and parameters."""
    shared = {"num_layers": int(rng.integers(1, 4)), "bidirectional": bool(rng.integers(2))}
    shared["bias"] = bool(rng.integers(4))
    own, theirs = {}, {}
    if kind == "RNN":
        own["activation"] = theirs["nonlinearity"] = str(rng.choice(["tanh", "relu"]))
    sequences = bool(rng.integers(2))
    layer = getattr(fg, kind)(inputs, units, return_sequences=sequences, **shared, **own)
    model = fg.Sequential(layer, rng=0, dtype=dtype)
    module = getattr(torch.nn, kind)(inputs, units, batch_first=True, **shared, **theirs)
    module = module.to(getattr(torch, str(dtype)))
    for name, parameter in module.named_parameters():
        view = model.params[f"0.{name}"]
        view[...] = rng.standard_normal(view.shape) / np.sqrt(units)
        parameter.data[...] = torch.from_numpy(view)
    return model, module, sequences


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_weights_move_by_their_names(rng, kind):
    """The loops of README.md."""
    model = fg.Sequential(fg.Dense(3, 4), getattr(fg, kind)(4, 5, bidirectional=True), rng=0)
    module = getattr(torch.nn, kind)(4, 5, bidirectional=True, batch_first=True)
    for name, tensor in module.state_dict().items():
        tensor.numpy()[...] = model.params[f"1.{name}"]
    for name, parameter in module.named_parameters():
        assert np.array_equal(parameter.detach(), model.params[f"1.{name}"])
    model.flat_params[...] = rng.standard_normal(model.flat_params.size)
    for name, tensor in module.state_dict().items():
        model.params[f"1.{name}"] = tensor.numpy()
    for name, parameter in module.named_parameters():
        assert np.array_equal(parameter.detach(), model.params[f"1.{name}"])


def outputs_of(module, x, lengths, start, times):
    """Of PyTorch: sequences, and a stack of final states for each kind of them."""
    given = start[0] if len(start) == 1 else tuple(start)
    if lengths is None:
        y, last = module(x, given)
    else:
        rnn = torch.nn.utils.rnn
        packed = rnn.pack_padded_sequence(
            x, torch.from_numpy(lengths), batch_first=True, enforce_sorted=False
        )
        y, last = module(packed, given)
        y, _ = rnn.pad_packed_sequence(y, batch_first=True, total_length=times)
    return y, list(last) if len(start) == 2 else [last]


@pytest.mark.parametrize("case", CASES)
@sizes
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_same_numbers(backend, rng, dtype, kind, size, case):
    """Values, final states, and the gradients of everything."""
    count, times, inputs, units = size
    model, module, sequences = pair_of(kind, rng, dtype, inputs, units)
    lengths = rng.integers(1, times + 1, size=count) if rng.integers(2) else None
    x = rng.standard_normal((count, times, inputs)).astype(dtype)
    letters = "hc" if kind == "LSTM" else "h"
    ends = [
        f"l{level}{end}"
        for level in range(module.num_layers)
        for end in ("", "_reverse")[: 1 + module.bidirectional]
    ]
    start, above = rng.standard_normal((2, len(letters), len(ends), count, units)).astype(dtype)
    names = [[f"0.{s}_{end}" for end in ends] for s in letters]

    def named(stacks):
        pairs = zip(names, stacks, strict=True)
        return {key: v for keys, stack in pairs for key, v in zip(keys, stack, strict=True)}

    y = model.forward(x, lengths=lengths, states=named(start))
    leaves = [torch.from_numpy(v).requires_grad_() for v in (x, *start)]
    steps, last = outputs_of(module, leaves[0], lengths, leaves[1:], times)
    ways = 1 + module.bidirectional
    outputs = steps if sequences else torch.cat(list(last[0][-ways:]), dim=1)
    dy = rng.standard_normal(y.shape).astype(dtype)
    loss = (outputs * torch.from_numpy(dy)).sum()
    for state, d_state in zip(last, above, strict=True):
        loss = loss + (state * torch.from_numpy(d_state)).sum()
    loss.backward()
    dx = model.backward(dy, d_states=named(above))

    wanted = {"y": outputs.detach(), "dx": leaves[0].grad}
    wanted |= {f"state {k}": v for k, v in named([s.detach() for s in last]).items()}
    wanted |= {f"initial {k}": v for k, v in named([v.grad for v in leaves[1:]]).items()}
    wanted |= {f"0.{k}": p.grad for k, p in module.named_parameters()}
    got = {"y": y, "dx": dx, **model.grads}
    got |= {f"state {k}": v for k, v in model.states.items()}
    got |= {f"initial {k}": v for k, v in model.state_grads.items()}
    assert got.keys() == wanted.keys()
    for name, array in got.items():
        right = wanted[name].numpy()
        assert np.abs(array - right).max() <= TOLERANCE[dtype] * np.abs(right).max(), name
