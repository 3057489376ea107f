"""Verdicts on runs depend neither on the unit of the loss nor on the width or the batch size."""

from __future__ import annotations

import numpy as np
import pytest

import fastgrad as fg
from bench.health_suite.case import Case, mlp, recurrent, wide
from bench.health_suite.running import run

INIT = fg.initializers
STEPS = 63  # of each run: twice as many as a run is given before it is said not to learn


def scaled(variance):
    return INIT.variance_scaling(variance, "fan_in", "truncated_normal")


def case(width=64, batch_size=64, depth=2, activation="relu", **changes):
    """Dense layers on the digits."""
    build = {name: changes.pop(name) for name in ("weight", "bias") if name in changes}
    layers = mlp(wide(64, width, depth, 10), activation, last="lecun_normal", **build)
    optimizer = changes.pop("optimizer", fg.Adam(1e-3, eps=1e-20))
    epochs = -(-STEPS // -(-1300 // batch_size))
    return Case("", "digits", layers, optimizer, epochs=epochs, batch_size=batch_size, **changes)


# by family and a word: options of `case`
FAULTS = {
    "vanishing weights": {"depth": 12, "weight": "torch_default"},
    "vanishing sigmoid": {"depth": 8, "activation": "sigmoid"},
    "exploding": {"depth": 8, "weight": scaled(40.0)},
    "dead": {"bias": INIT.constant(-8.0)},
    "saturated": {"activation": "tanh", "weight": scaled(300.0)},
    "init": {"activation": "tanh", "weight": INIT.constant(0.05)},
    "inputs": {"x": lambda x: x * np.float32(255)},
    "update_ratio fast": {"optimizer": fg.Adam(0.5, eps=1e-20)},
    "update_ratio slow": {"optimizer": fg.Adam(1e-6, eps=1e-20)},
    "regularization": {"regularizers": fg.L2(0.5)},
    "clipping": {"optimizer": fg.SGD(0.1), "clip": fg.ClipNorm(1e-4)},
}


def alarms(case):
    outcome, _, _ = run(case)
    return outcome.alarms


@pytest.mark.parametrize("width", [32, 128, 256])
@pytest.mark.parametrize("fault", [None, *FAULTS])
def test_width_does_not_matter(fault, width, one_thread):
    found = alarms(case(width, **FAULTS.get(fault, {})))
    assert [v.family for v in found[:1]] == ([] if fault is None else [fault.partition(" ")[0]])


@pytest.mark.parametrize("batch_size", [16, 64, 256])
@pytest.mark.parametrize("fault", [None, *FAULTS])
def test_batch_size_does_not_matter(fault, batch_size, one_thread):
    found = alarms(case(batch_size=batch_size, **FAULTS.get(fault, {})))
    assert [v.family for v in found[:1]] == ([] if fault is None else [fault.partition(" ")[0]])


RECURRENT = {
    "update_ratio fast": {"optimizer": fg.Adam(0.5)},
    "update_ratio slow": {"optimizer": fg.Adam(1e-6)},
    "inputs": {"x": lambda x: x * np.float32(255)},
    "regularization": {"regularizers": fg.L2(0.5)},
}


@pytest.mark.parametrize(
    ("width", "batch_size"), [(32, 64), (128, 64), (256, 64), (64, 16), (64, 256)]
)
@pytest.mark.parametrize("fault", [None, *RECURRENT])
def test_nor_do_they_matter_along_time(fault, width, batch_size, one_thread):
    options = {"optimizer": fg.Adam(3e-3), **RECURRENT.get(fault, {})}
    epochs = -(-STEPS // -(-1300 // batch_size))
    layers = recurrent(fg.GRU, 8, width, 10)
    made = Case("", "digits_in_rows", layers, epochs=epochs, batch_size=batch_size, **options)
    assert [v.family for v in alarms(made)[:1]] == (
        [] if fault is None else [fault.partition(" ")[0]]
    )


class Times(fg.losses.CrossEntropy):
    """So many times the cross entropy, and its gradient."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def record(self, tape, z, target, weight, loss):
        dz = super().record(tape, z, target, weight, loss)

        def scale():
            loss[...] *= self.factor
            dz[...] *= np.float32(self.factor)

        tape.python(scale)
        return dz


# what has the unit of the loss goes with it
SGD = {
    "slow": {"rate": 1e-5},
    "fast": {"rate": 30.0},
    "healthy": {"rate": 0.1},
    "vanishing": {"rate": 0.1, "depth": 12, "weight": "torch_default"},
    "regularization": {"rate": 0.1, "l2": 0.5},
    "clipping": {"rate": 0.1, "max_norm": 1e-4},
}


@pytest.mark.parametrize("factor", [1e-3, 1e3])
@pytest.mark.parametrize("fault", [None, *(name for name in FAULTS if name != "clipping")])
def test_the_unit_of_the_loss_does_not_matter(fault, factor, one_thread):
    options = dict(FAULTS.get(fault, {}))
    plain = places(case(**options))
    if "regularizers" in options:
        options["regularizers"] = fg.L2(factor * 0.5)
    assert places(case(**options, loss=Times(factor))) == plain
    assert bool(plain) == (fault is not None)


@pytest.mark.parametrize("factor", [1e-3, 1e3])
@pytest.mark.parametrize("fault", SGD)
def test_the_unit_of_the_loss_does_not_matter_to_sgd(fault, factor, one_thread):
    plain = places(of_sgd(**SGD[fault]))
    assert places(of_sgd(**SGD[fault], factor=factor)) == plain
    assert bool(plain) == (fault != "healthy")


def of_sgd(rate, factor=None, l2=None, max_norm=None, **options):
    unit = 1.0 if factor is None else factor
    return case(
        optimizer=fg.SGD(rate / unit),
        loss=None if factor is None else Times(factor),
        clip=None if max_norm is None else fg.ClipNorm(unit * max_norm),
        regularizers=None if l2 is None else fg.L2(unit * l2),
        **options,
    )


def places(case):
    return [(v.rule, v.severity, v.cures, v.layer, v.first_step) for v in alarms(case)]
