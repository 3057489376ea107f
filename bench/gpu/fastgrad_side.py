"""fastgrad's sides: what is run, and what of it is timed.

A pass of a recurrent layer is one recorded program, forward and backward, without loss and
optimizer; so many passes are one run of it, and where it has no products for cuBLAS, one launch.
A training step is timed within a `Trainer.epoch` of many steps, which draws an order and gathers
each minibatch; device time is all between the call and its return, the host's part included. The
mode "steps alone" leaves that part out: the data lie on the GPU, and the order is drawn already.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import fastgrad as fg
from fastgrad import arena, backends
from fastgrad.program import Tape, Workspace

from ..peers.rows import LEARNING_RATE, Task
from ..peers.sequences import SequenceTask
from .correctness import Found, minibatch, named

PEER = "fastgrad"
BACKENDS = {"fp32": "cuda", "tf32": "cuda:tf32"}
TRUTH = ("reference", "float64")


def device_seconds(run: Callable[[], object]) -> float:
    """Seconds between two events on the backend's stream, recorded before and after that."""
    from fastgrad.backends.cuda.driver import STREAM
    from fastgrad.backends.cuda.target import cuda

    begin, end = cuda.event(timing=True), cuda.event(timing=True)
    begin.record(STREAM)
    run()
    end.record(STREAM)
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1e3


class Passes:
    """Passes of a recurrent layer, forward and backward.

    Parameters
    ----------
    task : SequenceTask
    backend : str
    dtype : str
    """

    modes = ("passes",)

    def __init__(self, task: SequenceTask, backend: str, dtype: str = "float32") -> None:
        fg.use_backend(backend)
        row = task.row
        layer = getattr(fg, row.cell)(row.inputs, row.hidden, return_sequences=True)
        model = fg.Sequential(layer, rng=0, dtype=dtype)
        for name, value in named(task).items():
            model.params[f"0.{name}"] = value
        self._grads = {name: model.grads[f"0.{name}"] for name in task.params}
        tape = Tape(backends.active(), Workspace(), model.dtype)
        x, dy = tape.empty(task.x.shape), tape.empty(task.dy.shape)
        self._y, _, backward = model.record(tape, x, True)
        tape.good()
        backward(dy, False)
        self._status = np.zeros(1, np.int64)
        self._program = backends.active().program([tape.take()], self._status, tape.keep)
        x[...], dy[...] = task.x, task.dy
        self._dy, self._task = dy, task

    def _run(self, count: int) -> None:
        self._program.run([count], backends.num_threads())

    def check(self) -> Iterator[Found]:
        """Outputs and gradients after one pass, and after two more."""
        for count in (1, 2):
            self._run(count)
            if not np.array_equal(self._dy, self._task.dy):
                raise RuntimeError("a pass overwrites dy, which the next one needs")
            yield {"outputs": self._y.copy(), **{n: g.copy() for n, g in self._grads.items()}}

    def bits(self) -> bytes:
        """All gradients of one more pass."""
        self._run(1)
        return b"".join(grad.tobytes() for grad in self._grads.values())

    def seconds(self, count: int) -> float:
        """Device time of a pass, when so many follow each other."""
        return device_seconds(lambda: self._run(count)) / count

    def latency(self) -> float:
        """Wall-clock time of one pass that is asked for alone."""
        begin = time.perf_counter()
        self._run(1)
        return time.perf_counter() - begin


class Steps:
    """Training steps of a dense network, with Adam and cross entropy.

    Parameters
    ----------
    task : Task
    backend : str
    dtype : str
    mode : {"epoch", "steps alone"}
    """

    modes = ("epoch", "steps alone")

    def __init__(
        self, task: Task, backend: str, dtype: str = "float32", mode: str = "epoch"
    ) -> None:
        fg.use_backend(backend)
        self._backend, self._task = backend, task
        pairs = task.row.linear
        layers = [*(fg.Dense(*pair, "relu") for pair in pairs[:-1]), fg.Dense(*pairs[-1])]
        self._model = fg.Sequential(*layers, rng=0, dtype=dtype)
        self._reset()
        optimizer = fg.Adam(LEARNING_RATE)
        self._trainer = fg.Trainer(self._model, "cross_entropy", optimizer, rng=0)
        self._batch = minibatch(task)
        self._epoch: Callable[[], object] = self._usual
        if mode == "steps alone":
            self._epoch = self._alone()

    def _reset(self) -> None:
        for name, value in named(self._task).items():
            self._model.params[name] = value

    def _usual(self) -> None:
        self._trainer.epoch(self._task.x, self._task.y, self._task.row.batch)

    def _alone(self) -> Callable[[], object]:
        """The steps of an epoch whose data are in the backend's own memory, in one order."""
        given = []
        for array in (self._task.x, self._task.y):
            given.append(arena.aligned(array.shape, array.dtype))
            given[-1][...] = array
        trainer, stepper = self._trainer, self._trainer.stepper
        samples = trainer.samples(*given)
        feed = trainer.ordered(samples, self._task.row.batch, True)

        def run() -> None:
            with stepper.epoch():
                stepper.go_through(feed, 0, feed.steps)

        return run

    def _found(self, loss: float) -> Found:
        grads = {name: grad.copy() for name, grad in self._model.grads.items()}
        return {"loss": np.array([loss]), **grads}

    def check(self) -> Iterator[Found]:
        """Loss and gradients of the same minibatch, in a step and in an epoch of one."""
        x, y = self._batch
        yield self._found(self._trainer.step(x, y))
        self._reset()
        yield self._found(self._trainer.epoch(x, y, len(x), shuffle=False))
        self._reset()

    def bits(self) -> bytes:
        """All parameters after an epoch."""
        fg.use_backend(self._backend)
        self._epoch()
        return self._model.flat_params.tobytes()

    def seconds(self, count: int) -> float:
        """Device time of a step of an epoch, whatever the count."""
        fg.use_backend(self._backend)
        return device_seconds(self._epoch) / self._task.row.steps

    def latency(self) -> float:
        """Wall-clock time of one `Trainer.step`, which is given a minibatch of the host's."""
        fg.use_backend(self._backend)
        begin = time.perf_counter()
        self._trainer.step(*self._batch)
        return time.perf_counter() - begin


def truth(task: Task | SequenceTask) -> Found:
    """What the reference finds in float64."""
    side: Any = Passes if isinstance(task, SequenceTask) else Steps
    return next(side(task, *TRUTH).check())


def entrants(task: Task | SequenceTask, precision: str) -> list[tuple[str, Callable[[], Any]]]:
    """Modes with that precision, and what makes the side of each."""
    backend = BACKENDS[precision]
    if isinstance(task, SequenceTask):
        return [("passes", lambda: Passes(task, backend))]
    return [
        ("epoch", lambda: Steps(task, backend)),
        ("steps alone", lambda: Steps(task, backend, mode="steps alone")),
    ]
