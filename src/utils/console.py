"""What people see while they wait: progress on standard error, results on standard output."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

WIDTH_OF_FILES = 120  # columns of a table that goes to a file or a pipe


def output() -> Console:
    """Console for results; brackets in names are no markup."""
    return Console(width=None if sys.stdout.isatty() else WIDTH_OF_FILES, markup=False)


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
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        yield bars
