"""Write regularization.npz beside this file: ``KERAS_BACKEND=torch python make_regularization.py``.

It was made with PyTorch 2.13.0 and Keras 3.15.1 on a CPU, in float64 throughout. Every input is a
float32 number, so that float32 kernels can be tested on the very same problem; so are smoothings.
"""

import json
import zlib
from functools import partial
from itertools import product
from pathlib import Path

import keras
import numpy as np
import torch

F = torch.nn.functional
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
keras.config.set_floatx("float64")

N, C = 9, 5


def exact(array):
    return np.asarray(array).astype(np.float32).astype(np.float64)


def drawn(rng, *shape, scale=1.0):
    return exact(scale * rng.standard_normal(shape))


def gradient(function, *inputs):
    """Value of ``function(*inputs)`` and its gradients."""
    leaves = [torch.tensor(x, requires_grad=True) for x in inputs]
    value = function(*leaves)
    return value.detach().numpy(), [g.numpy() for g in torch.autograd.grad(value, leaves)]


def smoothing(rng):
    """Losses as sum(s_i l_i) / sum(s_i w_i), with weights s of samples and w of their classes."""
    logits, labels = drawn(rng, N, C, scale=2.0), rng.integers(0, C, N)
    soft = rng.multinomial(64, rng.dirichlet(np.ones(C), N)) / 64  # rows sum to 1 exactly
    binary = exact(rng.uniform(0.0, 1.0, (N, C)))
    binary[:2] = [[0.0], [1.0]]
    class_weight, sample_weight = exact(rng.uniform(0.25, 4.0, C)), exact(rng.uniform(0.0, 3.0, N))
    class_weight[labels[0]] = sample_weight[3] = 0.0
    out = {"logits": logits, "labels": labels, "soft": soft, "binary": binary}
    out |= {"class_weight": class_weight, "sample_weight": sample_weight}

    def by_torch(target, weight=None):
        weight = None if weight is None else torch.tensor(weight)
        return partial(F.cross_entropy, target=torch.tensor(target), weight=weight)

    def by_keras(z, label_smoothing, reduction):
        """What Keras does, but for its mean over a row, which is a float32."""
        target = torch.tensor(binary)
        smoothed = target * (1 - label_smoothing) + 0.5 * label_smoothing
        rows = F.binary_cross_entropy_with_logits(z, smoothed, reduction="none").mean(1)
        theirs = keras.losses.binary_crossentropy(
            target, z, from_logits=True, label_smoothing=label_smoothing
        )
        torch.testing.assert_close(rows, theirs, rtol=1e-6, atol=0)
        return rows.mean() if reduction == "mean" else rows

    cases = {  # name: loss, weights of the rows' classes
        "labels": (by_torch(labels), np.ones(N)),
        "class_weight": (by_torch(labels, class_weight), class_weight[labels]),
        "soft": (by_torch(soft), np.ones(N)),
        "binary": (by_keras, np.ones(N)),
    }
    for amount, (name, (loss, own)) in product((0.125, 0.5, 1.0), cases.items()):
        case = f"{name}_{amount}"
        for key, weight in (("", np.ones(N)), ("weighted_", sample_weight)):
            shares = torch.tensor(weight / (weight * own).sum())
            rows = partial(loss, label_smoothing=amount, reduction="none")
            value, (grad,) = gradient(lambda z, s=shares, rows=rows: s @ rows(z), logits)
            out |= {f"{case}.{key}loss": value, f"{case}.{key}grad": grad}
        theirs = loss(torch.tensor(logits), label_smoothing=amount, reduction="mean")
        np.testing.assert_allclose(out[f"{case}.loss"], theirs, rtol=1e-14)
    return {f"smoothing.{name}": array for name, array in out.items()}


def penalties(rng):
    """The penalties of Keras and their gradients, and PyTorch's of a network that has them."""
    w = drawn(rng, 30)
    w[[0, 7]] = 0.0
    out = {"w": w}
    for name, penalty in {
        "l1": keras.regularizers.L1(0.25),
        "l2": keras.regularizers.L2(0.125),
        "both": keras.regularizers.L1L2(0.25, 0.125),
    }.items():
        out[f"{name}.loss"], (out[f"{name}.grad"],) = gradient(penalty, w)
    return {f"penalties.{name}": array for name, array in out.items()}


