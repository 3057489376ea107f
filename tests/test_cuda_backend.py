"""The cuda backend as a whole: programs, memory, large products, errors.

On a GPU, or in the simulator (NUMBA_ENABLE_CUDASIM=1), where nets are of a few units.
"""

from __future__ import annotations

import copy
import gc
import signal

import numpy as np
import pytest
from conftest import DEVICE, use
from test_python_layers import Affine

import fastgrad as fg
from fastgrad import backends
from fastgrad.arena import aligned

pytestmark = pytest.mark.skipif(not DEVICE, reason="no GPU, and NUMBA_ENABLE_CUDASIM is not set")


@pytest.fixture
def device():
    yield from use("cuda")


def data(rng, *shape, classes=2):
    return rng.normal(size=shape).astype(np.float32), rng.integers(classes, size=shape[0])


NETS = {
    "dense": ((6,), lambda: [fg.Dense(6, 5, "gelu"), fg.BatchNorm(5), fg.Dense(5, 2)]),
    "around": (
        (4,),
        lambda: [fg.Residual(fg.Dense(4, 4, "tanh")), fg.Dropout(0.3), fg.Dense(4, 2)],
    ),
    "lstm": ((3, 4), lambda: [fg.LSTM(4, 3), fg.LayerNorm(3), fg.Dense(3, 2)]),
    "gru": ((3, 4), lambda: [fg.GRU(4, 3, return_sequences=True), fg.RNN(3, 2), fg.Dense(2, 2)]),
    "python": ((4,), lambda: [fg.Dense(4, 3, "relu"), Affine(3, 3), fg.Dense(3, 2)]),
}


def trained(name, backend, rng, dtype="float32", **options):
    """A trainer after a step and an epoch with a ragged end; and its losses."""
    shape, layers = NETS[name]
    X, y = data(rng, 10, *shape)
    X = X.astype(dtype)
    backends.use_backend(backend)
    model = fg.Sequential(*layers(), rng=0, dtype=dtype)
    trainer = fg.Trainer(model, "cross_entropy", fg.SGD(0.1, momentum=0.9), rng=0, **options)
    losses = trainer.step(X[:4], y[:4]), trainer.epoch(X, y, batch_size=4)
    return trainer, losses, model.predict(X[:3])


@pytest.mark.parametrize("name", NETS)
def test_training(device, name, rng):
    """As the reference, to rounding: three steps of a gradient of some 50 terms."""
    seed = rng.integers(1 << 30)
    options = {"clip": fg.ClipNorm(0.5), "health": True} if name != "python" else {}
    results = [
        trained(name, backend, np.random.default_rng(seed), **options)
        for backend in ("reference", "cuda")
    ]
    (wanted, losses, outputs), (found, own_losses, own_outputs) = results
    tolerance = 50 * np.finfo(np.float32).eps
    np.testing.assert_allclose(own_losses, losses, rtol=tolerance)
    np.testing.assert_allclose(own_outputs, outputs, rtol=4 * tolerance, atol=4 * tolerance)
    pair = found.model.flat_params, wanted.model.flat_params
    np.testing.assert_allclose(*pair, rtol=4 * tolerance, atol=4 * tolerance)


@pytest.mark.parametrize("name", ["dense", "lstm"])
def test_same_bits(device, name):
    first, second = (
        trained(name, "cuda", np.random.default_rng(3))[0].model.flat_params for _ in range(2)
    )
    assert first.tobytes() == second.tobytes()


def test_blocks_do_not_matter(device, monkeypatch, rng):
    from fastgrad.backends.cuda import launching

    x, w = (rng.normal(size=s).astype(np.float32) for s in ((9, 11), (13, 11)))
    found = set()
    for blocks in (1, 2, 3, 7):
        monkeypatch.setattr(launching, "SIMULATED_BLOCKS", blocks)
        y, dw, db, dx = (np.zeros(s, np.float32) for s in ((9, 13), (13, 11), (13,), (9, 11)))
        ops = backends.load("cuda")
        ops.dense_forward(x, w, db, "tanh", 1.0, y, None)
        norms, sums = np.zeros((1, 2)), np.zeros((1, 2))
        ops.dense_backward(x, w, y, None, "tanh", 1.0, y.copy(), dx, dw, db, None)
        edges = np.array([0, dw.size])
        ops.group_norms(dw.reshape(-1), edges, np.array([0, 1]), sums, norms)
        found.add(b"".join(a.tobytes() for a in (y, dx, dw, db, norms)))
    assert len(found) == 1


