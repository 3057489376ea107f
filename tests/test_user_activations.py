"""Activations that users write: as good as the package's own, on every backend."""

from __future__ import annotations

import copy
import importlib.util
import math
import os
import pickle
import subprocess
import sys

import numpy as np
import own_functions as own
import pytest
from harness import exact
from rounding import STORED, assert_within, output_bound, rounding, stored_slope_bound

import fastgrad as fg
from fastgrad import backends
from fastgrad.health.rules.layers import layers_of
from fastgrad.program import Tape, Workspace

pytest.importorskip("numba")
twins = pytest.mark.parametrize("function", own.ACTIVATIONS, ids=lambda f: f.__name__)
# what their formulas round beside those of the package: silu's 1 + exp(-z) where that is large
ROUNDINGS = 2


@fg.activation
def mish(z):
    return z * np.tanh(np.logaddexp(0, z))


def slopes(function, z):
    """The exact ones of the package's function of this name."""
    name = function.__name__
    alpha = own.ALPHAS.get(name, 0.0)
    out = exact("activation_forward", x=z, activation=name, alpha=alpha)
    ones, slope = np.ones_like(z), out.slope if name in STORED else None
    given = {"y": out.y, "slope": slope, "dy": ones, "activation": name, "alpha": alpha}
    return out.y, exact("activation_backward", **given).dx


@twins
def test_same_values_and_slopes_as_the_packages_own(run, function, dtype, rng):
    name = function.__name__
    for size in (0, 1, 7, 15, 16, 17, 33, 70, 300):
        z = rng.normal(0, 3, size).astype(dtype)
        true_y, true_slope = slopes(function, z)
        out = run("activation_forward", x=z, activation=own.activation(function), alpha=0.0)
        bound = ROUNDINGS * output_bound(name, z, true_y, dtype)
        assert_within(out.y, true_y, bound, f"y, {size=}")
        if name in STORED:
            terms = ROUNDINGS * stored_slope_bound(name, z, dtype)
        else:  # 1 - y^2 and the like
            terms = rounding(1 + np.abs(true_slope), dtype)
        assert_within(out.slope, true_slope, terms, f"slope, {size=}")
        alone = run(
            "activation_forward", x=z, activation=own.activation(function), alpha=0.0, slope=None
        )
        assert_within(alone.y, true_y, bound, f"y alone, {size=}")


@twins
def test_backward_multiplies_by_slopes(run, function, dtype, rng):
    y, slope, dy = rng.normal(size=(3, 33)).astype(dtype)
    given = {"y": y, "slope": slope, "dy": dy, "alpha": 0.0}
    out = run("activation_backward", activation=own.activation(function), **given)
    np.testing.assert_array_equal(out.dx, dy * slope)


def test_in_place(ops, dtype, rng):
    z = rng.normal(0, 2, 100).astype(dtype)
    y, slope, same = np.empty_like(z), np.empty_like(z), z.copy()
    ops.activation_forward(z, mish, 0.0, y, slope)
    ops.activation_forward(same, mish, 0.0, same, None)
    np.testing.assert_array_equal(same, y)


def test_layers_pass_the_gradient_check(level):
    layers = [fg.Dense(5, 7, mish), fg.Activation(own.activation(own.gelu)), fg.Dense(7, 3, mish)]
    assert fg.gradcheck(fg.Sequential(*layers, rng=0, dtype="float64"), np.ones((4, 5)))
    rnn = fg.Sequential(fg.RNN(5, 7, mish), fg.Dense(7, 2), rng=0, dtype="float64")
    x = np.random.default_rng(0).normal(size=(3, 6, 5))
    assert fg.gradcheck(rnn, x, lengths=[6, 2, 4])


