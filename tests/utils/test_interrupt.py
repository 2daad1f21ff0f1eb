"""Signals: noted once, obeyed at once the second time, and given back."""

from __future__ import annotations

import os
import signal
import sys
import threading

import pytest

from petl_ast.utils.interrupt import StopRequest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


@pytest.fixture(autouse=True)
def plain_handlers() -> object:
    """Whatever the runner set, as a terminal would have it."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_noted_and_a_second_one_obeyed(number: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), StopRequest() as stop:
        assert stop.signal is None
        os.kill(os.getpid(), number)
        assert stop.signal == number
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before


def test_an_ignored_signal_stays_ignored() -> None:
    """As after nohup, which has closed terminals ignored."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.signal is None


def test_other_threads_are_left_alone() -> None:
    """Python allows handlers in the main thread only; a run in another one must not fail for that."""
    problems: list[BaseException] = []

    def enter() -> None:
        try:
            with StopRequest() as stop:
                assert stop.signal is None
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert problems == []