@pytest.mark.parametrize("shape", range(3))
def test_tiles(device, shape, monkeypatch, rng):
    """Every shape of a tile, with ragged edges and several of them."""
    from fastgrad.backends.cuda import tiles

    monkeypatch.setattr(tiles, "SHAPES", tiles.SHAPES[shape : shape + 1])
    a, b, bias = rng.normal(size=(9, 10)), rng.normal(size=(11, 10)), rng.normal(size=11)
    c = np.zeros((9, 11))
    backends.load("cuda").product_nt(a, b, bias, 0, c)
    np.testing.assert_allclose(c, a @ b.T + bias, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_large_products(device, accumulate, monkeypatch, rng):
    """Left to cuBLAS, between launches, they give the same training."""
    from fastgrad.backends.cuda import library

    seed = rng.integers(1 << 30)
    own = trained("dense", "cuda", np.random.default_rng(seed), accumulate=accumulate)
    monkeypatch.setattr(library, "LARGE", 0)
    theirs = trained("dense", "cuda", np.random.default_rng(seed), accumulate=accumulate)
    np.testing.assert_allclose(own[1], theirs[1], rtol=1e-5)
    pair = own[0].model.flat_params, theirs[0].model.flat_params
    np.testing.assert_allclose(*pair, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("large", [False, True])
def test_stops(device, large, monkeypatch, rng):
    """A gradient that is not finite stops the run, and changes nothing."""
    from fastgrad.backends.cuda import library

    if large:
        monkeypatch.setattr(library, "LARGE", 0)
    X, _ = data(rng, 9, 6)
    model = fg.Sequential(fg.Dense(6, 3, "relu"), fg.Dense(3, 2), rng=0)
    trainer = fg.Trainer(model, "mse", fg.SGD(1e-3), rng=0)
    targets = np.zeros((9, 2), np.float32)
    targets[4] = 3e38  # its square is infinite
    with pytest.raises(fg.GradientError, match="step 1"):
        trainer.epoch(X, targets, batch_size=3, shuffle=False)
    step = fg.Sequential(fg.Dense(6, 3, "relu"), fg.Dense(3, 2), rng=0)
    once = fg.Trainer(step, "mse", fg.SGD(1e-3), rng=0)
    once.step(X[:3], targets[:3])
    assert step.flat_params.tobytes() == model.flat_params.tobytes()


def test_models_made_before(rng):
    """Their arenas are the host's: they go to and fro."""
    X, y = data(rng, 8, 6)
    results = []
    for first in ("reference", "cuda"):
        backends.use_backend(first)
        model = fg.Sequential(fg.Dense(6, 5, "relu"), fg.Dense(5, 2), rng=0)
        trainer = fg.Trainer(model, "cross_entropy", fg.Adam(0.01), rng=0)
        trainer.step(X, y)
        for _ in use("cuda"):
            trainer.step(X, y)
        results.append(np.array(model.flat_params))
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-5)


def test_parameters_are_live(device, rng):
    """What the user writes is what the next step starts from; what it gives can be read."""
    X, y = data(rng, 4, 6)
    model = fg.Sequential(fg.Dense(6, 2), rng=0)
    trainer = fg.Trainer(model, "cross_entropy", fg.SGD(0.5))
    trainer.step(X, y)
    model.params["0.weight"][...] = 0
    model.params["0.bias"] = np.array([5.0, 5.0])
    assert trainer.step(X, y) == pytest.approx(np.log(2), rel=1e-6)
    assert model.params["0.bias"].sum() == pytest.approx(10, rel=1e-6)
    assert np.abs(model.params["0.weight"]).max() > 0


@pytest.mark.parametrize("kind", ["small", "large"])
def test_data_changed_in_place(device, kind, monkeypatch, rng):
    from fastgrad.backends.cuda import places

    if kind == "large":
        monkeypatch.setattr(places, "SMALL", 8)
    X, y = data(rng, 6, 4)
    model = fg.Sequential(fg.Dense(4, 2), rng=0)
    trainer = fg.Trainer(model, "cross_entropy", fg.SGD(1e-30), rng=0)
    first, again = (trainer.epoch(X, y, batch_size=3) for _ in range(2))
    X *= 2
    changed = trainer.epoch(X, y, batch_size=3)
    assert first == pytest.approx(again, rel=1e-6)
    assert abs(changed - first) > 1e-3


def test_overlapping_arrays_of_the_host(device, monkeypatch):
    """Views of one buffer stay views of one buffer on the device, whatever their size."""
    from fastgrad.backends.cuda import places

    ops = backends.load("cuda")
    for limit in (places.SMALL, 8):
        monkeypatch.setattr(places, "SMALL", limit)
        buffer = np.arange(12, dtype=np.float32)
        status = np.zeros(1, np.int64)
        calls = [
            ops.record("blend", buffer[4:8], 1.0, 1.0, buffer[:4]),
            ops.record("blend", buffer[:4], 0.0, 2.0, buffer[8:]),
        ]
        ops.program([calls], status, buffer).run([1], 1)
        np.testing.assert_array_equal(buffer[:4], np.arange(4) + np.arange(4, 8))
        np.testing.assert_array_equal(buffer[8:], 2 * buffer[:4])


def test_segments_and_their_times(device):
    ops = backends.load("cuda")
    x, y, status = np.ones(3), np.zeros(3), np.zeros(1, np.int64)
    one, two = (ops.record("blend", x, 1.0, add, y) for add in (1.0, 10.0))
    program = ops.program([[one], [two], []], status, (x, y))
    program.run([3, 2, 1], 1)
    np.testing.assert_array_equal(y, 23)
    program.run([0, 1, 0], 1)
    np.testing.assert_array_equal(y, 33)


def test_both_dtypes(device):
    """As where sums of losses are kept beside gradients of float32."""
    ops = backends.load("cuda")
    narrow, wide, status = np.ones(3, np.float32), np.ones(3), np.zeros(1, np.int64)
    calls = [ops.record("blend", x.copy(), 1.0, 2 / 3, x) for x in (narrow, wide)]
    ops.program([calls], status, (narrow, wide)).run([2], 1)
    np.testing.assert_array_equal(wide, 1 + 2 / 3 + 2 / 3)
    np.testing.assert_allclose(narrow, 1 + 4 / 3, rtol=1e-6)


def test_memory_is_given_back(device):
    from fastgrad.backends.cuda.managed import MANAGED

    gc.collect()
    before = MANAGED.nbytes
    x = aligned((1000,), np.float32)
    assert MANAGED.holds(x)
    assert MANAGED.holds(x[10:20])
    assert not MANAGED.holds(np.ones(3))
    assert MANAGED.nbytes >= before + 4000
    part = x[5:8]
    del x
    gc.collect()
    assert MANAGED.holds(part)
    del part
    gc.collect()
    assert MANAGED.nbytes == before


def test_out_of_memory(device, monkeypatch, rng):
    """The bytes asked for and free are named; the model trains on."""
    from fastgrad.backends.cuda import managed

    X, y = data(rng, 4, 6)
    model = fg.Sequential(fg.Dense(6, 2), rng=0)
    trainer = fg.Trainer(model, "cross_entropy", fg.SGD(0.1))
    trainer.step(X, y)
    before = model.flat_params.tobytes()
    monkeypatch.setattr(managed, "available", lambda used: 100)
    with pytest.raises(MemoryError, match=r"[\d,]+ bytes are asked for, .* 100 are free"):
        trainer.step(X[:3], y[:3])
    assert model.flat_params.tobytes() == before
    monkeypatch.undo()
    assert np.isfinite(trainer.step(X[:3], y[:3]))


def test_fit_save_and_resume(device, tmp_path, rng):
    """A run with validation and health, gone on with from its checkpoint, ends as the whole."""
    X, y = data(rng, 12, 6)
    options = {"optimizer": fg.Adam(0.01), "batch_size": 4, "validation": 0.25, "health": True}

    def model():
        return fg.Sequential(fg.Dense(6, 4, "tanh"), fg.Dense(4, 2), rng=0)

    whole, half = model(), model()
    quiet = {**options, "loss": "cross_entropy", "progress": False, "rng": 0}
    run = fg.fit(whole, X, y, epochs=2, **quiet)
    kept = {"callbacks": [fg.Checkpoint(tmp_path / "run")], "progress": False}
    fg.fit(half, X, y, epochs=1, **{**quiet, **kept})
    rest = fg.resume(tmp_path / "run", X, y, epochs=2, **kept).model
    assert rest.flat_params.tobytes() == whole.flat_params.tobytes()
    assert run.health is not None
    whole.save(tmp_path / "model.safetensors")
    loaded = fg.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.predict(X), whole.predict(X))


