"""Ctrl-C waits while the host and the device differ in what is newest."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Held:
    """Between `hold` and `release` an interrupt is kept back; `release` lets it happen.

    As a context it holds from start to end. In other threads than the main one there are none.
    """

    def __init__(self) -> None:
        self.pending: tuple[int, FrameType | None] | None = None
        self._before: Any = None

    def hold(self) -> None:
        """Keep interrupts back from here on."""
        if self._before is None and threading.current_thread() is threading.main_thread():
            before = signal.getsignal(signal.SIGINT)
            if callable(before):
                self._before = before
                signal.signal(signal.SIGINT, self._note)

    def release(self) -> None:
        """Let them happen again, those that were kept back first."""
        if self._before is not None:
            before, self._before = self._before, None
            signal.signal(signal.SIGINT, before)
            if self.pending is not None:
                kept, self.pending = self.pending, None
                before(*kept)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.pending = number, frame

    def __enter__(self) -> Held:
        self.hold()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
