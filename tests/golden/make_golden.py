"""Write the golden values beside this file from PyTorch: ``python make_golden.py``.

They were made with PyTorch 2.13.0 on a CPU, in float64 throughout. Every input is a float32 number,
so that float32 kernels can be tested on the very same problem. All gradients are autograd's. The
files come out the same, byte for byte, on every run.
"""

import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

F = torch.nn.functional
HERE = Path(__file__).parent
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


def exact(array):
    return array.astype(np.float32).astype(np.float64)


def drawn(rng, *shape, scale=1.0):
    return exact(scale * rng.standard_normal(shape))


def with_grad(function, *inputs, seed=None):
    """Value of ``function(*inputs)`` and the gradients of its product with `seed` (default: 1)."""
    leaves = [torch.tensor(x, requires_grad=True) for x in inputs]
    value = function(*leaves)
    seed = torch.ones_like(value) if seed is None else torch.tensor(seed)
    return value.detach().numpy(), [g.numpy() for g in torch.autograd.grad(value, leaves, seed)]


# PyTorch's own gelu and softplus lose digits: 1 + erf(z) and 1 + tanh(z) cancel for negative z, and
# softplus drops its tail above 20. These are the same functions to full precision.
def gelu(z):
    return 0.5 * z * torch.special.erfc(-z / np.sqrt(2))


def gelu_tanh(z):
    return z * torch.sigmoid(np.sqrt(8 / np.pi) * (z + 0.044715 * z**3))


ACTIVATIONS = {
    "relu": F.relu,
    "leaky_relu_0.01": lambda z: F.leaky_relu(z, 0.01),
    "leaky_relu_0.2": lambda z: F.leaky_relu(z, 0.2),
    "elu_1.0": lambda z: F.elu(z, 1.0),
    "elu_0.7": lambda z: F.elu(z, 0.7),
    "selu": F.selu,
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "silu": F.silu,
    "softplus": lambda z: F.softplus(z, threshold=1e3),
    "softsign": F.softsign,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "identity": lambda z: z.clone(),
}


def activations(_):
    z = np.concatenate([np.linspace(-12, 12, 201), [-100, -30, -1e-3, 0, 1e-3, 30, 100]])
    z = exact(z)
    for ours, torchs in (
        (gelu, F.gelu),
        (gelu_tanh, lambda t: F.gelu(t, approximate="tanh")),
        (ACTIVATIONS["softplus"], F.softplus),
    ):
        torch.testing.assert_close(
            ours(torch.tensor(z)), torchs(torch.tensor(z)), rtol=1e-9, atol=1e-13
        )
    out = {"z": z}
    for name, function in ACTIVATIONS.items():
        out[f"{name}.y"], (out[f"{name}.dydz"],) = with_grad(function, z)
    return out


def dense(rng):
    out = {}
    for n, i, o in ((1, 1, 1), (7, 5, 3), (16, 16, 16), (17, 33, 10), (33, 15, 17), (4, 64, 1)):
        case = f"{n}x{i}x{o}"
        x, w, b = drawn(rng, n, i), drawn(rng, o, i, scale=i**-0.5), drawn(rng, o)
        dy = drawn(rng, n, o)
        out |= {f"{case}.x": x, f"{case}.w": w, f"{case}.b": b, f"{case}.dy": dy}
        for name in ("identity", "relu", "tanh", "gelu"):
            phi = ACTIVATIONS[name]
            y, grads = with_grad(lambda *xwb, phi=phi: phi(F.linear(*xwb)), x, w, b, seed=dy)
            arrays = zip(("y", "dx", "dw", "db"), (y, *grads), strict=True)
            out |= {f"{case}.{name}.{key}": array for key, array in arrays}
    return out