def test_numbers_of_blocks():
    """Little work is one block's, much work that of all; none has more than there are."""
    from fastgrad.backends.cuda.phase import Phase
    from fastgrad.backends.cuda.plans import worth

    def phases(blocks, work):
        return [Phase(len, (), blocks, work, 1, 0)] * 5

    assert worth(phases(1, 100.0), 132) == 1
    assert worth(phases(132, 1e9), 132) == 132
    assert worth(phases(500, 1e9), 64) == 64


def test_shuffling_many_rows(device, monkeypatch, rng):
    """The order of the rows is seen at every epoch, however large it is."""
    from fastgrad.backends.cuda import places

    monkeypatch.setattr(places, "SMALL", 8)
    X, y = data(rng, 12, 4)
    found = []
    for backend in ("reference", "cuda"):
        backends.use_backend(backend)
        model = fg.Sequential(fg.Dense(4, 2), rng=0)
        trainer = fg.Trainer(model, "cross_entropy", fg.SGD(0.5), rng=0)
        for _ in range(3):
            trainer.epoch(X, y, batch_size=3)
        found.append(np.array(model.flat_params))
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [np.negative, lambda x: x[::-1], lambda x: x * 2, lambda x: np.roll(x, 1, axis=1)],
    ids=["negated", "reversed", "doubled", "rolled"],
)
@pytest.mark.parametrize("size", [(6, 4), (3000, 8)])
def test_fingerprints(change, size, rng):
    from fastgrad.arena import fingerprint

    x = rng.normal(size=size)
    before = fingerprint(x)
    assert fingerprint(x.copy()) == before
    assert fingerprint(np.ascontiguousarray(change(x))) != before


