"""The numba backend as a whole: when it is chosen, its cache, its notice, its threads."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from nets import bits

import fastgrad as fg
from fastgrad import backends

numba = pytest.importorskip("numba")
pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="of compiled code")

HIDDEN = """
import importlib.abc, sys

class Hide(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.startswith("fastgrad._kernels."):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Hide())
"""
TRAINS = """
import numpy as np
import fastgrad as fg

rng = np.random.default_rng(0)
X = rng.standard_normal((200, 8)).astype(np.float32)
y = (X[:, 0] > 0).astype(np.int64)
model = fg.Sequential(fg.Dense(8, 16, "tanh"), fg.Dense(16, 2), rng=0)
run = fg.fit(model, X, y, loss="cross_entropy", epochs=3, progress=False, rng=0)
print(fg.backends.active().name, fg.info()["backend"])
print(model.flat_params.tobytes().hex())
"""


def run(code, **environment):
    """What a process of its own prints, and its complaints."""
    source = str(Path(fg.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": source, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def printed(code, **environment):
    done = run(code, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.split(), done.stderr


def test_numba_is_imported_only_when_it_is_chosen():
    code = TRAINS + "import sys; print('numba' in sys.modules)\n"
    assert printed(code)[0][-1] == "False"
    code = code.replace("rng = np", "fg.use_backend('numba')\nrng = np", 1)
    words, _ = printed(code)
    assert (words[0], words[-1]) == ("numba", "True")


def test_it_takes_the_place_of_compiled_modules_that_are_missing(tmp_path):
    """With a line that says so, once what it compiles is in the cache."""
    environment = {"NUMBA_CACHE_DIR": str(tmp_path)}
    printed(TRAINS.replace("rng = np", "fg.use_backend('numba')\nrng = np", 1), **environment)
    (name, told, parameters), err = printed(HIDDEN + TRAINS, **environment)
    assert (name, told) == ("numba", "numba")
    assert err == (
        "fastgrad: no compiled kernels are installed: Numba compiles those that are used\n"
    )
    (compiled, _, expected), _ = printed(TRAINS)
    assert compiled.startswith("cython")
    found, true = (np.frombuffer(bytes.fromhex(p), np.float32) for p in (parameters, expected))
    # 21 steps of Adam, whose rate of 1e-3 a gradient that rounding turns around moves twice
    np.testing.assert_allclose(found, true, rtol=0, atol=1e-4)


def test_without_both_the_error_names_the_cures():
    hidden = HIDDEN.replace(
        'name.startswith("fastgrad._kernels.")',
        'name.startswith("fastgrad._kernels.") or name == "numba"',
    )
    patched = "import importlib.util as u\nold = u.find_spec\n"
    patched += "u.find_spec = lambda name, *more: None if name == 'numba' else old(name, *more)\n"
    done = run(hidden + patched + TRAINS)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("fastgrad.backends.cython.NotBuiltError: fastgrad: no compiled kernels")
    assert 'pip install "fastgrad[numba]"' in last


CALL = """
import numpy as np
from fastgrad import backends
y = np.ones((2, 3), np.float32)
backends.load("numba").add(y, y.copy())
backends.load("numba").add(y.copy(), y)
print(y.sum())
"""


@pytest.mark.parametrize("case", ["no home", "no folder", "not a folder"])
def test_it_runs_where_nothing_can_be_cached(case, tmp_path):
    (tmp_path / "file").touch()
    environment = {
        "no home": {"HOME": "/dev/null/none", "XDG_CACHE_HOME": "", "NUMBA_CACHE_DIR": ""},
        "no folder": {"NUMBA_CACHE_DIR": "/dev/null/none"},
        "not a folder": {"NUMBA_CACHE_DIR": str(tmp_path / "file" / "cache")},
    }[case]
    assert printed(CALL, **environment)[0] == ["12.0"]


def test_a_cache_that_cannot_be_read_is_made_again(tmp_path):
    """Cut short, or of something else: it costs time, no more."""
    environment = {"NUMBA_CACHE_DIR": str(tmp_path)}
    assert printed(CALL, **environment)[0] == ["12.0"]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".nbi", ".nbc"}
    for i, path in enumerate(files):
        path.write_bytes(b"" if i % 2 else path.read_bytes()[:40])
    assert printed(CALL, **environment)[0] == ["12.0"]


def test_the_next_process_finds_what_was_compiled(tmp_path):
    environment = {"NUMBA_CACHE_DIR": str(tmp_path)}
    count = CALL + "from fastgrad.backends.numba.kernels import KERNELS\n"
    count += "print(sum(KERNELS['add']._compiled.stats.cache_hits.values()))\n"
    assert printed(count, **environment)[0] == ["12.0", "0"]
    assert printed(count, **environment)[0] == ["12.0", "1"]


class Slow:
    """A kernel that takes its time."""

    name = "slow"

    def __init__(self, seconds):
        self.seconds = seconds

    def is_ready(self, real):
        return False

    def entry(self, real):
        time.sleep(self.seconds)


@pytest.mark.parametrize(("seconds", "told"), [(0.0, False), (0.15, True)])
def test_what_takes_long_to_compile_shows_its_progress(seconds, told, monkeypatch, capsys):
    from fastgrad.backends.numba import notice

    monkeypatch.setattr(notice, "SECONDS", 0.1)
    notice.compile_kernels([(Slow(seconds), numba.float32)] * 3)
    err = capsys.readouterr().err
    assert ("fastgrad: compiling" in err and "3/3" in err) == told


def test_warmup_compiles_every_kernel_of_a_dtype():
    before = backends.active().name
    fg.warmup()  # nothing to do
    backends.use_backend("numba")
    try:
        fg.warmup("float32")
        kernels = backends.active()._raw.values()
        assert all(kernel.is_ready(numba.float32) for kernel in kernels)
        with pytest.raises(ValueError, match="dtypes must be float32 or float64, got 'int8'"):
            fg.warmup("int8")
    finally:
        backends.use_backend(before)


def model(kind):
    if kind == "dense":
        return fg.Sequential(
            fg.Dense(70, 300, "tanh"), fg.BatchNorm(300), fg.Dropout(0.2), fg.Dense(300, 5), rng=0
        )
    return fg.Sequential(getattr(fg, kind)(70, 48), fg.Dense(48, 5), rng=0)


@pytest.mark.parametrize("kind", ["dense", "RNN", "LSTM", "GRU"])
def test_the_number_of_threads_changes_no_bit(kind, threads, rng):
    X = rng.standard_normal((192, 70) if kind == "dense" else (64, 9, 70)).astype(np.float32)
    y = rng.integers(5, size=len(X))
    before, found = backends.active().name, []
    backends.use_backend("numba")
    try:
        for count in (1, 2, 3):
            threads(count)
            one = model(kind)
            fg.Trainer(one, "cross_entropy", clip=fg.ClipNorm(0.5), rng=0).epoch(X, y, 64)
            found.append(bits(one.flat_params))
    finally:
        backends.use_backend(before)
    assert found[0] == found[1] == found[2]


def test_a_program_does_not_run_inside_itself(threads):
    """A Python layer could ask for it."""
    threads(1)
    backend, status = backends.load("numba"), np.zeros(1, np.int64)
    programs = []
    program = backend.program([[lambda: programs[0].run([1], 1)]], status, None)
    programs.append(program)
    with pytest.raises(RuntimeError, match="runs already"):
        program.run([1], 1)


@pytest.mark.parametrize("kernel", ["product_nn", "product_nt", "product_tn", "dense_forward"])
def test_what_is_left_out_has_no_parts(kernel, threads, rng, dtype):
    """Threads that share columns look at their own part of a bias, if there is one."""
    x, w, found = rng.standard_normal((256, 256)).astype(dtype), np.eye(256, dtype=dtype), []
    for count in (1, 2):
        threads(count)
        y = np.empty_like(x)
        backend, status = backends.load("numba"), np.zeros(1, np.int64)
        tail = ("tanh", 0.0, y, None) if kernel == "dense_forward" else (0, y)
        call = backend.record(kernel, x, w, None, *tail)
        backend.program([[call]], status, call).run([8], count)  # enough to wake a helper
        found.append(y)
    np.testing.assert_array_equal(found[0], found[1])


LOWER = """
import numpy as np
from fastgrad import backends

