"""`Stepper`: recorded steps, replayed stretch by stretch, and what happens in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from fastgrad import backends
from fastgrad.arena import Array
from fastgrad.feeding import Batch, Feed
from fastgrad.health.health import Health
from fastgrad.locate import explained, find_not_finite
from fastgrad.model import Sequential
from fastgrad.policies import Guard, Policy
from fastgrad.recording import Recorder
from fastgrad.snapshot import rows_before
from fastgrad.updates import AHEAD, Update

STATE = "state."  # what the names of those of stateful layers start with


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
        self.health: Health | None = None
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
        lasting = self.model._memory.lasting()
        return found | {f"{STATE}{name}": array for name, array in lasting.items()}

    def numbers(self) -> dict[str, Any]:
        """What hangs on the steps done besides `arrays`, ready for JSON."""
        recorder = self.recorder
        return {
            "seed": recorder.seed,
            "batches": int(recorder.batches[0]),
            "total": recorder.total.tolist(),
            "waiting": self._waiting,
            "total_before": recorder.total_before.tolist(),
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
        recorder.total_before[...] = numbers["total_before"]
        self.update.scale = numbers["scale"]
        for plateau, state in zip(self.update.plateaus(), numbers["plateaus"], strict=True):
            plateau.set_state(state)
        self.guard.set_numbers(numbers["guard"], kept)
        self.model._seed, self.model._count[0] = numbers["model"]
        self.done = done

    def single(self, batch: Batch, rows: Array | None = None) -> None:
        """One minibatch by itself: a step, where enough of them have come.

        `rows` are those of X, where it is known.
        """
        recorder = self.recorder
        self._remember(batch)
        if recorder.accumulate == 1:
            self._prepare(1)
            recorder.single(batch).run([1], backends.num_threads())
            if recorder.status[0]:
                self._bad(batch, rows)
            else:
                self._passed(1, float(recorder.loss[0]))
            return
        if not self._waiting:
            self.guard.before(self.arrays)
            recorder.before[...] = self.model.flat_buffers
            recorder.total_before[...] = recorder.total
            recorder.sum[...] = 0
        good = False
        try:
            recorder.single(batch).run([1], backends.num_threads())
            good = not recorder.status[0]
        finally:
            if not good:
                self._waiting = 0
                self._undo_part()
        if not good:
            self._bad(batch, rows)
            return
        share = len(batch.x) / float(recorder.total[1] - recorder.total_before[1])
        recorder.sum *= 1 - share
        recorder.sum += share * self.model.flat_grads
        self._waiting += 1
        if self._waiting == recorder.accumulate:
            self.finish()

    def _remember(self, batch: Batch) -> None:
        """Have the model tell the states and the gradients through time of this minibatch."""
        self.model._flow = batch.tape.through_time
        self.model._memory.sequences = len(batch.x)

    def finish(self) -> None:
        """Make a step of the minibatches that wait for others, if there are some."""
        if not self._waiting:
            return
        recorder = self.recorder
        self._waiting = 0
        self.model.flat_grads[...] = recorder.sum
        self._prepare(1)
        recorder.ending().run([1], backends.num_threads())
        loss, rows = recorder.total - recorder.total_before
        self._passed(1, float(loss / rows))

    def _passed(self, steps: int, loss: float) -> None:
        """Good steps have been made, of this mean loss."""
        self.guard.passed(steps, loss, self.arrays)
        if self.health is not None:
            self.health.passed()

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
        self.finish()
        self.recorder.total[...] = 0
        self.update.begin_epoch()

    def go_through(self, feed: Feed, first: int, steps: int) -> None:
        """Steps of a feed that are not done yet; its first one is step `first` of the epoch's."""
        recorder = self.recorder
        end = first + feed.steps
        while self.done < end:
            here = self.done - first
            count = self.guard.stretch(min(end - self.done, AHEAD))
            if self.health is not None:
                count = min(count, self.health.room)
            for every, _ in self.pauses:
                count = min(count, every - self.done % every)
            self._prepare(count)
            before, total = int(recorder.step[0]), recorder.total.copy()
            recorder.cursor[0] = feed.row(here)
            try:
                feed.program.run(feed.times(here, count), backends.num_threads())
            finally:
                good = int(recorder.step[0]) - before
                row = int(recorder.cursor[0])
                if row != feed.row(here + good):
                    self._undo_part()
            self.done += good
            if good:
                self._remember(feed.last(here + good - 1))
                loss, rows = recorder.total - total
                self._passed(good, float(loss / rows) if rows else 0.0)
            if recorder.status[0]:
                batch = feed.batch(here + good, row)
                self._remember(batch)
                recent = rows_before(feed, here + good, int(recorder.step[0]), self.guard.good)
                rows = feed.order[row : row + len(batch.x)]
                self._bad(batch, *((rows, recent) if feed.whole else ()))
                self.done += 1
            for every, function in self.pauses:
                if self.done % every == 0 and self.done < steps:
                    function()

    def _prepare(self, count: int) -> None:
        self.update.prepare(int(self.recorder.step[0]), count, self.total_steps)
        self.guard.before(self.arrays)

    def _undo_part(self) -> None:
        """Put back what the first minibatches of a step have left behind."""
        self.model.flat_buffers[...] = self.recorder.before
        self.recorder.total[...] = self.recorder.total_before

    def _bad(
        self, batch: Batch, rows: Array | None = None, recent: Sequence[tuple[int, Array]] = ()
    ) -> None:
        """A loss or gradient was not finite; `rows` and `recent` are those of `Snapshot`."""
        recorder = self.recorder
        steps = int(recorder.step[0])
        error = find_not_finite(self.model, batch, recorder.loss[0], steps)
        recorder.failed(batch, rows, recent)
        if self.health is not None:
            self.health.look()  # at steps that may be undone
        factor = self.guard.met(self.arrays)
        if factor is None:
            if self.guard.in_a_row > 1:
                error.args = (
                    f"{error} ({self.guard.policy!r} gives up: {self.guard.in_a_row} in a row)",
                )
            error = explained(error, recorder.failure)
        if self.health is not None:
            self.health.failed(error)
        if factor is None:
            raise error
        self.update.scale *= factor
