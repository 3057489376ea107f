"""L-BFGS on the full batch."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from nets import bits, chain
from rounding import rounding

import fastgrad as fg

pytestmark = pytest.mark.usefixtures("one_thread")


def regression(dtype="float64", rows=40):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, 5)).astype(dtype)
    y = x @ rng.standard_normal((5, 2)) + 0.1 * rng.standard_normal((rows, 2))
    return x, y.astype(dtype)


def test_a_linear_model_ends_at_least_squares(dtype, backend):
    x, y = regression(dtype)
    model = chain(5, 2, dtype=dtype)
    optimizer = fg.LBFGS(max_iter=100, gtol=0, ftol=0)
    run = fg.fit(model, x, y, loss="mse", optimizer=optimizer, epochs=2)
    columns = np.c_[x, np.ones(len(x))].astype(np.float64)
    best, *_ = np.linalg.lstsq(columns, y.astype(np.float64), rcond=None)
    # a search ends where losses differ by rounding, and they grow by half the curvature times the
    # square of the distance
    curvature = np.linalg.eigvalsh(columns.T @ columns / len(x)).min()
    within = np.sqrt(2 * rounding(run.history["loss"][-1], dtype) / curvature)
    np.testing.assert_allclose(model.params["0.weight"], best[:-1].T, rtol=0, atol=within)
    np.testing.assert_allclose(model.params["0.bias"], best[-1], rtol=0, atol=within)


def test_it_comes_closer_than_adam(backend):
    x, y = regression("float32")
    losses = {}
    for optimizer in ("lbfgs", "adam"):
        run = fg.fit(chain(5, 8, 2), x, y, loss="mse", optimizer=optimizer, epochs=10, rng=0)
        losses[optimizer] = run.history["loss"][-1]
    assert losses["lbfgs"] < 0.1 * losses["adam"]


def test_an_epoch_is_one_step():
    x, y = regression()
    model = chain(5, 8, 2, dtype="float64")
    trainer = fg.Trainer(model, "mse", fg.LBFGS(max_iter=3))
    before = trainer.evaluate(x, y)
    loss = trainer.epoch(x, y, batch_size=7)
    assert loss == pytest.approx(trainer.evaluate(x, y), rel=1e-12)
    assert loss < before
    assert (trainer.steps, trainer.state, trainer.mean_loss()) == (1, {}, loss)
    _, grads = model.forward(x), model.flat_grads.copy()
    dy = 2 * (model.predict(x) - y) / y.size
    model.backward(dy)
    np.testing.assert_allclose(grads, model.flat_grads, atol=1e-12)


@pytest.mark.parametrize("cell", [fg.RNN, fg.LSTM, fg.GRU])
def test_all_evaluations_start_from_the_same_states(cell):
    """Those of a stateful layer go on when the epoch has ended, and not where it has failed."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 4, 3, 2)), rng.standard_normal((2, 4, 1))
    models = [
        fg.Sequential(cell(2, 5, stateful=stateful), fg.Dense(5, 1), rng=0, dtype="float64")
        for stateful in (True, False)
    ]
    trainers = [fg.Trainer(model, "mse", "lbfgs") for model in models]
    losses = [trainer.epoch(x[0], y[0], 4, False) for trainer in trainers]
    assert losses[0] == losses[1]
    stateful, plain = models
    assert bits(stateful.flat_params) == bits(plain.flat_params)
    plain.forward(x[0])
    after = plain.states
    for name, state in stateful.states.items():
        np.testing.assert_array_equal(state, after[name])
    z = plain.forward(x[1], states=after)
    stepped = fg.Trainer(stateful, "mse", fg.SGD(1e-9))
    assert stepped.step(x[1], y[1]) == pytest.approx(((z - y[1]) ** 2).mean(), rel=1e-13)
    going_on = [array.copy() for array in stateful._memory.lasting().values()]
    with np.errstate(over="ignore"), pytest.raises(fg.GradientError):
        trainers[0].epoch(x[0], 1e200 * y[0], 4, False)
    for kept, now in zip(going_on, stateful._memory.lasting().values(), strict=True):
        np.testing.assert_array_equal(kept, now)


def test_padding_stays_zero():
    x, y = regression()
    model = chain(5, 8, 2, dtype="float64")
    fg.Trainer(model, "mse", fg.LBFGS()).epoch(x, y)
    used = np.concatenate([np.arange(part.start, part.stop) for part in model.parts])
    assert not np.delete(model.flat_params, used).any()


def test_weights_and_classes():
    x, _ = regression("float32")
    y, weight = np.arange(40) % 3, np.arange(40) < 20
    model = chain(5, 3)
    run = fg.fit(
        model, x, y, loss="cross_entropy", optimizer="lbfgs", sample_weight=weight, epochs=3
    )
    same = fg.Trainer(chain(5, 3), "cross_entropy", "lbfgs")
    losses = [same.epoch(x[:20], y[:20]) for _ in range(3)]
    assert run.history["loss"] == pytest.approx(losses, rel=1e-3)


def test_dropout_drops_the_same_within_an_epoch():
    """Or the line search would not find its way."""
    x, y = regression()
    layers = fg.Dense(5, 16, "tanh"), fg.Dropout(0.3), fg.Dense(16, 2)
    trainer = fg.Trainer(fg.Sequential(*layers, rng=0, dtype="float64"), "mse", "lbfgs", rng=0)
    losses = [trainer.epoch(x, y) for _ in range(4)]
    assert max(losses) < 0.1
    assert len(set(losses)) == 4


