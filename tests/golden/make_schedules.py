"""Write schedules.npz beside this file from PyTorch: ``python make_schedules.py``.

Factors of the learning rate, and momenta, from the schedulers of PyTorch 2.13.0, which are moved on
after every step; the array `metric` is what ReduceLROnPlateau was shown.
"""

import warnings
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.optim.lr_scheduler as schedulers

LR, STEPS = 0.5, 80


def sgd():
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR, momentum=0.9)


def followed(make, metric=None):
    """Factors and momenta at each step; with a metric, one that is shown after it."""
    optimizer = sgd()
    scheduler = make(optimizer)
    factors, momenta = [], []
    for step in range(STEPS):
        factors.append(optimizer.param_groups[0]["lr"] / LR)
        momenta.append(optimizer.param_groups[0]["momentum"])
        optimizer.step()
        scheduler.step(*(() if metric is None else (metric[step],)))
    return np.array(factors), np.array(momenta)


def joined(*makes, at):
    return lambda o: schedulers.SequentialLR(o, [make(o) for make in makes], at)


SCHEDULES = {
    "constant": lambda o: schedulers.ConstantLR(o, 0.3, total_iters=20),
    "linear": lambda o: schedulers.LinearLR(o, 0.25, 0.75, total_iters=50),
    "polynomial": lambda o: schedulers.PolynomialLR(o, total_iters=60, power=2.5),
    "step": lambda o: schedulers.StepLR(o, 15, 0.5),
    "multi_step": lambda o: schedulers.MultiStepLR(o, [10, 11, 60], 0.3),
    "exponential": lambda o: schedulers.ExponentialLR(o, 0.95),
    "cosine": lambda o: schedulers.CosineAnnealingLR(o, STEPS, eta_min=0.1 * LR),
    "restarts": lambda o: schedulers.CosineAnnealingWarmRestarts(o, 20, eta_min=0.2 * LR),
    "growing_restarts": lambda o: schedulers.CosineAnnealingWarmRestarts(o, 12, 2, eta_min=0.0),
    "warmup_cosine": joined(
        lambda o: schedulers.LinearLR(o, 1 / 3, total_iters=8),
        lambda o: schedulers.CosineAnnealingLR(o, STEPS - 8),
        at=[8],
    ),
    "sequence": joined(
        lambda o: schedulers.LinearLR(o, 0.5, 1.0, total_iters=20),
        lambda o: schedulers.StepLR(o, 10, 0.5),
        lambda o: schedulers.PolynomialLR(o, total_iters=15, power=2.0),
        at=[25, 60],
    ),
    "product": lambda o: schedulers.ChainedScheduler(
        [schedulers.LinearLR(o, 0.1, total_iters=10), schedulers.ExponentialLR(o, 0.97)]
    ),
}

ONE_CYCLES = {
    "one_cycle": {},
    "one_cycle_linear": {"anneal_strategy": "linear", "pct_start": 0.45, "div_factor": 10},
    "one_cycle_uneven": {"pct_start": 0.237, "final_div_factor": 50},
}

PLATEAUS = {
    "plateau": {"patience": 2},
    "plateau_abs": {"patience": 1, "threshold": 0.05, "threshold_mode": "abs", "factor": 0.5},
    "plateau_max": {"patience": 0, "mode": "max", "factor": 0.7, "cooldown": 3, "threshold": 0.02},
    "plateau_max_abs": {"patience": 1, "mode": "max", "factor": 0.3, "threshold_mode": "abs"},
    "plateau_floor": {"patience": 0, "factor": 0.2, "min_lr": 0.01 * LR, "cooldown": 1},
}


def schedules(rng):
    arrays = {name: followed(make)[0] for name, make in SCHEDULES.items()}
    for name, options in ONE_CYCLES.items():
        make = partial(schedulers.OneCycleLR, max_lr=LR, total_steps=STEPS, **options)
        arrays[name], arrays[f"{name}.momentum"] = followed(make)
    noise = 0.05 * rng.standard_normal(STEPS)
    metric = arrays["metric"] = 1 + np.exp(-np.arange(STEPS) / 15) + noise
    for name, options in PLATEAUS.items():
        # eps, which PyTorch has for rates that would change by less than 1e-8, has no counterpart
        make = partial(schedulers.ReduceLROnPlateau, eps=0, **options)
        arrays[name], _ = followed(make, 3 - metric if options.get("mode") == "max" else metric)
    return arrays


if __name__ == "__main__":
    # SequentialLR warns of its own use of step(epoch)
    warnings.filterwarnings("ignore", message="The epoch parameter in `scheduler.step")
    path = Path(__file__).with_name("schedules.npz")
    arrays = schedules(np.random.default_rng(zlib.crc32(b"schedules")))
    np.savez_compressed(path, **arrays)
    print(f"{path.name}: {len(arrays)} arrays, {path.stat().st_size} bytes, {torch.__version__}")
