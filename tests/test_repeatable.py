"""The same training, bit for bit: seeds, threads, backends, layouts of the data."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from nets import assert_close, bits, chain

import fastgrad as fg

ROWS, WIDTHS = 300, (300, 400, 200, 7)  # large enough for every kernel to share its work


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, WIDTHS[0])).astype(np.float32)
    return x, rng.integers(WIDTHS[-1], size=ROWS)


def trained(x, y, *, kind="float32", loss="cross_entropy", seed=0, widths=WIDTHS, epochs=2):
    """The bits of everything that training and the passes come to."""
    model = chain(*widths, activation="gelu", dtype=kind, rng=seed)
    clips = [fg.AGC(), fg.ClipPerTensor(0.6), fg.ClipPerLayer(0.5), fg.GradFloor(0.1)]
    clips += [fg.AutoClip(80), fg.ZClip(warmup=2, max_norm=0.8), fg.ClipNorm(0.7)]
    clips += [fg.ClipValue(0.01)]
    trainer = fg.Trainer(model, loss, fg.Adam(1e-3), clips, rng=seed)
    losses = [trainer.epoch(x, y, 128) for _ in range(epochs)]
    clipped = [array for name, array in trainer.arrays().items() if name.startswith("clip")]
    state = model.flat_params, model.flat_grads, *trainer.state.values()
    out = model.forward(x)
    passes = out, model.backward(out), model.flat_grads, model.predict(x, 100)
    return bits(*state, *passes, *clipped, losses, trainer.evaluate(x, y))


@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "binary_cross_entropy"])
def test_threads_change_nothing(loss, data, dtype, threads):
    x, y = data
    y = y if loss == "cross_entropy" else np.eye(7)[y]
    results = set()
    for count in (1, 2, 3):
        threads(count)
        results.add(trained(x, y, kind=dtype, loss=loss, epochs=1))
    assert len(results) == 1


@pytest.mark.parametrize("weighted", [False, True])
def test_threads_change_nothing_in_tall_batches(weighted, threads):
    """There each thread takes its own rows through several layers without meeting the others."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1000, 24)).astype(np.float32)
    y = rng.integers(5, size=1000)
    weight = rng.random(1000) if weighted else None
    results = set()
    for count in (1, 2, 3, 5):
        threads(count)
        model = chain(24, 70, 33, 70, 70, 5, activation="silu", rng=0)
        trainer = fg.Trainer(model, "cross_entropy", rng=0)
        losses = [trainer.epoch(x, y, 300, sample_weight=weight) for _ in range(10)]
        out = model.forward(x)
        passes = out, model.backward(out), model.flat_grads, model.predict(x, 450)
        results.add(bits(model.flat_params, *passes, losses))
    assert len(results) == 1


def test_a_change_of_threads_changes_nothing(data, threads):
    x, y = data
    results = set()
    for counts in ((1, 1, 1, 1), (2, 1, 3, 2)):
        trainer = fg.Trainer(chain(*WIDTHS), "cross_entropy", rng=0)
        for count in counts:
            threads(count)
            trainer.epoch(x, y, 128)
        results.add(bits(trainer.model.flat_params))
    assert len(results) == 1


def test_seeds_decide(data, one_thread):
    x, y = (array[:40] for array in data)
    narrow = {"widths": (300, 20, 7)}
    assert trained(x, y, **narrow) == trained(x, y, **narrow) != trained(x, y, seed=1, **narrow)
    by_generator = chain(3, 2, rng=np.random.default_rng(0))
    assert bits(by_generator.flat_params) == bits(chain(3, 2, rng=0).flat_params)


def test_the_reference_agrees(data, dtype, one_thread):
    """But for rounding, which ten steps on one minibatch pass on."""
    x, y = (array[:40] for array in data)
    before = fg.backends.active().name
    params = []
    for name in ("reference", before):
        fg.use_backend(name)
        model = chain(300, 20, 7, dtype=dtype)
        trainer = fg.Trainer(model, "cross_entropy", fg.SGD(0.1, momentum=0.9), fg.ClipNorm(0.5))
        for _ in range(10):
            trainer.step(x, y)
        params.append(model.flat_params)
    assert not np.array_equal(*params)
    assert_close(params[0], params[1].astype(np.float64), dtype, 10 * (300 + 20 + 40))


def test_a_switch_of_backends_in_mid_training(data, one_thread):
    x, y = (array[:40] for array in data)
    before = fg.backends.active().name
    trainer = fg.Trainer(chain(300, 20, 7), "cross_entropy")
    losses = []
    for name in ("reference", before, "reference", before):
        fg.use_backend(name)
        losses += [trainer.epoch(x, y, 16), trainer.step(x, y), trainer.evaluate(x, y)]
    assert losses == sorted(losses, reverse=True)
    assert trainer.steps == 4 * (3 + 1)


def test_two_trainings_at_once(data, threads):
    """They share nothing, not even when they are in the same kernels."""
    threads(2)
    x, y = data
    wanted = [trained(x, y, seed=seed) for seed in range(2)]
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(trained, x, y, seed=seed) for seed in range(2)]
        assert [one.result(timeout=30) for one in both] == wanted


def read_only(array):
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def every_other(array):
    """The same numbers, two places apart on each axis."""
    spread = np.zeros([2 * n for n in array.shape], array.dtype)
    view = spread[(slice(None, None, 2),) * array.ndim]
    view[...] = array
    return view


LAYOUTS = {
    "float64": lambda x: x.astype(np.float64),
    "longdouble": lambda x: x.astype(np.longdouble),
    "big-endian": lambda x: x.astype(">f4"),
    "fortran": np.asfortranarray,
    "strided": every_other,
    "reversed": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
    "read-only": read_only,
    "list": lambda x: x.tolist(),
    "subclass": np.ma.asarray,
}
CLASSES = {
    "int8": lambda y: y.astype(np.int8),
    "uint64": lambda y: y.astype(np.uint64),
    "big-endian": lambda y: y.astype(">i4"),
    "strided": every_other,
    "read-only": read_only,
    "list": lambda y: y.tolist(),
}
TARGETS = LAYOUTS | {"columns": lambda y: y.T.copy().T}


def steps_of_all_kinds(x, y, loss):
    model = chain(6, 8, 3)
    trainer = fg.Trainer(model, loss, rng=0)
    values = [trainer.epoch(x, y, 8), trainer.step(x, y), trainer.epoch(x, y, 8)]
    values.append(trainer.evaluate(x, y))
    options = {"loss": loss, "epochs": 2, "validation": 0.2, "progress": False, "rng": 0}
    run = fg.fit(model, x, y, **options)
    return bits(model.flat_params, model.predict(x), values, run.history["val_loss"])


@pytest.mark.parametrize(
    ("loss", "of_x", "of_y"),
    [pytest.param("cross_entropy", f, np.copy, id=f"X {name}") for name, f in LAYOUTS.items()]
    + [pytest.param("cross_entropy", np.copy, f, id=f"y {name}") for name, f in CLASSES.items()]
    + [pytest.param("mse", np.copy, f, id=f"y {name}") for name, f in TARGETS.items()],
)
def test_layouts_change_nothing(loss, of_x, of_y, one_thread):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((21, 6)).astype(np.float32)
    y = rng.integers(3, size=21)
    if loss == "mse":
        y = rng.standard_normal((21, 3)).astype(np.float32)
    assert steps_of_all_kinds(of_x(x), of_y(y), loss) == steps_of_all_kinds(x, y, loss)