@pytest.mark.parametrize("kind", ["dense", "rnn"])
def test_training_is_that_of_the_packages_own(level, kind):
    """Four steps of SGD: float64, so that what roundings grow to stays small."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(40, 6, 5)) if kind == "rnn" else rng.normal(size=(40, 5))
    y = rng.normal(size=(40, 2))
    params = []
    for activation in ("gelu", own.activation(own.gelu)):
        first = fg.RNN(5, 19, activation) if kind == "rnn" else fg.Dense(5, 19, activation)
        model = fg.Sequential(first, fg.Dense(19, 2), rng=0, dtype="float64")
        model.flat_params[...] = np.random.default_rng(2).normal(0, 0.3, model.flat_params.size)
        fg.fit(model, x, y, loss="mse", optimizer=fg.SGD(0.1), epochs=4, rng=0, progress=False)
        params.append(model.flat_params.copy())
    np.testing.assert_allclose(*params, rtol=0, atol=1e-12)


@twins
def test_a_result_does_not_depend_on_its_position(function, dtype, rng):
    """Lengths that are no multiple of a vector's leave a remainder, computed by other code."""
    z = rng.normal(0, 3, 200).astype(dtype)
    whole = own.activation(function).applied(z)
    for size in range(1, 140):
        part = own.activation(function).applied(z[:size])
        np.testing.assert_array_equal(part, [array[:size] for array in whole])


def test_threads_change_nothing(threads):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 2048, 16)).astype(np.float32)
    found = []
    for count in (1, 2):
        threads(count)
        model = fg.Sequential(fg.Dense(16, 64, mish), fg.Dense(64, 16, mish), rng=0)
        fg.fit(model, x, y, loss="mse", epochs=2, rng=0, progress=False, batch_size=512)
        found.append(model.flat_params.copy())
    np.testing.assert_array_equal(*found)


def test_calls_are_recorded_without_python():
    ops = backends.load("cython")
    z = np.zeros(3, np.float32)
    assert type(ops.record("activation_forward", z, mish, 0.0, z, None)) is bytes
    model = fg.Sequential(fg.Dense(3, 4, mish), fg.Activation(mish), fg.Dense(4, 2), rng=0)
    tape = Tape(ops, Workspace(), model.dtype)
    z, _, backward = model.record(tape, np.ones((5, 3), np.float32), train=True)
    target, loss = np.ones((5, 2), np.float32), np.zeros(1)
    backward(own.loss(own.mse).record(tape, z, target, None, loss), False)
    assert {type(call) for call in tape.calls} == {bytes}


def test_what_variables_hold_when_it_is_decorated_counts(run, dtype):
    """For each dtype, whenever it is used first, and on every backend."""
    factor = 2.0

    def times(z):
        return factor * z

    found = fg.activation(times)
    factor = 3.0
    out = run("activation_forward", x=np.ones(3, dtype), activation=found, alpha=0.0)
    np.testing.assert_array_equal(out.y, [2, 2, 2])
    assert factor == times(1)


def test_shapes_stay():
    assert mish(np.array(0.5)).shape == ()
    assert mish(np.zeros((2, 0, 3))).shape == (2, 0, 3)


def test_two_functions_of_one_name_cannot_be_saved(tmp_path):
    def make(factor):
        def bent(z):
            return z * math.tanh(factor * z)

        return fg.activation(bent)

    one, other = make(1.0), make(2.0)
    fg.Sequential(fg.Dense(2, 3, one), fg.Dense(3, 3, one), rng=0).save(tmp_path / "one")
    model = fg.Sequential(fg.Dense(2, 3, one), fg.Dense(3, 3, other), rng=0)
    with pytest.raises(ValueError, match=r"two functions are called 'bent', at .* and .*: files"):
        model.save(tmp_path / "two")
    assert not (tmp_path / "two").exists()


def test_its_name_makes_it_none_of_the_packages_own():
    def relu(z):
        return math.tanh(z)

    facts = layers_of([fg.Dense(2, 3, fg.activation(relu)), fg.Dense(3, 3, "relu")])
    assert [layer.activation for layer in facts.values()] == ["function relu", "relu"]


def test_loops_are_vectors_without_calls(dtype):
    """Branches, too: they become selects."""
    for function in own.ACTIVATIONS:
        found = own.activation(function)
        found.address(dtype)
        code = found._compiled[dtype].inspect_llvm()
        assert f"x {'float' if dtype == np.float32 else 'double'}>" in code, function
        calls = [line for line in code.splitlines() if " call " in line and "@llvm." not in line]
        assert not [line for line in calls if "@_ZN" not in line], calls


