"""Statistics of training steps against those computed by hand, and what is made of them."""

from __future__ import annotations

import numpy as np
import pytest
from rounding import assert_within, rounding

import fastgrad as fg
from fastgrad.errors import GradientError

OPTIMIZERS = {
    "sgd": fg.SGD(0.1),
    "momentum": fg.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": fg.Adam(1e-2),
    "adam, decay": fg.Adam(1e-2, weight_decay=0.1),
    "amsgrad": fg.Adam(1e-2, amsgrad=True),
    "adamw": fg.AdamW(1e-2, weight_decay=0.1),
    "rmsprop": fg.RMSprop(1e-2),
    "nadam": fg.NAdam(1e-2),
    "radam": fg.RAdam(1e-2),
    "adamax": fg.Adamax(1e-2),
    "adagrad": fg.Adagrad(1e-1),
    "adadelta": fg.Adadelta(1.0),
    "rprop": fg.Rprop(1e-2),
    "lion": fg.Lion(1e-3),
    "lamb": fg.LAMB(1e-2),
    "lars": fg.LARS(1.0),
    "muon": fg.Muon(1e-2),
}


def net(dtype="float64", rng=0):
    return fg.Sequential(
        fg.Dense(5, 9, "relu"),
        fg.Residual(fg.Dense(9, 9, "tanh"), fg.Dense(9, 9)),
        fg.BatchNorm(9),
        fg.Dropout(0.2),
        fg.Parallel(fg.Dense(9, 4, "gelu"), fg.Dense(9, 3, "silu")),
        fg.Dense(7, 3),
        rng=rng,
        dtype=dtype,
    )


def data(rows=40):
    rng = np.random.default_rng(0)
    return rng.standard_normal((rows, 5)), rng.integers(3, size=rows)


def norm(x):
    return float(np.sqrt(np.sum(np.square(x.astype(np.longdouble)))))


