"""What people see while they wait: progress on standard error, results on standard output."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

T = TypeVar("T")
WIDTH_OF_FILES = 120  # columns of a table that goes to a file or a pipe


def output(width: int = WIDTH_OF_FILES) -> Console:
    """Console for results, of `width` columns where there is no terminal; brackets in names are no markup."""
    return Console(width=None if sys.stdout.isatty() else width, markup=False)


def messages() -> Console:
    """Console for progress and warnings: standard error, so that results can be piped."""
    return Console(
        stderr=True, width=None if sys.stderr.isatty() else WIDTH_OF_FILES, highlight=False, markup=False
    )


@contextmanager
def progress(console: Console) -> Iterator[Progress]:
    """Progress bars that stay when done; shown on a terminal only."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    # Without a terminal behind it, what is printed must not be led through the bars' console.
    redirect = sys.stdout.isatty()
    hidden = not console.is_terminal
    with Progress(*columns, console=console, disable=hidden, redirect_stdout=redirect) as bars:
        yield bars


class Listening:
    """A bar of recordings, with the minutes of sound that were heard."""

    def __init__(self, bars: Progress, recordings: int) -> None:
        self._bars, self._task = bars, bars.add_task("recordings", total=recordings, note="")
        self._seconds = 0.0

    def counted(self, recordings: Iterable[T]) -> Iterator[T]:
        """The same, one after the other; each is done when the next one is asked for."""
        for recording in recordings:
            yield recording
            self._bars.advance(self._task)

    def heard(self, seconds: float) -> None:
        """Add so many seconds of sound."""
        self._seconds += seconds
        self._bars.update(self._task, note=f"{self._seconds / 60:.1f} min of sound")
