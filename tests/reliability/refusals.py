"""A small run whose writes the operating system refuses, one after the other, against one left in peace."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from reliability.faults import REFUSED
from reliability.processes import PATIENCE, corrupt_files, finish, start, what_a_run_left, what_differs

ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)


@dataclass
class Refusals:
    """What came of it.

    Attributes:
        refused: Writes that failed, each in a run of its own.
        told: How many of these runs ended with one message and exit code 2; the others could do without.
        different: Files that were not the same after the run had gone on, by write.
        corrupt: Files that could not be read after a refusal.
        unclear: What runs said that ended in another way than with one clear message.
    """

    refused: int = 0
    told: int = 0
    different: list[str] = field(default_factory=list)
    corrupt: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)


def refuse_one_after_the_other(folder: Path, options: list[str], which: Iterable[int]) -> Refusals:
    """Run with the write of each number refused, then again without, until a run has no write of that number.

    Args:
        folder: For the runs.
        options: Of `petl-ast train`, but for output and cache.
        which: Numbers of writes, counted from 1, upwards.
    """
    found, log = Refusals(), folder / "log"

    def arguments(name: str) -> list[str]:
        return ["train", *options, f"--output={folder / name}", f"--data.cache={folder / name}_cache"]

    finish(arguments("undisturbed"), log)
    expected = what_a_run_left(folder / "undisturbed")
    for number in which:
        output = folder / f"refused_{number}"
        process = start(arguments(output.name), log, fault=(number, ERRORS[number % len(ERRORS)]))
        process.join(PATIENCE)
        said = log.read_text()
        if REFUSED not in said:
            return found
        found.refused += 1
        found.corrupt += corrupt_files(output)
        if process.exitcode == 2 and said.count("error: Cannot ") == 1 and "Traceback" not in said:
            found.told += 1
        elif process.exitcode != 0:
            found.unclear.append(f"write {number}, exit code {process.exitcode}: {said[-2000:]}")
        finish(arguments(output.name), log)
        found.different += what_differs(expected, output)
        shutil.rmtree(output)
        shutil.rmtree(f"{output}_cache")
    return found