def test_a_derivative_that_is_given(run, dtype, rng):
    @fg.activation(derivative=lambda z: 1 - math.tanh(z) ** 2)
    def given(z):
        return math.tanh(z)

    z = rng.normal(0, 3, 50).astype(dtype)
    out = run("activation_forward", x=z, activation=given, alpha=0.0)
    true_y, true_slope = slopes(own.tanh, z)
    assert_within(out.y, true_y, output_bound("tanh", z, true_y, dtype))
    assert_within(out.slope, true_slope, rounding(1 + true_slope, dtype))


def test_it_is_still_a_function():
    assert own.activation(own.relu)(2.5) == 2.5
    assert own.activation(own.relu).slope(-1) == 0
    z = np.array([[-1, 0.5], [2, 3]], np.float32)
    np.testing.assert_array_equal(own.activation(own.relu)(z), np.maximum(z, 0))
    assert own.activation(own.relu)(z).dtype == np.float32
    assert own.activation(own.relu).__doc__ is None
    assert mish.__name__ == "mish"
    assert repr(mish) == "<activation mish>"


def test_activations_within_activations():
    inner = own.activation(own.gelu)
    outer = fg.activation(lambda z: inner(z) + 1)
    z = np.linspace(-2, 2, 9)
    np.testing.assert_allclose(outer(z), inner(z) + 1, rtol=1e-15)
    np.testing.assert_allclose(outer.slope(z), inner.slope(z), rtol=1e-15)


def test_copies_are_the_function_itself():
    assert copy.deepcopy(mish) is mish
    assert pickle.loads(pickle.dumps(mish)) is mish


@twins
def test_initializers_and_predictions_take_it(function):
    """As they take the package's own of the same formula."""
    name, found = function.__name__, own.activation(function)
    alpha = own.ALPHAS.get(name)
    known = fg.initializers.MeanField(name, alpha=alpha)
    mean_field = fg.initializers.MeanField(found)
    # quadrature is good to 1e-12 of the integral of the size
    assert mean_field.slope_moment() == pytest.approx(known.slope_moment(), rel=1e-10)
    assert fg.initializers.gain(found) == pytest.approx(known.second_moment() ** -0.5, rel=1e-10)
    weights = fg.initializers.for_activation(found)
    predictions = []
    for activation in (name, found):
        options = {"alpha": alpha} if activation == name else {}
        layers = [fg.Dense(32, 32, activation, weight_init=weights, **options) for _ in range(5)]
        predictions.append(fg.health.predict(fg.Sequential(*layers, rng=0)))
    norms = [np.array(list(found.gradient_norms.values())) for found in predictions]
    np.testing.assert_allclose(norms[1], norms[0], rtol=1e-8)


def test_critical_initialization():
    known = fg.initializers.critical_point("tanh")
    found = fg.initializers.critical_point(own.activation(own.tanh))
    assert found.sigma_w == pytest.approx(known.sigma_w, rel=1e-10)
    assert found.sigma_b == pytest.approx(known.sigma_b, rel=1e-10)
    with pytest.raises(TypeError, match="derivative: that of tanh is known"):
        fg.initializers.critical_point(own.activation(own.tanh), np.cos)


def test_default_weights_have_its_gain():
    x = np.random.default_rng(1).normal(size=(500, 400)).astype(np.float32)
    model = fg.Sequential(*[fg.Dense(400, 400, mish) for _ in range(3)], rng=0)
    found = float(np.square(model.forward(x)).mean())
    field, gain = fg.initializers.MeanField(mish), fg.initializers.gain(mish)
    q = gain**2
    for _ in range(2):
        q = field.length_map(q, gain)
    # three layers, whose squared norms vary by some sqrt(5 / 400) each
    assert found == pytest.approx(field.second_moment(q), rel=4 * (3 * 5 / 400) ** 0.5)


def test_health_looks_at_slopes(backend):
    """Units that lie where the slope vanishes are not alive."""
    rng = np.random.default_rng(0)
    model = fg.Sequential(fg.Dense(4, 6, own.activation(own.relu)), fg.Dense(6, 1), rng=0)
    model.params["0.bias"][...] = [-100, -100, 100, 100, 100, 100]
    trainer = fg.Trainer(model, "mse", fg.SGD(1e-6), health=True)
    for _ in range(3):
        trainer.step(rng.normal(size=(16, 4)), rng.normal(size=(16, 1)))
    np.testing.assert_allclose(trainer.health.measurements.dead[-1, 0], 2 / 6)