def network(rng):
    """5-8-3, tanh and nothing: ten full-batch steps of SGD with penalties, clip and max norm."""
    x, y = drawn(rng, 12, 5), rng.integers(0, 3, 12)
    initial = {
        "0.weight": drawn(rng, 8, 5, scale=0.5),
        "0.bias": drawn(rng, 8, scale=0.1),
        "1.weight": drawn(rng, 3, 8, scale=0.5),
        "1.bias": drawn(rng, 3, scale=0.1),
    }
    p = {name: torch.nn.Parameter(torch.tensor(array)) for name, array in initial.items()}
    optimizer = torch.optim.SGD(p.values(), lr=0.25, momentum=0.5, foreach=False)
    losses, norms = [], []
    for _ in range(10):
        h = torch.tanh(F.linear(torch.tensor(x), p["0.weight"], p["0.bias"]))
        z = F.linear(h, p["1.weight"], p["1.bias"])
        loss = F.cross_entropy(z, torch.tensor(y), label_smoothing=0.125)
        loss = loss + 2**-10 * (p["0.weight"].abs().sum() + p["1.weight"].abs().sum())
        loss = loss + 2**-7 * p["0.weight"].square().sum() + 2**-5 * p["1.bias"].square().sum()
        optimizer.zero_grad()
        loss.backward()
        norm = torch.sqrt(sum(q.grad.square().sum() for q in p.values()))
        for q in p.values():
            q.grad *= min(1.0, 0.5 / norm)
        optimizer.step()
        with torch.no_grad():
            w = p["0.weight"]
            w *= torch.clamp(0.75 / torch.linalg.vector_norm(w, dim=1, keepdim=True), max=1.0)
        losses.append(loss.item())
        norms.append(norm.item())
    out = {"X": x, "y": y, "losses": np.array(losses), "norms": np.array(norms)}
    out |= {f"init.{name}": array for name, array in initial.items()}
    out |= {f"final.{name}": q.detach().numpy() for name, q in p.items()}
    return {f"network.{name}": array for name, array in out.items()}


class Model:
    """What a callback of Keras needs of a model: its weights are the number of epochs done."""

    stop_training, weights, metrics = False, 0, ()

    def get_weights(self):
        return self.weights

    def set_weights(self, weights):
        self.weights = weights


def stopped(values, **options):
    """The epoch after which Keras stops, and the best one, both counted from 1."""
    callback, model = keras.callbacks.EarlyStopping(restore_best_weights=True, **options), Model()
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, value in enumerate(values):
        model.weights = epoch + 1
        callback.on_epoch_end(epoch, {"val_loss": value})
        if model.stop_training:
            break
    callback.on_train_end()
    return epoch + 1, model.weights


def stopping(rng):
    """Random walks in eighths, so that no difference is rounded."""
    cases = []
    for _ in range(200):
        values = rng.integers(-4, 4, 12).cumsum() / 8
        options = {
            "patience": int(rng.integers(1, 5)),
            "min_delta": float(rng.integers(0, 3) / 8),
            "mode": str(rng.choice(["min", "max"])),
            "baseline": None if rng.random() < 0.5 else float(rng.integers(-8, 8) / 8),
            "start_from_epoch": int(rng.integers(0, 4)),
        }
        epochs, best = stopped(values.tolist(), **options)
        cases.append({"values": values.tolist(), "epochs": epochs, "best": best, **options})
    return {"stopping": np.array(json.dumps(cases))}


def main():
    path = Path(__file__).with_name("regularization.npz")
    arrays = {}
    for make in (smoothing, penalties, network, stopping):
        arrays |= make(np.random.default_rng(zlib.crc32(make.__name__.encode())))
    np.savez_compressed(path, **arrays)
    print(f"{path.name}: {len(arrays)} arrays, {path.stat().st_size} bytes")
    print(f"PyTorch {torch.__version__}, Keras {keras.__version__}")


if __name__ == "__main__":
    main()