def losses(rng):
    """Every loss as sum(w_i l_i) / sum(w_i) over rows, with w_i = 1 and with sample weights."""
    n = 9
    regression = drawn(rng, n, 3, scale=2.0), drawn(rng, n, 3)
    regression[0][0, 0] = regression[1][0, 0]  # the kink of mae
    logits, labels = drawn(rng, n, 5, scale=2.0), rng.integers(0, 5, n)
    large = exact(1e4 * logits)
    class_weight = exact(rng.uniform(0.25, 4.0, 5))
    soft = rng.multinomial(64, rng.dirichlet(np.ones(5), n)) / 64  # rows sum to 1 exactly
    binary = exact(rng.uniform(0.0, 1.0, (n, 5)))
    binary[:2] = [[0.0], [1.0]]
    sample_weight = exact(rng.uniform(0.0, 3.0, n))
    sample_weight[3] = 0.0

    def huber(delta):
        return lambda x, t, **how: F.huber_loss(x, t, delta=delta, **how)

    bce, ce = F.binary_cross_entropy_with_logits, F.cross_entropy
    cases = {  # name: loss, outputs, targets
        "mse": (F.mse_loss, *regression),
        "mae": (F.l1_loss, *regression),
        "huber_1.0": (huber(1.0), *regression),
        "huber_0.5": (huber(0.5), *regression),
        "cross_entropy": (ce, logits, labels),
        "cross_entropy_class_weight": (ce, logits, labels),
        "cross_entropy_soft": (ce, logits, soft),
        "cross_entropy_large": (ce, large, labels),
        "binary_cross_entropy_1": (bce, logits[:, :1].copy(), binary[:, :1].copy()),
        "binary_cross_entropy_5": (bce, logits, binary),
        "binary_cross_entropy_large": (bce, large, binary),
    }
    out = {"sample_weight": sample_weight, "class_weight": class_weight}
    for name, (function, outputs, targets) in cases.items():
        t = torch.tensor(targets)
        by_class = class_weight[labels] if name.endswith("class_weight") else np.ones(n)

        def weighted(x, w, function=function, t=t):
            rows = function(x, t, reduction="none").reshape(n, -1).mean(1)
            return torch.tensor(w) @ rows / w.sum()

        out |= {f"{name}.outputs": outputs, f"{name}.targets": targets}
        for key, w in (("", by_class), ("weighted_", by_class * sample_weight)):
            loss, (grad,) = with_grad(lambda x, w=w: weighted(x, w), outputs)
            out |= {f"{name}.{key}loss": loss, f"{name}.{key}grad": grad}
        options = {"weight": torch.tensor(class_weight)} if name.endswith("class_weight") else {}
        theirs = function(torch.tensor(outputs), t, **options)
        np.testing.assert_allclose(out[f"{name}.loss"], theirs, rtol=1e-14)
    return out


def clipping(rng):
    """PyTorch scales by max_norm / (total + 1e-6); ``.exact`` is without that epsilon."""
    gradients = [drawn(rng, 4, 3), drawn(rng, 3, scale=0.1), drawn(rng, 2, 5, scale=3.0)]

    def clipped(function, *args):
        parameters = [torch.nn.Parameter(torch.tensor(g)) for g in gradients]
        for p, g in zip(parameters, gradients, strict=True):
            p.grad = torch.tensor(g)
        total = function(parameters, *args)
        return total, [p.grad.numpy() for p in parameters]

    def named(prefix, arrays):
        return {f"{prefix}g{k}": array for k, array in enumerate(arrays)}

    out = named("", gradients)
    for limit in (0.5, 100.0):
        out |= named(f"value_{limit}.", clipped(torch.nn.utils.clip_grad_value_, limit)[1])
    flat = np.concatenate([g.ravel() for g in gradients])
    for kind in (1.0, 2.0, np.inf):
        for limit in (1.0, 1000.0):
            case = f"norm_{kind:g}_{limit}"
            total, theirs = clipped(torch.nn.utils.clip_grad_norm_, limit, kind)
            norm = np.linalg.norm(flat, kind)
            np.testing.assert_allclose(total, norm, rtol=1e-14)
            ours = [g * min(1.0, limit / norm) for g in gradients]
            out |= {f"{case}.norm": norm}
            out |= named(f"{case}.exact.", ours) | named(f"{case}.torch.", theirs)
    return out


def mlp(rng):
    """5-8-7-3 with tanh, relu and nothing; ten full-batch steps of Adam on the cross entropy."""
    widths, n = (5, 8, 7, 3), 12
    x, y = drawn(rng, n, widths[0]), rng.integers(0, widths[-1], n)
    params = {}
    for k, (i, o) in enumerate(pairwise(widths)):
        params[f"{k}.weight"] = drawn(rng, o, i, scale=i**-0.5)
        params[f"{k}.bias"] = drawn(rng, o, scale=0.1)
    out = {"X": x, "y": y} | {f"init.{name}": array for name, array in params.items()}
    p = {name: torch.nn.Parameter(torch.tensor(array)) for name, array in params.items()}
    optimizer = torch.optim.Adam(p.values(), lr=1e-2, foreach=False)
    losses = []
    for step in range(10):
        h = torch.tensor(x)
        for k, activation in enumerate((torch.tanh, F.relu, lambda z: z)):
            h = activation(F.linear(h, p[f"{k}.weight"], p[f"{k}.bias"]))
        loss = F.cross_entropy(h, torch.tensor(y))
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            out |= {f"grad.{name}": q.grad.numpy().copy() for name, q in p.items()}
        optimizer.step()
        losses.append(loss.item())
    out |= {f"final.{name}": q.detach().numpy() for name, q in p.items()}
    return out | {"losses": np.array(losses)}


def main():
    total = 0
    for make in (activations, dense, losses, clipping, mlp):
        path = HERE / f"{make.__name__}.npz"
        arrays = make(np.random.default_rng(zlib.crc32(make.__name__.encode())))
        np.savez_compressed(path, **arrays)
        total += path.stat().st_size
        print(f"{path.name}: {len(arrays)} arrays, {path.stat().st_size} bytes")
    print(f"{total} bytes with PyTorch {torch.__version__}")


if __name__ == "__main__":
    main()
