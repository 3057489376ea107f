"""Write norm.npz beside this file from PyTorch: ``python make_norm.py``.

Layer norm and RMS norm of PyTorch 2.13.0 on a CPU, in float64, of float32 numbers, as
make_golden.py has them; gradients are autograd's.
"""

import zlib

import numpy as np
import torch
from make_golden import HERE, drawn, with_grad

F = torch.nn.functional
EPS = 1e-5


def norm(rng):
    out = {}
    for n, f in ((5, 1), (4, 7), (9, 33)):
        x, dy = drawn(rng, n, f, scale=2.0) + 1, drawn(rng, n, f)
        weight, bias = drawn(rng, f), drawn(rng, f)
        out |= {f"{f}.x": x, f"{f}.dy": dy, f"{f}.weight": weight, f"{f}.bias": bias}

        def layer(x, weight, bias, f=f):
            return F.layer_norm(x, (f,), weight, bias, EPS)

        def rms(x, weight, f=f):
            return F.rms_norm(x, (f,), weight, EPS)

        for name, function, inputs in (
            ("layer", layer, (x, weight, bias)),
            ("rms", rms, (x, weight)),
        ):
            y, grads = with_grad(function, *inputs, seed=dy)
            keys = ("y", "dx", "dweight", "dbias")
            out |= {f"{f}.{name}.{k}": v for k, v in zip(keys, (y, *grads), strict=False)}
    return out


if __name__ == "__main__":
    path = HERE / "norm.npz"
    arrays = norm(np.random.default_rng(zlib.crc32(b"norm")))
    np.savez_compressed(path, **arrays)
    print(f"{path.name}: {len(arrays)} arrays, {path.stat().st_size} bytes, {torch.__version__}")
