"""Write layers.npz beside this file from PyTorch: ``python make_layers.py``.

Embedding, inputs with a scale of their own, and branches side by side, of PyTorch 2.13.0 on a CPU
in float64, of float32 numbers, as make_golden.py has them; gradients are autograd's.
"""

import zlib

import numpy as np
import torch
from make_golden import HERE, drawn, exact, with_grad

F = torch.nn.functional


def embedding(rng, count, features, padding, *shape):
    weight, x = drawn(rng, count, features), rng.integers(count, size=shape)
    dy = drawn(rng, *shape, features)
    indices = torch.from_numpy(x)
    y, (dw,) = with_grad(lambda w: F.embedding(indices, w, padding), weight, seed=dy)
    return {"weight": weight, "x": x, "dy": dy, "y": y, "dweight": dw}


def standardize(rng):
    mean, deviation = 100 * drawn(rng, 7), exact(rng.uniform(0.5, 3, 7))
    x, dy = exact(mean + deviation * drawn(rng, 40, 7)), drawn(rng, 40, 7)
    wide = torch.from_numpy(x)
    center, scale = wide.mean(dim=0), wide.std(dim=0, correction=0)
    y, (dx,) = with_grad(lambda x: (x - center) / scale, x, seed=dy)
    return {"x": x, "dy": dy, "y": y, "dx": dx, "mean": center.numpy(), "scale": scale.numpy()}


def branches(rng, merge):
    """tanh(x a'), and two layers beside it; outputs side by side, or added."""
    wide = 4 if merge == "sum" else 3
    x, dy = drawn(rng, 9, 5), drawn(rng, 9, wide if merge == "sum" else wide + 4)
    a, b, c = drawn(rng, wide, 5), drawn(rng, 6, 5), drawn(rng, 4, 6)

    def function(x, a, b, c):
        outputs = torch.tanh(x @ a.T), torch.sigmoid(x @ b.T) @ c.T
        return sum(outputs) if merge == "sum" else torch.cat(outputs, dim=1)

    y, (dx, da, db, dc) = with_grad(function, x, a, b, c, seed=dy)
    given = {"x": x, "dy": dy, "a": a, "b": b, "c": c}
    return given | {"y": y, "dx": dx, "da": da, "db": db, "dc": dc}


if __name__ == "__main__":
    rng = np.random.default_rng(zlib.crc32(b"layers"))
    cases = {
        "rows": embedding(rng, 11, 3, None, 9),
        "steps": embedding(rng, 20, 17, 4, 6, 5),
        "standardize": standardize(rng),
        "concat": branches(rng, "concat"),
        "sum": branches(rng, "sum"),
    }
    arrays = {f"{case}.{name}": v for case, found in cases.items() for name, v in found.items()}
    path = HERE / "layers.npz"
    np.savez_compressed(path, **arrays)
    print(f"{path.name}: {len(arrays)} arrays, {path.stat().st_size} bytes, {torch.__version__}")