class Interrupted(Affine):
    """Presses Ctrl-C when it is run for the second time."""

    runs = 0

    def forward(self, x, params, train):
        self.runs += 1
        if self.runs == 2:
            signal.raise_signal(signal.SIGINT)
        return super().forward(x, params, train)


@pytest.mark.parametrize("kind", ["python", "launch", "library"])
def test_interrupted(device, kind, monkeypatch, rng):
    """Ctrl-C leaves a model that trains on as if nothing had been, from where it is."""
    from fastgrad.backends.cuda import launching, library

    X, y = data(rng, 9, 4)
    middle = Interrupted(3, 3) if kind == "python" else fg.Dense(3, 3)
    model = fg.Sequential(fg.Dense(4, 3, "tanh"), middle, fg.Dense(3, 2), rng=0)
    trainer = fg.Trainer(model, "cross_entropy", fg.SGD(0.1), rng=0)
    if kind != "python":
        wait = launching.synchronize

        def synchronize():
            wait()
            signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(launching, "synchronize", synchronize)
    if kind == "library":
        monkeypatch.setattr(library, "LARGE", 0)
    with pytest.raises(KeyboardInterrupt):
        trainer.epoch(X, y, batch_size=3)
    if kind != "python":
        monkeypatch.setattr(launching, "synchronize", wait)
    twin = copy.deepcopy(model)
    trainer.optimizer.lr = 0.5
    X[...] = X[::-1].copy()
    found = trainer.epoch(X, y, batch_size=3, shuffle=False)
    for _ in use("reference"):
        other = fg.Trainer(twin, "cross_entropy", fg.SGD(0.5), rng=0)
        wanted = other.epoch(X, y, batch_size=3, shuffle=False)
    assert found == pytest.approx(wanted, rel=1e-5)
    np.testing.assert_allclose(model.flat_params, twin.flat_params, rtol=1e-4, atol=1e-5)


def test_products_of_one_phase_or_several(device, monkeypatch, rng):
    """What a phase costs decides; the gradient of the weight has the same bits."""
    from fastgrad.backends.cuda import product

    x, w, dy = (rng.normal(size=s) for s in ((9, 5), (7, 5), (9, 7)))
    found = []
    for price in (-1e9, 1e9):
        monkeypatch.setattr(product, "MEETING", price)
        dx, dw, db = np.zeros((9, 5)), np.zeros((7, 5)), np.zeros(7)
        call = backends.load("cuda").raw("dense_backward")
        values = x, w, dy, None, "identity", 1.0, dy.copy(), dx, dw, db, None
        found.append(len(call(*values).phases))
        backends.load("cuda").dense_backward(*values)
        np.testing.assert_allclose(dx, dy @ w, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(dw, dy.T @ x, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(db, dy.sum(axis=0), rtol=1e-12, atol=1e-13)
    assert found[1] == 1
    assert found[0] in (1, 2)
