"""Write optimizers.npz beside this file from PyTorch and optax: ``python make_optimizers.py``.

It was made with PyTorch 2.13.0 and optax 0.2.8 on a CPU, in float64 throughout. Every input is a
float32 number, so that float32 kernels can be tested on the very same problem. Each case is twenty
steps with given gradients, of which the last ten have half the learning rate. The file comes out
the same, byte for byte, on every run.
"""

import json
import math
import zlib
from pathlib import Path

import jax
import numpy as np
import optax
import torch

jax.config.update("jax_enable_x64", True)
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

STEPS, SIZE = 20, 15
MIXED = [(3, 4), (3,)]

CASES = {  # optimizer, options, shapes
    "sgd": ("SGD", {"lr": 0.1}),
    "sgd_momentum": ("SGD", {"lr": 0.1, "momentum": 0.9}),
    "sgd_nesterov": ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    "sgd_dampening": ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.1}),
    "sgd_weight_decay": ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    "rmsprop": ("RMSprop", {}),
    "rmsprop_momentum": ("RMSprop", {"alpha": 0.9, "momentum": 0.9}),
    "rmsprop_weight_decay": ("RMSprop", {"weight_decay": 0.1, "eps": 1e-4}),
    "rmsprop_centered": ("RMSprop", {"centered": True}),
    "rmsprop_centered_momentum": (
        "RMSprop",
        {"alpha": 0.9, "centered": True, "momentum": 0.5, "weight_decay": 0.1},
    ),
    "adagrad": ("Adagrad", {}),
    "adagrad_lr_decay": ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1}),
    "adagrad_accumulator": ("Adagrad", {"lr": 0.1, "initial_accumulator_value": 0.5, "eps": 1e-6}),
    "adadelta": ("Adadelta", {}),
    "adadelta_weight_decay": (
        "Adadelta",
        {"lr": 0.5, "rho": 0.7, "eps": 1e-4, "weight_decay": 0.1},
    ),
    "adam": ("Adam", {}),
    "adam_weight_decay": (
        "Adam",
        {"lr": 0.01, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.1},
    ),
    "adam_amsgrad": ("Adam", {"lr": 0.01, "betas": (0.9, 0.7), "amsgrad": True}),
    "adamw": ("AdamW", {"lr": 0.01, "weight_decay": 0.1}),
    "adamw_amsgrad": ("AdamW", {"lr": 0.01, "betas": (0.9, 0.7), "amsgrad": True}),
    "adamax": ("Adamax", {}),
    "adamax_weight_decay": ("Adamax", {"betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    "nadam": ("NAdam", {}),
    "nadam_momentum_decay": ("NAdam", {"momentum_decay": 0.5, "weight_decay": 0.1}),
    "nadam_decoupled": (
        "NAdam",
        {"betas": (0.5, 0.9), "weight_decay": 0.1, "decoupled_weight_decay": True},
    ),
    "radam": ("RAdam", {"lr": 0.01}),
    "radam_early": ("RAdam", {"betas": (0.8, 0.6), "weight_decay": 0.1}),
    "radam_decoupled": (
        "RAdam",
        {"betas": (0.8, 0.9), "weight_decay": 0.1, "decoupled_weight_decay": True},
    ),
    "rprop": ("Rprop", {}),
    "rprop_steps": ("Rprop", {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (0.05, 0.3)}),
    "lion": ("Lion", {"lr": 0.01}),
    "lion_weight_decay": ("Lion", {"lr": 0.1, "betas": (0.5, 0.8), "weight_decay": 0.1}),
    "lamb": ("LAMB", {"lr": 0.1}),
    "lamb_weight_decay": (
        "LAMB",
        {"lr": 0.01, "betas": (0.8, 0.99), "eps": 1e-3, "weight_decay": 0.1},
    ),
    "lars": ("LARS", {}),
    "lars_plain": ("LARS", {"lr": 0.5, "momentum": 0.0, "trust_coefficient": 0.1}),
    "lars_nesterov": (
        "LARS",
        {"lr": 0.5, "nesterov": True, "weight_decay": 0.1, "trust_coefficient": 0.1, "eps": 1e-2},
    ),
    "muon_wide": ("Muon", {}, [(3, 4), (1, 3)]),
    "muon_tall": ("Muon", {"lr": 0.1, "nesterov": False, "weight_decay": 0.0}, [(4, 3), (3, 1)]),
    "muon_match_rms": (
        "Muon",
        {"lr": 0.1, "adjust_lr_fn": "match_rms_adamw", "momentum": 0.5, "ns_steps": 3},
        [(3, 5)],
    ),
    "muon_and_adamw": ("Muon", {"lr": 0.1}, MIXED),
}
ADAMW = {"betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.1}  # beside Muon, at 0.3 of its lr


def exact(array):
    return array.astype(np.float32).astype(np.float64)


def split(flat, shapes):
    edges = np.cumsum([math.prod(shape) for shape in shapes])[:-1]
    return [part.reshape(shape) for part, shape in zip(np.split(flat, edges), shapes, strict=True)]


def join(tensors):
    return np.concatenate([np.asarray(tensor).ravel() for tensor in tensors])


def by_torch(make, p0, grads):
    """The trajectory of optimizers, each with its factor of the learning rate."""
    tensors = [torch.nn.Parameter(torch.tensor(p)) for p in p0]
    optimizers = [(factor, each, each.param_groups[0]["lr"]) for factor, each in make(tensors)]
    for step, given in enumerate(grads):
        for p, g in zip(tensors, given, strict=True):
            p.grad = torch.tensor(g)
        for factor, optimizer, lr in optimizers:
            optimizer.param_groups[0]["lr"] = factor * lr * (1 if step < STEPS // 2 else 0.5)
            optimizer.step()
        yield join([p.detach().numpy() for p in tensors])


def torch_case(kind, options, p0, grads):
    if kind != "Muon":
        make = getattr(torch.optim, kind)
        return by_torch(lambda tensors: [(1, make(tensors, foreach=False, **options))], p0, grads)

    def both(tensors):
        matrices = [p for p in tensors if p.ndim == 2]
        others = [p for p in tensors if p.ndim != 2]
        made = [(1, torch.optim.Muon(matrices, **options))]
        if others:
            adamw = torch.optim.AdamW(others, lr=options["lr"], foreach=False, **ADAMW)
            made.append((0.3, adamw))
        return made

    return by_torch(both, p0, grads)


def optax_case(kind, options, p0, grads):
    options = dict(options)
    lr = options.pop("lr", {"Lion": 1e-4, "LAMB": 1e-3, "LARS": 1.0}[kind])
    if "betas" in options:
        options["b1"], options["b2"] = options.pop("betas")
    make = getattr(optax, kind.lower())
    optimizer = make(lambda step: jax.numpy.where(step < STEPS // 2, lr, lr / 2), **options)
    params = [jax.numpy.asarray(p) for p in p0]
    state = optimizer.init(params)
    for given in grads:
        updates, state = optimizer.update(given, state, params)
        params = optax.apply_updates(params, updates)
        yield join(params)


def check_signs(options, grads):
    """No sign that Lion looks at may hang on rounding."""
    beta1, beta2 = options.get("betas", (0.9, 0.99))
    mean = np.zeros(SIZE)
    for g in grads:
        terms = beta1 * mean, (1 - beta1) * g
        assert (abs(sum(terms)) >= 1e-4 * sum(map(abs, terms))).all()
        mean = beta2 * mean + (1 - beta2) * g


def main():
    # what PyTorch's Muon does in bfloat16 is to be exact, too
    torch.Tensor.bfloat16 = torch.Tensor.clone
    rng = np.random.default_rng(zlib.crc32(b"optimizers"))
    p0 = exact(rng.standard_normal(SIZE))
    scales = 10.0 ** np.linspace(-4, 1, SIZE)
    scales[0] = 0.0  # a parameter that never sees a gradient
    grads = exact(scales * rng.standard_normal((STEPS, SIZE)))
    out = {"p0": p0, "grads": grads}
    for name, (kind, options, *shapes) in CASES.items():
        shapes = shapes[0] if shapes else MIXED
        if kind == "Lion":
            check_signs(options, grads)
        case = optax_case if kind in ("Lion", "LAMB", "LARS") else torch_case
        pieces = [split(g, shapes) for g in grads]
        out[f"{name}.params"] = np.array(list(case(kind, options, split(p0, shapes), pieces)))
        config = {"name": kind, **options}
        if kind == "Muon":
            config["adamw_lr"] = 0.3
            config |= {f"adamw_{key}": value for key, value in ADAMW.items()}
        elif kind == "SGD":
            config.setdefault("lr", 1e-3)
        out[f"{name}.config"] = np.array(json.dumps(config))
        out[f"{name}.shapes"] = np.array(json.dumps(shapes))
    path = Path(__file__).with_name("optimizers.npz")
    np.savez_compressed(path, **out)
    print(f"{len(CASES)} cases, {path.stat().st_size} bytes, PyTorch {torch.__version__}")


if __name__ == "__main__":
    main()
