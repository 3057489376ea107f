"""`Stepper`: recorded steps, replayed stretch by stretch, and what happens in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fastgrad import backends
from fastgrad.arena import Array
from fastgrad.feeding import Batch, Feed
from fastgrad.locate import find_not_finite
from fastgrad.model import Sequential
from fastgrad.policies import Guard, Policy
from fastgrad.recording import Recorder
from fastgrad.updates import AHEAD, Update


class Stepper:
    """Runs the programs of a trainer, and knows everything that its next step hangs on.

    Parameters
    ----------
    model : Sequential
    update : Update
    recorder : Recorder
    policy : Policy
    total_steps : int or None
        Of the whole training.

    Attributes
    ----------
    guard : Guard
    done : int
        Steps of the present epoch, those left out included; 0 between epochs.
    total_steps : int or None
    """

    def __init__(
        self,
        model: Sequential,
        update: Update,
        recorder: Recorder,
        policy: Policy,
        total_steps: int | None,
    ) -> None:
        self.model = model
        self.update = update
        self.recorder = recorder
        self.guard = Guard(policy)
        self.total_steps = total_steps
        self.done = 0
        self.pauses: list[tuple[int, Callable[[], object]]] = []
        self._waiting = 0  # minibatches given to `single` since the last update

    def arrays(self) -> dict[str, Array]:
        """Everything that good steps change, as live arrays by name."""
        update, recorder = self.update, self.recorder
        found = {
            "params": self.model.flat_params,
            "buffers": self.model.flat_buffers,
            "step": recorder.step,
        }
        if update.mean is not None:
            found["average"] = update.mean
        if recorder.accumulate > 1:
            found["sum"] = recorder.sum
        found |= {f"optimizer.{name}": array for name, array in update.state.items()}
        for i, state in enumerate(update.clip_state):
            found |= {f"clip.{i}.{name}": array for name, array in state.items()}
        return found

    def numbers(self) -> dict[str, Any]:
        """What hangs on the steps done besides `arrays`, ready for JSON."""
        recorder = self.recorder
        return {
            "seed": recorder.seed,
            "batches": int(recorder.batches[0]),
            "total": recorder.total.tolist(),
            "waiting": self._waiting,
            "scale": self.update.scale,
            "plateaus": [plateau.state() for plateau in self.update.plateaus()],
            "guard": self.guard.numbers(),
            "model": [self.model._seed, int(self.model._count[0])],
        }

    def set_numbers(self, numbers: Mapping[str, Any], kept: dict[str, Array], done: int) -> None:
        """Go on from there, with what the guard has kept and the steps of the epoch done."""
        recorder = self.recorder
        recorder.seed = numbers["seed"]
        recorder.batches[0] = numbers["batches"]
        recorder.total[...] = numbers["total"]
        self._waiting = numbers["waiting"]
        self.update.scale = numbers["scale"]
        for plateau, state in zip(self.update.plateaus(), numbers["plateaus"], strict=True):
            plateau.set_state(state)
        self.guard.set_numbers(numbers["guard"], kept)
        self.model._seed, self.model._count[0] = numbers["model"]
        self.done = done

    def single(self, batch: Batch) -> None:
        """One minibatch by itself: an update, where enough of them have come."""
        recorder = self.recorder
        last = self._waiting == recorder.accumulate - 1
        program = recorder.single(batch, self._waiting)
        self._prepare(1)
        program.run([1], backends.num_threads())
        if recorder.status[0]:
            self._waiting = 0
            self._bad(batch)
        else:
            self._waiting = 0 if last else self._waiting + 1
            if last:
                self.guard.passed(1, float(recorder.loss[0]), self.arrays())

    @contextmanager
    def epoch(self) -> Iterator[None]:
        """From its start, or from the steps that are done, to its end, good or bad."""
        if not self.done:
            self.begin_epoch()
        try:
            yield
        finally:
            self.done = 0

    def begin_epoch(self) -> None:
        """Have the sums of an epoch start here."""
        self.recorder.total[...] = 0
        self.update.begin_epoch()

    def go_through(self, feed: Feed, first: int, steps: int) -> None:
        """Steps of a feed that are not done yet; its first one is step `first` of the epoch's."""
        recorder = self.recorder
        end = first + feed.steps
        while self.done < end:
            here = self.done - first
            count = self.guard.stretch(min(end - self.done, AHEAD))
            for every, _ in self.pauses:
                count = min(count, every - self.done % every)
            self._prepare(count)
            before, total = int(recorder.step[0]), recorder.total.copy()
            recorder.cursor[0] = feed.row(here)
            feed.program.run(feed.times(here, count), backends.num_threads())
            good = int(recorder.step[0]) - before
            self.done += good
            if good:
                loss, rows = recorder.total - total
                self.guard.passed(good, float(loss / rows), self.arrays())
            if recorder.status[0]:
                self._bad(feed.batch(self.done - first, int(recorder.cursor[0])))
                self.done += 1
            for every, function in self.pauses:
                if self.done % every == 0 and self.done < steps:
                    function()

    def _prepare(self, count: int) -> None:
        self.update.prepare(int(self.recorder.step[0]), count, self.total_steps)
        self.guard.before(self.arrays())

    def _bad(self, batch: Batch) -> None:
        """A loss or gradient was not finite."""
        recorder = self.recorder
        if recorder.before.size:
            self.model.flat_buffers[...] = recorder.before
        steps = int(recorder.step[0])
        error = find_not_finite(self.model, batch.outputs, recorder.loss[0], steps)
        factor = self.guard.met(self.arrays())
        if factor is None:
            raise error
        self.update.scale *= factor
