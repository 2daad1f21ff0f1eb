"""Ctrl-C, SIGTERM and a closed terminal, answered at the end of the step in progress."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Stopped(KeyboardInterrupt):
    """Training was asked to stop and did, with its state kept; the message says how to go on.

    Attributes:
        signal: The signal's number.
    """

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.signal = number


class StopRequest:
    """Notes such a signal while it is entered; a second one stops at once.

    Signals that the process ignores (as after nohup) stay ignored. Outside the main thread, where Python
    allows no handlers, it does nothing.

    Attributes:
        signal: The number of the signal that came, or None.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if (before := signal.getsignal(number)) is not signal.SIG_IGN:
                    self._before[number] = before
                    signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise Stopped(number, "What was saved is kept.")
        self.signal = number
        if number == getattr(signal, "SIGHUP", None):  # nobody is there, and writing to nobody would fail
            for stream in (1, 2):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