def test_running_statistics_are_those_of_all_rows():
    x, y = regression()
    model = fg.Sequential(fg.BatchNorm(5), fg.Dense(5, 2), rng=0, dtype="float64")
    fg.Trainer(model, "mse", fg.LBFGS()).epoch(x, y)
    np.testing.assert_allclose(model.buffers["0.running_mean"], x.mean(axis=0), atol=1e-12)
    var = x.var(axis=0, ddof=1)
    np.testing.assert_allclose(model.buffers["0.running_var"], var, rtol=1e-12)


@pytest.mark.parametrize("when", [0, 5])
def test_what_is_not_finite_leaves_the_last_good_iteration(when):
    x, y = regression()

    class Fails(fg.Layer):
        calls = 0

        def forward(self, x, params, train):
            self.calls += train
            return x * np.nan if self.calls > when else x

        def backward(self, dy, params, grads):
            return dy

    model = fg.Sequential(fg.Dense(5, 2), Fails(), rng=0, dtype="float64")
    trainer = fg.Trainer(model, "mse", "lbfgs")
    before, start = bits(model.flat_params), fg.Sequential(fg.Dense(5, 2), rng=0, dtype="float64")
    with pytest.raises(fg.GradientError, match="step 0: the output of layer 1"):
        trainer.epoch(x, y)
    assert (bits(model.flat_params) == before) == (when == 0)
    assert trainer.steps == 0
    model.layers[1].calls = -100
    loss = fg.Trainer(start, "mse").evaluate(x, y)
    assert (trainer.evaluate(x, y) < loss) == (when > 0)
    assert trainer.epoch(x, y) < loss


def test_an_interrupted_epoch_keeps_the_last_iteration():
    x, y = regression()

    class Interrupts(fg.Layer):
        calls = 0

        def forward(self, x, params, train):
            self.calls += 1
            if self.calls == 4:
                raise KeyboardInterrupt
            return x

        def backward(self, dy, params, grads):
            return dy

    model = fg.Sequential(fg.Dense(5, 2), Interrupts(), rng=0, dtype="float64")
    before = model.flat_params.copy()
    with pytest.raises(KeyboardInterrupt):
        fg.Trainer(model, "mse", "lbfgs").epoch(x, y)
    assert np.isfinite(model.flat_params).all()
    assert not np.array_equal(before, model.flat_params)


def test_a_step_is_refused():
    x, y = regression("float32")
    model = chain(5, 2)
    before = bits(model.flat_params)
    trainer = fg.Trainer(model, "mse", "lbfgs")
    with pytest.raises(TypeError, match=r"LBFGS needs all rows at once"):
        trainer.step(x, y)
    assert bits(model.flat_params) == before
    assert trainer.epoch(x, y) > 0


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("clip", fg.ClipNorm(1.0)),
        ("schedule", fg.schedules.Cosine()),
        ("per_layer", {"0": {}}),
        ("accumulate", 2),
        ("average", 0.9),
        ("constraints", fg.MaxNorm(1.0)),
        ("on_nonfinite", "skip"),
    ],
)
def test_options_for_steps_are_refused(option, value):
    with pytest.raises(ValueError, match=rf"LBFGS\(.*\) takes no {option}"):
        fg.Trainer(chain(5, 2), "mse", "lbfgs", **{option: value})


def test_without_scipy(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    model = chain(5, 2)
    before = bits(model.flat_params)
    with pytest.raises(ImportError, match=r'LBFGS needs SciPy: pip install "fastgrad\[lbfgs\]"'):
        fg.Trainer(model, "mse", "lbfgs").epoch(*regression("float32"))
    assert bits(model.flat_params) == before


def test_penalties_are_minimized_too():
    """Ridge regression, all but the bias."""
    x, y = regression()
    model = chain(5, 2, dtype="float64")
    optimizer = fg.LBFGS(max_iter=200, gtol=0, ftol=0)
    trainer = fg.Trainer(model, "mse", optimizer, regularizers=fg.L2(0.05))
    loss = trainer.epoch(x, y)
    columns, penalty = np.c_[x, np.ones(len(x))], np.diag([1.0] * 5 + [0])
    normal = columns.T @ columns + 0.05 * y.size * penalty
    best = np.linalg.solve(normal, columns.T @ y)
    within = np.sqrt(2 * rounding(loss, np.float64) / np.linalg.eigvalsh(normal / len(x)).min())
    np.testing.assert_allclose(model.params["0.weight"], best[:-1].T, rtol=0, atol=within)


def test_a_checkpoint_goes_on(tmp_path):
    x, y = regression("float32")
    given = {"loss": "mse", "optimizer": fg.LBFGS(max_iter=2), "rng": 0}
    whole = fg.fit(chain(5, 8, 2), x, y, epochs=4, **given)
    path = tmp_path / "run.safetensors"
    fg.fit(chain(5, 8, 2), x, y, epochs=2, callbacks=[fg.Checkpoint(path)], **given)
    again = fg.resume(path, x, y, callbacks=[fg.Checkpoint(path)], epochs=4)
    assert bits(again.model.flat_params) == bits(whole.model.flat_params)
    assert again.history["loss"] == whole.history["loss"]
    assert again.trainer.steps == 4


def test_threads_change_nothing(threads):
    x, y = regression("float32", rows=2000)
    results = set()
    for count in (1, 2):
        threads(count)
        model = chain(5, 64, 2)
        fg.Trainer(model, "mse", "lbfgs").epoch(x, y)
        results.add(bits(model.flat_params))
    assert len(results) == 1