def test_failures_name_it(backend):
    exp = fg.activation(of_exp)
    model = fg.Sequential(fg.Dense(3, 4, exp, weight_init="lecun_normal"), fg.Dense(4, 1), rng=0)
    model.params["0.bias"][0] = 200
    with pytest.raises(
        fg.GradientError, match=r"the of_exp in layer 0 \(Dense\) makes inf of fini"
    ):
        fg.Trainer(model, "mse").step(np.ones((5, 3)), np.ones((5, 1)))


def of_exp(z):
    return math.exp(z)


def test_files_have_its_name_and_no_code(tmp_path):
    model = fg.Sequential(
        fg.Residual(fg.Dense(4, 4, mish)), fg.RNN(4, 3, mish), fg.Dense(3, 1), rng=0
    )
    model.save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"uses the activation 'mish'.* custom={'mish': mish}"):
        fg.load(tmp_path / "model")
    wrong = r"custom\['mish'\] must be what fastgrad.activation makes of a function, got <ufunc"
    with pytest.raises(TypeError, match=wrong):
        fg.load(tmp_path / "model", custom={"mish": np.tanh})
    loaded = fg.load(tmp_path / "model", custom={"mish": mish})
    x = np.random.default_rng(0).normal(size=(5, 7, 4)).astype(np.float32)
    np.testing.assert_array_equal(loaded.predict(x), model.predict(x))


def test_a_run_is_resumed(tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 4)), rng.uniform(size=(20, 1))
    whole, part = (fg.Sequential(fg.Dense(4, 3, mish), fg.Dense(3, 1), rng=0) for _ in range(2))
    loss = own.loss(own.mse)
    fg.fit(whole, X, y, loss=loss, epochs=4, rng=0, progress=False)
    save = fg.Checkpoint(tmp_path / "run")
    fg.fit(part, X, y, loss=loss, epochs=2, rng=0, progress=False, callbacks=[save])
    given = {"epochs": 4, "callbacks": [fg.Checkpoint(tmp_path / "run")], "progress": False}
    with pytest.raises(ValueError, match="uses the loss 'mse'"):
        fg.resume(tmp_path / "run", X, y, custom={"mish": mish}, **given)
    run = fg.resume(tmp_path / "run", X, y, custom={"mish": mish, "mse": loss}, **given)
    np.testing.assert_array_equal(run.model.flat_params, whole.flat_params)


def test_without_numba_it_runs_on_the_reference_alone(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "numba" else find(name)
    )
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setitem(sys.modules, "numba.core.errors", None)
    half = fg.activation(lambda z: z / 2)
    x, y = np.ones((2, 3))
    backends.load("reference").activation_forward(x, half, 0.0, y, None)
    np.testing.assert_array_equal(y, [0.5, 0.5, 0.5])
    np.testing.assert_array_equal(half.slope(x), [0.5, 0.5, 0.5])
    with pytest.raises(ImportError, match=r"needs Numba to be compiled \(pip install fastgrad\[n"):
        backends.load("cython").activation_forward(x, half, 0.0, y, None)


def test_importing_the_package_leaves_numba_alone():
    program = "import sys, fastgrad; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_where_numba_does_not_compile():
    """With NUMBA_DISABLE_JIT=1 kernels call the function in Python."""
    program = """
import numpy as np, fastgrad as fg
from fastgrad import backends
from fastgrad.health.rules.layers import layers_of
from fastgrad.program import Tape, Workspace
square = fg.activation(lambda z: z * z)
x, y, slope = np.linspace(-1, 1, 5), np.empty(5), np.empty(5)
backends.load("cython").activation_forward(x, square, 0.0, y, slope)
np.testing.assert_array_equal(y, x * x)
np.testing.assert_array_equal(slope, 2 * x)
"""
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, env=environment)


def test_alpha_is_for_the_packages_own():
    with pytest.raises(ValueError, match="those of mish are in its code"):
        fg.Dense(3, 3, mish, alpha=0.1)
    with pytest.raises(ValueError, match=r"fastgrad\.activation makes one of a function"):
        fg.Dense(3, 3, own.relu)