rng = np.random.default_rng(0)
worst = 0.0
for rows, inputs, outputs in ((1, 7, 5), (7, 33, 15), (17, 64, 33), (33, 600, 50)):
    x, w = rng.standard_normal((rows, inputs)), rng.standard_normal((outputs, inputs))
    dy, found = rng.standard_normal((rows, outputs)), []
    for name in ("reference", "numba"):
        ops, dz = backends.load(name), dy.copy()
        y, dx, dw, db = np.empty_like(dy), np.empty_like(x), np.empty_like(w), np.empty(outputs)
        ops.dense_forward(x, w, np.ones(outputs), "tanh", 0.0, y, None)
        ops.dense_backward(x, w, y, None, "tanh", 0.0, dz, dx, dw, db, None)
        found.append([y, dx, dw, db])
    for a, b in zip(*found):
        worst = max(worst, np.abs(a - b).max() / (1 + np.abs(a).max()))
from fastgrad.backends.numba.machine import VECTOR_BYTES
print(VECTOR_BYTES, worst)
"""
PROCESSORS = {16: ("nehalem", "+sse2,+sse4.2"), 32: ("haswell", "+sse2,+avx,+avx2,+fma,+bmi,+bmi2")}


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="of other processors")
@pytest.mark.parametrize("width", PROCESSORS)
def test_narrower_vectors(width):
    """What Numba makes for a processor that has no more."""
    name, features = PROCESSORS[width]
    words, _ = printed(LOWER, NUMBA_CPU_NAME=name, NUMBA_CPU_FEATURES=features)
    assert int(words[0]) == width
    # sums of at most 600 products, added in another order
    assert float(words[1]) < 600 * np.finfo(np.float64).eps


def shared_program():
    """A program that two threads share, and what it writes."""
    x, y = np.ones((256, 256), np.float32), np.empty((256, 256), np.float32)
    backend, status = backends.load("numba"), np.zeros(1, np.int64)
    call = backend.record("product_nn", x, x, None, 0, y)
    return backend.program([[call] * 4], status, call), y


def test_python_threads_share_the_helpers():
    """All helpers of one walk are told before those of another: else both would wait forever."""
    programs = [shared_program() for _ in range(2)]

    def train(program):
        for _ in range(200):
            program.run([2], 4)

    threads = [threading.Thread(target=train, args=[p], daemon=True) for p, _ in programs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert all((y == 256).all() for _, y in programs)


def test_a_walk_that_does_not_begin_leaves_nobody_waiting(monkeypatch):
    from fastgrad.backends.numba import walk

    program, y = shared_program()
    program.run([2], 3)

    def fail(*numbers):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(walk, "compiled_walk", lambda: fail)
        with pytest.raises(KeyboardInterrupt):
            program.run([2], 3)
    y[...] = 0
    program.run([2], 3)
    assert (y == 256).all()


def test_no_kernel_is_written_twice():
    import importlib
    import pkgutil

    from fastgrad.backends import numba as package
    from fastgrad.backends.numba.entry import Kernel
    from fastgrad.backends.numba.kernels import KERNELS

    for module in pkgutil.iter_modules(package.__path__):
        for found in vars(importlib.import_module(f"{package.__name__}.{module.name}")).values():
            if isinstance(found, Kernel):
                assert KERNELS[found.name] is found
