"""Settings of the optimizer for some layers."""

from __future__ import annotations

import numpy as np
import pytest
from nets import bits, chain

import fastgrad as fg

pytestmark = pytest.mark.usefixtures("one_thread")

X = np.random.default_rng(0).standard_normal((32, 5))
Y = np.random.default_rng(1).standard_normal((32, 3))


def trained(optimizer, per_layer=None, steps=5, **options):
    model = chain(5, 8, 7, 3, dtype="float64")
    trainer = fg.Trainer(model, "mse", optimizer, per_layer=per_layer, **options)
    for _ in range(steps):
        trainer.step(X, Y)
    return model, trainer


OPTIMIZERS = [fg.SGD(0.1), fg.SGD(0.1, momentum=0.9), fg.RMSprop(momentum=0.5), fg.Adam(0.01)]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_the_same_settings_by_name_change_nothing(optimizer, backend):
    plain, _ = trained(optimizer)
    for name in ("0", "1.weight", "2.bias"):
        named, trainer = trained(optimizer, {name: {"lr": optimizer.lr}})
        assert bits(plain.flat_params) == bits(named.flat_params)
        assert len({key.split(".")[0] for key in trainer.state}) == len(trainer._update.groups) or (
            not trainer.state
        )


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_one_step_of_a_layer_is_that_of_its_own_optimizer(optimizer, backend):
    """Of the first step, which no other layer's has gone before."""
    start = chain(5, 8, 7, 3, dtype="float64")
    slow, _ = trained(optimizer, {"1": {"lr": 1e-4}}, steps=1)
    plain, _ = trained(optimizer, steps=1)
    options = {k: v for k, v in vars(optimizer).items() if k != "lr"}
    alone, _ = trained(type(optimizer)(1e-4, **options), steps=1)
    for name in start.params:
        expected = alone if name.startswith("1.") else plain
        assert bits(slow.params[name]) == bits(expected.params[name])


def test_the_longest_name_decides_and_a_rate_may_be_changed_between_steps(backend):
    settings = {"0": {"weight_decay": 0.5}, "0.bias": {"weight_decay": 0.0}}
    model, trainer = trained(fg.SGD(0.1), settings, steps=0)
    model.params["0.bias"] = np.ones(8)
    before = {name: array.copy() for name, array in model.params.items()}
    trainer.optimizer.lr = 0.2
    trainer.step(X, Y)
    for name, array in model.params.items():
        decay = 0.5 if name == "0.weight" else 0.0
        expected = before[name] - 0.2 * (model.grads[name] + decay * before[name])
        np.testing.assert_allclose(array, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"9": {"lr": 1.0}}, ValueError, "'9' fits none of 0.weight"),
        ({"0": {"rate": 1.0}}, ValueError, "per_layer sets 'rate'"),
        ({"0": 0.1}, TypeError, "per_layer needs a dict of settings"),
        ({"0": {"lr": -1}}, ValueError, "lr must lie in"),
        ([("0", {})], TypeError, "per_layer must map names"),
    ],
)
def test_bad_settings_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        fg.Trainer(chain(5, 3), "mse", fg.SGD(0.1), per_layer=settings)