@pytest.mark.parametrize("backend", ["reference", "cython"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_statistics_are_those_of_the_steps(backend, name, monkeypatch):
    monkeypatch.setattr("fastgrad.backends._active", None)
    fg.use_backend(backend)
    model, (X, y) = net(), data()
    trainer = fg.Trainer(model, "cross_entropy", OPTIMIZERS[name], rng=0, health=True)
    losses, befores, afters, grads = [], [], [], []
    for i in range(4):
        befores.append({k: v.copy() for k, v in model.params.items()})
        losses.append(trainer.step(X[8 * i : 8 * i + 8], y[8 * i : 8 * i + 8]))
        afters.append({k: v.copy() for k, v in model.params.items()})
        grads.append({k: v.copy() for k, v in model.grads.items()})
    found = trainer.health.measurements
    assert found.steps.tolist() == [0, 1, 2, 3]
    assert found.losses.tolist() == losses
    assert found.rates.tolist() == [OPTIMIZERS[name].lr] * 4
    assert found.tensors == tuple(model.params)
    assert found.sizes.tolist() == [v.size for v in model.params.values()]
    for k in range(4):
        for s, tensor in enumerate(model.params):
            g, p = grads[k][tensor], befores[k][tensor]
            true = [norm(g), norm(p), norm(afters[k][tensor] - p)]
            got = [a[k, s] for a in (found.gradient_norms, found.weight_norms, found.update_norms)]
            assert_within(got, true, rounding(np.array(true), np.float64, 20 + g.size), tensor)
            assert found.gradient_max[k, s] == np.abs(g).max()
            assert found.gradient_zeros[k, s] == (g == 0).sum()
    assert not found.gradient_nonfinite.any()


@pytest.mark.parametrize("clip", [fg.ClipNorm(0.1), fg.ClipValue(1e-3), fg.AGC(0.01)])
def test_gradients_are_those_before_clips(clip):
    X, y = data()
    seen = []
    for own in (None, clip):
        model = net()
        trainer = fg.Trainer(model, "cross_entropy", fg.SGD(0.1), clip=own, rng=0, health=True)
        trainer.step(X, y)
        seen.append(trainer.health.measurements)
    free, clipped = seen
    assert_within(clipped.gradient_norms, free.gradient_norms, 0)
    assert (clipped.update_norms < free.update_norms).any()


def outputs_by_hand(model, X):
    """What each layer of `simple` gives, and the gradients of a mean cross entropy."""
    p = model.params
    a = np.maximum(X @ p["0.weight"].T + p["0.bias"], 0)
    b = np.tanh(a @ p["1.weight"].T + p["1.bias"])
    return a, b, b @ p["2.weight"].T + p["2.bias"]


def test_statistics_of_layers():
    model = fg.Sequential(fg.Dense(5, 9, "relu"), fg.Dense(9, 6, "tanh"), fg.Dense(6, 3), rng=0,
                          dtype="float64")  # fmt: skip
    model.params["0.bias"][:4] = [-50, 0, 0, 0]
    model.params["1.bias"][:2] = [30, -30]
    X, y = data()
    a, b, z = outputs_by_hand(model, X)
    trainer = fg.Trainer(model, "cross_entropy", fg.SGD(0.1), rng=0, health=True)
    p = np.exp(z - z.max(axis=1, keepdims=True))
    dz = (p / p.sum(axis=1, keepdims=True) - np.eye(3)[y]) / len(y)
    db = dz @ model.params["2.weight"]
    da = (db * (1 - b**2)) @ model.params["1.weight"]
    trainer.step(X, y)
    found = trainer.health.measurements
    assert found.layers == ("0", "1", "2")
    for i, (out, delta) in enumerate([(a, da), (b, db), (z, dz)]):
        true = [out.mean(), out.std(), norm(delta)]
        got = found.output_means[0, i], found.output_stds[0, i], found.delta_norms[0, i]
        size = [np.abs(out).mean(), np.abs(out).mean(), true[2]]
        assert_within(got, true, rounding(np.array(size), np.float64, 20 + out.size), str(i))
    live = a > 0, 1 - b**2 > 0.01
    assert_within(found.saturated[0, :2], [1 - m.mean() for m in live], 1e-15)
    assert_within(found.dead[0, :2], [1 - m.any(axis=0).mean() for m in live], 1e-15)
    assert found.dead[0, 0] >= 1 / 9
    assert np.isnan(found.saturated[0, 2])
    assert trainer._recorder.probe.lived["0"].tolist() == live[0].any(axis=0).tolist()


@pytest.mark.parametrize("merge", ["concat", "sum"])
def test_statistics_of_branches(merge):
    """Each is that of the same layer in a row, with its part of the gradient."""
    model = fg.Sequential(
        fg.Parallel(
            fg.Dense(5, 9, "relu"),
            fg.Sequential(fg.Dense(5, 9, "relu"), fg.Dense(9, 9, "tanh")),
            fg.Residual(fg.Dense(5, 5)) if merge == "concat" else fg.Dense(5, 9),
            merge=merge,
        ),
        fg.Dense(23 if merge == "concat" else 9, 3),
        rng=0,
        dtype="float64",
    )
    p, (X, y) = model.params, data()
    p["0.0.bias"][:4] = [-50, 0, 0, 0]
    relu = np.maximum(X @ p["0.0.weight"].T + p["0.0.bias"], 0)
    under = np.maximum(X @ p["0.1.0.weight"].T + p["0.1.0.bias"], 0)
    tanh = np.tanh(under @ p["0.1.1.weight"].T + p["0.1.1.bias"])
    last = X @ p["0.2.0.weight" if merge == "concat" else "0.2.weight"].T + (
        X if merge == "concat" else 0
    )
    outs = [relu, tanh, last]
    merged = np.concatenate(outs, axis=1) if merge == "concat" else sum(outs)
    z = merged @ p["1.weight"].T + p["1.bias"]
    e = np.exp(z - z.max(axis=1, keepdims=True))
    dz = (e / e.sum(axis=1, keepdims=True) - np.eye(3)[y]) / len(y)
    d = dz @ p["1.weight"]
    parts = np.split(d, [9, 18], axis=1) if merge == "concat" else [d] * 3
    trainer = fg.Trainer(model, "cross_entropy", fg.SGD(0.1), rng=0, health=True)
    trainer.step(X, y)
    found = trainer.health.measurements
    for name, out, delta in zip(("0.0", "0.1.1", "0.2"), outs, parts, strict=True):
        i = found.layers.index(name)
        true = [out.mean(), out.std(), norm(delta)]
        got = found.output_means[0, i], found.output_stds[0, i], found.delta_norms[0, i]
        size = [np.abs(out).mean(), np.abs(out).mean(), true[2]]
        assert_within(got, true, rounding(np.array(size), np.float64, 20 + out.size), name)
    i = found.layers.index("0.0")
    assert_within(found.saturated[0, i], 1 - (relu > 0).mean(), 1e-15)
    assert_within(found.dead[0, i], 1 - (relu > 0).any(axis=0).mean(), 1e-15)
    assert found.dead[0, i] >= 1 / 9


ALIVE = {  # where slopes are above a hundredth of the largest one, by the outputs or the inputs
    "relu": lambda z, y: y > 0,
    "elu": lambda z, y: np.where(z < 0, np.exp(z), 1) > 0.01,
    "tanh": lambda z, y: 1 - y**2 > 0.01,
    "sigmoid": lambda z, y: y * (1 - y) > 0.0025,
    "softsign": lambda z, y: (1 - np.abs(y)) ** 2 > 0.01,
    "silu": lambda z, y: (
        np.abs((1 + z * (1 - 1 / (1 + np.exp(-z)))) / (1 + np.exp(-z))) > 0.0109984
    ),
}


def in_sequences(activation):
    model = fg.Sequential(
        fg.RNN(5, 6, return_sequences=True), fg.Dense(6, 9, activation), fg.LayerNorm(9),
        fg.Dense(9, 3), rng=0, dtype="float64",
    )  # fmt: skip
    model.params["1.weight"][...] *= 20
    model.params["1.bias"][...] = np.linspace(-40, 40, 9)  # which padding gives, too
    return model


@pytest.mark.parametrize("backend", ["reference", "cython"])
@pytest.mark.parametrize("activation", ALIVE)
def test_padding_is_not_looked_at(activation, backend, monkeypatch):
    monkeypatch.setattr("fastgrad.backends._active", None)
    fg.use_backend(backend)
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((12, 7, 5)), rng.integers(3, size=(12, 7))
    lengths = rng.integers(1, 8, size=12)
    counts = np.arange(7) < lengths[:, None]
    model = in_sequences(activation)
    p = model.params
    states = fg.Sequential(model.layers[0], rng=0, dtype="float64").predict(X)[counts]
    z = states @ p["1.weight"].T + p["1.bias"]
    out = fg.Sequential(fg.Activation(activation), dtype="float64").predict(z)
    trainer = fg.Trainer(model, "cross_entropy", fg.SGD(0.1), rng=0, health=True)
    trainer.step(X, y, lengths=lengths)
    found = trainer.health.measurements
    for i, true in enumerate((states, out)):
        got = found.output_means[0, i], found.output_stds[0, i]
        size = np.full(2, np.abs(true).max())
        assert_within(got, [true.mean(), true.std()], rounding(size, np.float64, 20 + true.size))
    live = ALIVE[activation](z, out)
    assert 0 < live.mean() < 1
    assert found.saturated[0, 1] == pytest.approx(1 - live.mean(), rel=1e-12)
    assert found.dead[0, 1] == pytest.approx(1 - live.any(axis=0).mean(), rel=1e-12)


@pytest.mark.parametrize("activation", ["tanh", "gelu"])
def test_sequences_of_other_lengths_come_later(activation):
    """A step looks at its own minibatch, as if that had been cut to its length."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((12, 7, 5)), rng.integers(3, size=(12, 7))
    seen = []
    for cut in (False, True):
        trainer = fg.Trainer(in_sequences(activation), "cross_entropy", rng=0, health=True)
        for steps in (7, 2, 4):
            own = (X[:, :steps], y[:, :steps]) if cut else (X, y)
            trainer.step(*own, lengths=np.full(12, steps))
        found = trainer.health.measurements
        names = "output_means", "output_stds", "saturated", "dead", "delta_norms"
        seen.append({name: getattr(found, name) for name in names})
    # sums of some hundred float64 numbers in another order differ by 1e-14 of them, which three
    # steps pass on; padding that counts would show in the first digits
    for name, cut in seen[1].items():
        np.testing.assert_allclose(seen[0][name], cut, rtol=1e-9, atol=1e-13, err_msg=name)


@pytest.mark.parametrize("backend", ["reference", "cython"])
def test_of_padding_alone_there_is_no_mean(backend, monkeypatch):
    monkeypatch.setattr("fastgrad.backends._active", None)
    fg.use_backend(backend)
    trainer = fg.Trainer(in_sequences("tanh"), "cross_entropy", rng=0, health=True)
    for lengths in ([7, 3], [0, 0]):
        trainer.step(np.ones((2, 7, 5)), np.zeros((2, 7), int), lengths=lengths)
    found = trainer.health.measurements
    assert np.isfinite([found.output_means[0], found.output_stds[0]]).all()
    assert np.isnan([found.output_means[1], found.saturated[1]]).all()
    assert np.isinf(found.output_stds[1]).all()


def test_threads_change_no_bit_of_padded_sequences(threads):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((64, 20, 5)), rng.integers(3, size=(64, 20))
    lengths = rng.integers(1, 21, size=64)
    results = []
    for count in (1, 2, 3):
        threads(count)
        trainer = fg.Trainer(in_sequences("tanh"), "cross_entropy", rng=0, health=True)
        trainer.epoch(X, y, 32, lengths=lengths)
        found = trainer.health.measurements
        results.append([a.tobytes() for a in vars(found).values() if isinstance(a, np.ndarray)])
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_look_changes_no_bit(name, dtype):
    X, y = data(200)
    results = []
    for health in (False, True):
        model = net(dtype)
        clip = fg.ClipNorm(1.0)
        trainer = fg.Trainer(model, "cross_entropy", OPTIMIZERS[name], clip, rng=0, health=health)
        losses = [trainer.epoch(X, y, 32) for _ in range(3)]
        results.append((losses, model.flat_params.tobytes(), model.flat_buffers.tobytes()))
    assert results[0] == results[1]


def test_threads_change_no_bit(threads):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((600, 64)).astype(np.float32), rng.integers(10, size=600)
    results = []
    for count in (1, 2, 3):
        threads(count)
        model = fg.Sequential(
            fg.Parallel(fg.Dense(64, 200, "relu"), fg.Dense(64, 100)), fg.Dense(300, 10), rng=0
        )
        trainer = fg.Trainer(model, "cross_entropy", rng=0, health=True)
        trainer.epoch(X, y, 200)
        found = trainer.health.measurements
        results.append([a.tobytes() for a in vars(found).values() if isinstance(a, np.ndarray)])
    assert results[0] == results[1] == results[2]


def test_long_runs_are_seen_whole_and_kept_in_part():
    model = fg.Sequential(fg.Dense(2, 2), rng=0)
    trainer = fg.Trainer(model, "mse", fg.SGD(1e-3), rng=0, health=True)
    X = np.random.default_rng(0).standard_normal((5000, 2))
    trainer.epoch(X, X, batch_size=1)
    found = trainer.health.measurements
    assert found.steps.tolist() == list(range(0, 5000, 4))
    assert trainer.health._read == 5000
    trainer.epoch(X, X, batch_size=1)
    assert trainer.health.measurements.steps.tolist() == list(range(0, 10_000, 8))
    assert np.isfinite(found.gradient_norms).all()


def test_no_step_is_lost_where_rings_are_short():
    X = np.random.default_rng(0).standard_normal((300, 2))
    found = []
    for size in (300, 1):
        layers = [fg.Dense(2, 2, "tanh") for _ in range(150)]
        trainer = fg.Trainer(fg.Sequential(*layers, rng=0), "mse", rng=0, health=True)
        trainer.health._took = np.inf  # so that no look is for want of time to be cheap
        for start in range(0, 300, size):
            trainer.epoch(X[start : start + size], X[start : start + size], 1, shuffle=False)
            if size == 1:
                trainer.health.look()
        found.append(trainer.health.measurements)
    assert trainer.health.room < 150
    assert found[0].steps.tolist() == list(range(300))
    assert found[0].gradient_norms.tobytes() == found[1].gradient_norms.tobytes()


def test_no_gradient_through_time_is_lost_where_its_rings_are_short(monkeypatch):
    monkeypatch.setattr(fg.health.probe, "_FLOW", 1)  # of eight steps
    X = np.random.default_rng(0).standard_normal((100, 6, 3))
    model = fg.Sequential(fg.RNN(3, 4), fg.Dense(4, 2), rng=0)
    trainer = fg.Trainer(model, "mse", rng=0, health=True)
    trainer.health._took = np.inf
    trainer.epoch(X, X[:, 0, :2], 1)
    assert trainer.health.room == 4
    norms = trainer.health.time_gradient_norms["0.l0"]
    assert norms.shape == (100, 6)
    assert np.isfinite(norms).all()


def test_long_sequences_are_kept_of_the_last_steps(monkeypatch):
    monkeypatch.setattr(fg.health.history, "_FLOW", 6 * 3 * 10)
    X = np.random.default_rng(0).standard_normal((100, 6, 3))
    model = fg.Sequential(fg.RNN(3, 4), fg.Dense(4, 2), rng=0)
    trainer = fg.Trainer(model, "mse", rng=0, health=True)
    for start in range(0, 100, 20):
        trainer.epoch(X[start : start + 20], X[start : start + 20, 0, :2], 1)
        trainer.health.look()
    assert trainer.health.time_gradient_norms["0.l0"].shape == (10, 6)
    assert len(trainer.health.measurements) == 100


@pytest.mark.parametrize("eager", [True, False])
def test_undone_steps_are_judged_and_not_kept(eager):
    X, y = data(200)
    X[150] = 1e30
    model = fg.Sequential(fg.Dense(5, 8, "relu"), fg.Dense(8, 3), rng=0)
    model.params["1.weight"][...] *= 1e10
    trainer = fg.Trainer(
        model, "cross_entropy", fg.SGD(0.1), rng=0, health=True,
        on_nonfinite=fg.RollBack(every=7),
    )  # fmt: skip
    trainer.health._took = 0.0 if eager else np.inf
    for _ in range(3):
        trainer.epoch(X, y, 8)
    found = trainer.health.measurements
    assert found.steps.tolist() == list(range(trainer.steps))
    assert "nonfinite" in {verdict.family for verdict in trainer.health.verdicts}


def test_minibatches_of_several_make_one_step():
    X, y = data()
    trainer = fg.Trainer(net(), "cross_entropy", rng=0, health=True, accumulate=2)
    trainer.epoch(X, y, batch_size=8)
    assert len(trainer.health.measurements) == 3


@pytest.mark.parametrize("cell", [fg.RNN, fg.LSTM, fg.GRU])
def test_gradients_through_time(cell):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((12, 7, 3)), rng.integers(2, size=12)
    model = fg.Sequential(cell(3, 4, num_layers=2), fg.Dense(4, 2), rng=0)
    trainer = fg.Trainer(model, "cross_entropy", rng=0, health=True)
    expected = []
    for i in range(3):
        trainer.step(X[4 * i : 4 * i + 4], y[4 * i : 4 * i + 4])
        expected.append({n: g.h for n, g in model.time_gradients.items()})
    found = trainer.health.time_gradient_norms
    assert found.keys() == {"0.l0", "0.l1"}
    for name, array in found.items():
        assert array.tolist() == [e[name].tolist() for e in expected]


def test_windows_of_truncated_sequences():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((4, 10, 3))
    model = fg.Sequential(fg.GRU(3, 4, return_sequences=True), fg.Dense(4, 2), rng=0)
    trainer = fg.Trainer(model, "mse", rng=0, health=True)
    trainer.epoch(X, X[:, :, :2], batch_size=4, shuffle=False, bptt=4)
    found = trainer.health
    assert len(found.measurements) == 3
    norms = found.time_gradient_norms["0.l0"]
    assert norms.shape == (3, 4)
    assert np.isfinite(norms).all(axis=1).tolist() == [True, True, False]  # the last has two steps


def test_verdict_on_a_step_that_is_not_finite():
    X, _ = data()
    model = fg.Sequential(fg.Dense(5, 4), fg.Dense(4, 1), rng=0)
    with pytest.raises(GradientError) as raised:
        fg.fit(model, X, np.full((len(X), 1), 3e38), loss="mse", epochs=2, rng=0)
    health = raised.value.run.health
    assert not health.ok
    verdict = health.verdicts[0]
    assert (verdict.family, verdict.severity, verdict.first_step) == ("nonfinite", "critical", 0)


def test_fit_looks_unless_told_not_to():
    X, y = data()
    run = fg.fit(net(), X, y, loss="cross_entropy", epochs=2, rng=0)
    assert run.health is run.trainer.health
    assert len(run.health.measurements) == 2
    assert run.health.gradient_norms.shape == (2, len(run.model.params))
    run = fg.fit(net(), X, y, loss="cross_entropy", epochs=2, rng=0, health=False)
    assert run.health is None


def test_a_healthy_run_and_a_sick_one():
    from fastgrad.datasets import load_digits

    X, y = load_digits()
    X = X.reshape(len(X), -1) / 16
    runs = {}
    for activation in ("relu", "sigmoid"):
        layers = [fg.Dense(64, 64, activation) for _ in range(10)]
        model = fg.Sequential(*layers, fg.Dense(64, 10), rng=0)
        runs[activation] = fg.fit(model, X, y, loss="cross_entropy", epochs=3, rng=0)
    assert runs["relu"].health.ok
    assert not runs["sigmoid"].health.ok
    assert runs["sigmoid"].health.verdicts[0].family == "vanishing"


def test_units_that_no_tensor_is_as_wide_as():
    wide = fg.Sequential(
        fg.Embedding(3, 2), fg.Flatten(9, 2), fg.Activation("relu"), fg.Activation("tanh"), rng=0
    )
    x = np.zeros((4, 9), np.int64)
    trainer = fg.Trainer(wide, "mse", rng=0, health=True)
    trainer.step(x, np.zeros((4, 18)))
    found = trainer.health.measurements
    assert np.isnan(found.dead[0, 2:]).all()
    assert np.isfinite(found.output_stds[0]).any()


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"health": "yes"}, TypeError, "health must be True or False, got 'yes'"),
        ({"health": True, "optimizer": fg.LBFGS()}, ValueError, "LBFGS has none"),
    ],
)
def test_bad_input(changes, error, words):
    with pytest.raises(error, match=words):
        fg.Trainer(net(), "cross_entropy", **changes)
