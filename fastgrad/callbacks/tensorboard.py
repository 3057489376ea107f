"""The history of a run for TensorBoard, by way of tensorboardX."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastgrad.callbacks.rows import NewValues, flat
from fastgrad.norms import layer_norms

if TYPE_CHECKING:
    from fastgrad.run import Run

_FILES = itertools.count()


class TensorBoard:
    """A callback that writes the numbers in the history as scalars, with the epoch as their step.

    Parameters
    ----------
    folder : path
        Made if need be; each run adds a file to it.
    norms : bool
        Whether to write ``parameter_norm/0`` and ``gradient_norm/0`` as well, one of each for every
        layer: after the epoch, and of its last step.

    Raises
    ------
    ImportError
        If tensorboardX is not installed.
    """

    def __init__(self, folder: str | Path, norms: bool = False) -> None:
        try:
            import tensorboardX  # noqa: F401
        except ImportError:
            raise ImportError(
                'TensorBoard needs tensorboardX, from pip install "fastgrad[tensorboard]"'
            ) from None
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise NotADirectoryError(f"{folder} is a file, needs to be a folder")
        self.norms = bool(norms)
        self._new_values = NewValues()
        self._file: Any = None

    def __call__(self, run: Run) -> None:
        """Write the epoch just done."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        scalars = flat(self._new_values(run.history))
        scalars.pop("epoch", None)
        if self.norms:
            for kind, views in (("parameter", run.model.params), ("gradient", run.model.grads)):
                norms = layer_norms(views)
                scalars |= {f"{kind}_norm/{layer}": norm for layer, norm in norms.items()}
        values = [
            Summary.Value(tag=name, simple_value=value)
            for name, value in scalars.items()
            if isinstance(value, (int, float))
        ]
        if self._file is None:
            self._file = _event_file(self.folder)
        event = Event(wall_time=time.time(), step=run.epoch, summary=Summary(value=values))
        self._file.write_event(event)
        self._file.flush()

    def finish(self, run: Run) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _event_file(folder: Path) -> Any:
    # not SummaryWriter, whose thread writes some time later and would be lost in a fork
    from tensorboardX.event_file_writer import EventsWriter

    folder.mkdir(parents=True, exist_ok=True)
    # the name is otherwise no finer than seconds, and a later file replaces an earlier one
    return EventsWriter(str(folder / "events"), f".{os.getpid()}.{next(_FILES)}")
