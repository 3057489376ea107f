"""What concerns a whole process: forks, signals, environment, imports, memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

import fastgrad as fg

PRELUDE = """
import os
import signal
import numpy as np
import fastgrad as fg

if "BACKEND" in os.environ:
    fg.use_backend(os.environ["BACKEND"])

# whoever starts the tests in the background hands down that SIGINT is ignored
signal.signal(signal.SIGINT, signal.default_int_handler)

rng = np.random.default_rng(0)
X = rng.standard_normal((256, 300)).astype(np.float32)
y = rng.integers(7, size=256)

def trainer(width=400):
    model = fg.Sequential(fg.Dense(300, width, "tanh"), fg.Dense(width, 7), rng=0)
    return fg.Trainer(model, "cross_entropy", rng=0)

def trained():
    one = trainer()
    one.epoch(X, y, 128)
    return one.model.flat_params.tobytes()
"""


def start(code, **environment):
    """A Python process that has run PRELUDE, and runs `code`."""
    source = str(Path(fg.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": source, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


SECONDS = 60  # Numba may have to compile


def finish(process):
    """What it printed and complained of, and its exit status; killed after a minute."""
    try:
        out, err = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        pytest.fail(f"it hangs, after\n{out}\n{err}")
    return out, err, process.returncode


def printed(code, **environment):
    out, err, status = finish(start(code, **environment))
    assert status == 0, err
    return out.split()


native = pytest.mark.parametrize("backend", ["cython", "numba"])


@native
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_trains(backend):
    """The threads of its parent are gone there, and nothing may wait for them."""
    code = """
        import os

        fg.set_num_threads(2)
        before, used = trained(), trainer()
        used.step(X, y)
        child = os.fork()
        if child == 0:
            same = trained() == before
            used.step(X, y)  # recorded before the fork
            fg.set_num_threads(2)
            print(same, trained() == before, fg.num_threads(), flush=True)
            os._exit(0)
        print(os.waitpid(child, 0)[1], trained() == before, fg.num_threads())
    """
    assert printed(code, BACKEND=backend) == ["True", "True", "1", "0", "True", "2"]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux")
@pytest.mark.parametrize("count", [1, 2])
def test_the_number_of_threads_is_that_of_openmp(count):
    code = "import os; trained(); print(fg.num_threads(), len(os.listdir('/proc/self/task')))"
    environment = {"OMP_NUM_THREADS": str(count), "OPENBLAS_NUM_THREADS": "1"}
    assert printed(code, **environment) == [str(count)] * 2


@pytest.mark.parametrize("level", ["base", "v3", "v4"])
def test_the_environment_chooses_the_level(level):
    code = """
        one = trainer()
        losses = [one.epoch(X, y) for _ in range(3)]
        print(fg.backends.active().name, losses == sorted(losses, reverse=True))
        print(repr(fg.info()).count("(FASTGRAD_CPU)"))
    """
    out, err, status = finish(start(code, FASTGRAD_CPU=level))
    if status and "this processor runs" in err:
        pytest.skip(err.splitlines()[-1])
    assert out.split() == [f"cython:{level}", "True", "1"], err


def test_a_level_that_is_none_is_refused():
    out, err, status = finish(start("print('ready'); trained()", FASTGRAD_CPU="bogus"))
    assert (out, status) == ("ready\n", 1)
    message = err.splitlines()[-1]
    assert message.startswith("ImportError: fastgrad: level 'bogus' is unknown")
    assert all(level in message for level in ("base", "v3", "v4"))


def interrupted(code, after, backend):
    """Ctrl-C some seconds after "ready": how soon it printed a line, and what it printed."""
    process = start(code, BACKEND=backend)
    watchdog = threading.Timer(SECONDS, process.kill)
    watchdog.start()
    with process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(after)
        process.send_signal(signal.SIGINT)
        sent = time.monotonic()
        first = process.stdout.readline()
        seconds = time.monotonic() - sent
        # not communicate, which would miss what readline has read ahead
        out, err = first + process.stdout.read(), process.stderr.read()
    watchdog.cancel()
    return seconds, out, err


@native
@pytest.mark.parametrize("count", [1, 2])
def test_ctrl_c_stops_an_epoch(backend, count):
    code = f"""
        fg.set_num_threads({count})
        X = np.tile(X, (400, 1))  # for an epoch of many seconds
        y = np.tile(y, 400)
        one = trainer(8000)
        one.step(X[:64], y[:64])
        print("ready", flush=True)
        try:
            one.epoch(X, y, 64)
        except KeyboardInterrupt:
            print("stopped", flush=True)
        steps = one.steps
        print(steps < 1600, np.isfinite(one.model.predict(X[:64])).all())
        print(one.step(X[:64], y[:64]) < 10, one.steps == steps + 1)
    """
    seconds, out, err = interrupted(code, 0.3, backend)
    assert out.split() == ["stopped"] + ["True"] * 4, err
    assert seconds < 1


@native
def test_ctrl_c_stops_within_a_long_step(backend):
    code = """
        fg.set_num_threads(1)
        one = trainer(3000)
        X, y = np.tile(X, (150, 1)), np.tile(y, 150)
        print("ready", flush=True)
        try:
            one.epoch(X, y, len(X))  # a single step of some seconds
        except KeyboardInterrupt:
            print("stopped", one.steps, flush=True)
        print(np.isfinite(one.model.predict(X[:64])).all())
    """
    _, out, err = interrupted(code, 0.5, backend)
    assert out.split() == ["stopped", "0", "True"], err


@native
def test_ctrl_c_leaves_clips_as_after_whole_steps(backend):
    """A replay looks for signals after any other call of so many elements."""
    code = """
        fg.set_num_threads(1)
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        model = fg.Sequential(fg.Dense(300, 3200), fg.Dense(3200, 3200), rng=0)
        clips = [fg.ClipNorm(1.0), fg.AutoClip(), fg.ClipValue(1.0), fg.ClipPerLayer(1.0)]
        one = fg.Trainer(model, "mse", fg.SGD(1e-3), clips, rng=0)
        X, y = np.tile(X, (20, 1)), np.zeros((20 * 256, 3200), np.float32)
        one.step(X[:1], y[:1])
        whole = []
        for k in range(12):
            signal.setitimer(signal.ITIMER_REAL, 0.06 + 0.005 * k)
            try:
                one.epoch(X, y, 1)
            except KeyboardInterrupt:
                whole.append({report.steps for report in one.clip_reports()} == {one.steps})
        print(len(whole), all(whole))
    """
    assert printed(code, BACKEND=backend) == ["12", "True"]


@native
def test_a_failing_step_stops_every_thread(backend):
    """One thread must not leave while another goes on and waits for it."""
    code = """
        fg.set_num_threads(3)
        failed = 0
        for _ in range(500):
            one = trainer()
            one.model.params["1.bias"][...] = np.inf
            try:
                one.step(X[:2], y[:2])
            except fg.GradientError:
                failed += 1
        print(failed)
    """
    assert printed(code, BACKEND=backend) == ["500"]


def test_importing_it_imports_no_more_than_numpy():
    code = """
        import sys

        heavy = "numba scipy matplotlib tqdm safetensors threadpoolctl sklearn torch".split()
        print([name for name in heavy if name in sys.modules])
    """
    assert printed(code) == ["[]"]


GROWTH = """
import gc, resource, tracemalloc

