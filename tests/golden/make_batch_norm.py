"""Writes batch_norm.npz beside it: outputs, gradients and running statistics of PyTorch."""

from pathlib import Path

import numpy as np
import torch

SIZES = [(2, 1), (7, 3), (33, 17)]
EPS, MOMENTUM = 1e-3, 0.3

rng = np.random.default_rng(0)
arrays = {}
for n, f in SIZES:
    x, dy = rng.normal(2, 3, (n, f)), rng.standard_normal((n, f))
    weight, bias, start = rng.standard_normal((3, f))
    norm = torch.nn.BatchNorm1d(f, EPS, MOMENTUM, dtype=torch.float64)
    with torch.no_grad():
        norm.weight[...] = torch.from_numpy(weight)
        norm.bias[...] = torch.from_numpy(bias)
        norm.running_mean[...] = torch.from_numpy(start)
    given = torch.from_numpy(x).requires_grad_()
    y = norm(given)
    y.backward(torch.from_numpy(dy))
    predicted = norm.eval()(given)
    found = {
        "x": x, "dy": dy, "weight": weight, "bias": bias, "start": start, "y": y,
        "dx": given.grad, "dweight": norm.weight.grad, "dbias": norm.bias.grad,
        "running_mean": norm.running_mean, "running_var": norm.running_var,
        "predicted": predicted,
    }  # fmt: skip
    for name, value in found.items():
        array = value.detach().numpy() if isinstance(value, torch.Tensor) else value
        arrays[f"{n}x{f}.{name}"] = array

np.savez_compressed(Path(__file__).with_name("batch_norm.npz"), **arrays)