wide = X.astype(np.float64)
one = trainer()

def turn(k):
    {turn}

for k in range(30):
    turn(k)
gc.collect()
resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
tracemalloc.start()
for k in range(3):
    turn(k)
gc.collect()
before = tracemalloc.get_traced_memory()[0]
for k in range(100):
    turn(k)
gc.collect()
print(tracemalloc.get_traced_memory()[0] - before)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident)
"""
TURNS = {
    "epochs": "one.epoch(X, y, 100)",
    "converted data": "one.epoch(wide, y.tolist(), 100)",
    "new data": "one.epoch(X.copy(), y.copy(), 100)",
    "all batch sizes": "one.epoch(X, y, 20 + k % 20), one.step(X[: 1 + k % 20], y[: 1 + k % 20])",
    "passes": "one.model.backward(one.model.forward(X[: 1 + k % 20]))",
    "predictions": "one.model.predict(X, 1 + k % 20)",
    "evaluation": "one.evaluate(X, y)",
    "new trainers": "fg.Trainer(one.model, 'cross_entropy').epoch(X, y, 100)",
    "new models": "trainer().epoch(X, y, 100)",
    "failures": """
    try:
        one.epoch(X, 1e30 * X)
    except ValueError:
        pass""",
}


@native
@pytest.mark.parametrize("turn", TURNS)
def test_memory_does_not_grow(turn, backend):
    """By less than a hundredth of what X alone would cost if every turn kept it."""
    code = GROWTH.format(turn=TURNS[turn])
    growth, resident = map(int, printed(code, OMP_NUM_THREADS="1", BACKEND=backend))
    assert growth < 256 * 300 * 4
    assert resident < 100 * 256 * 300 * 4 / 1024 / 4
