"""Runs thousands of spoilt inputs through the readers, in worker processes, and judges what comes of each.

    python -m tests.fuzz.driver --inputs 10000 --seed 1

A clean error or a right answer is what a user may see. A traceback, more than 5 seconds, or more than 1 GB of
memory is a failure: it is printed with what makes it again, and its input is kept.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import multiprocessing.connection
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fuzz.readers import NAMES, Reader, reader

SECONDS, BYTES = 5.0, 2**30
SPARE = 3 * BYTES  # address space on top of what a worker has at its start
SILENCE = 60.0  # a worker that says nothing for so long hangs where no alarm reaches it
CHUNK = 25
OUTPUT = Path("outputs/soak")

CLEAN, RIGHT, FAILED = "clean error", "right answer", "failure"


@dataclass
class Result:
    """Outcomes by reader, and the failures as text."""

    counts: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in NAMES})
    failures: list[str] = field(default_factory=list)

    def table(self) -> str:
        """One row a reader, as Markdown."""
        lines = ["| reader | inputs | clean errors | right answers | failures |", "|---|---|---|---|---|"]
        rows = [*self.counts.items(), ("all", sum(self.counts.values(), Counter()))]
        for name, count in rows:
            cells = (count.total(), count[CLEAN], count[RIGHT], count[FAILED])
            lines.append(f"| {name} | {' | '.join(f'{cell:,}' for cell in cells)} |")
        return "\n".join(lines)


class TooLong(BaseException):
    """Raised by the alarm; no `except Exception` stops it."""


def _alarm(*_: object) -> None:
    raise TooLong


def _memory(what: str) -> int:
    """VmRSS, VmHWM (the highest RSS) or VmSize of this process, in bytes."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(what))


def judge(files: Reader, name: str, seed: int, index: int, kept: Path) -> tuple[str, str]:
    """Make one input and read it.

    Returns:
        The outcome, and for a failure what happened.
    """
    rng = random.Random(f"{name} {seed} {index}")
    with tempfile.TemporaryDirectory() as folder:
        case = Path(folder) / "case"
        case.mkdir()
        try:
            files.make(rng, case)
        except Exception:
            return FAILED, f"{name}, seed {seed}, input {index}, not made: {traceback.format_exc()}"
        given = Path(folder) / "given"  # a reader may mend what it reads
        shutil.copytree(case, given, symlinks=True)
        for attempt in (1, 2):  # a busy machine may take long once
            outcome, detail = _watch(files, rng, case)
            if detail != "time" or attempt == 2:
                break
        if outcome == FAILED:
            place = kept / f"{name}-{seed}-{index}"
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(given, place, symlinks=True)
            detail = f"{name}, seed {seed}, input {index}, kept in {place}: {detail}"
        return outcome, detail


def _watch(files: Reader, rng: random.Random, case: Path) -> tuple[str, str]:
    from petl_ast.errors import UserError

    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")  # the highest RSS counts from here
    before, handler = _memory("VmRSS"), signal.signal(signal.SIGALRM, _alarm)
    try:
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        files.judge(rng, case)
        outcome, detail = RIGHT, ""
    except UserError as error:
        signal.setitimer(signal.ITIMER_REAL, 0)
        outcome, detail = CLEAN, str(error)
        if "allocate" in detail or "MemoryError" in detail:
            outcome = FAILED  # it asked for more than there was
    except TooLong:
        outcome, detail = FAILED, "time"
    except BaseException:
        signal.setitimer(signal.ITIMER_REAL, 0)
        outcome, detail = FAILED, traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    if outcome != FAILED and (grown := _memory("VmHWM") - before) > BYTES:
        outcome, detail = FAILED, f"memory: {grown:,} bytes"
    return outcome, detail


def _work(pipe: Any, kept: Path) -> None:
    """A worker: takes (reader, seed, first, last), tells one outcome an input, then that it is done."""
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libmpg123 and others write there by themselves
    import torch

    torch.set_num_threads(1)
    readers: dict[str, Reader] = {}
    kept = kept.resolve()
    with tempfile.TemporaryDirectory() as workshop:
        os.chdir(workshop)  # names that stand in files are the same in every run
        while (task := pipe.recv()) is not None:
            name, seed, first, last = task
            if name not in readers:
                Path(name).mkdir()
                readers[name] = reader(name, Path(name))
                limit = _memory("VmSize") + SPARE
                resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
            for index in range(first, last):
                pipe.send((index, *judge(readers[name], name, seed, index, kept)))
            pipe.send(None)


class _Worker:
    """A worker process and what it is at."""

    def __init__(self, kept: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_work, args=(other, kept), daemon=True)
        self.process.start()
        other.close()
        self.task: tuple[str, int, int, int] | None = None
        self.next, self.heard = 0, time.monotonic()

    def give(self, task: tuple[str, int, int, int]) -> None:
        self.task, self.next, self.heard = task, task[2], time.monotonic()
        self.pipe.send(task)


def run(inputs: dict[str, int], seed: int, workers: int, kept: Path, seconds: float = float("inf")) -> Result:
    """Run so many inputs of each reader.

    Args:
        inputs: By reader.
        seed: Of all of them.
        workers: Processes.
        kept: Where inputs that fail are kept.
        seconds: No input is begun later than this.
    """
    result, end = Result(), time.monotonic() + seconds
    tasks = [
        (name, seed, first, min(first + CHUNK, inputs[name]))
        for first in range(0, max(inputs.values()), CHUNK)
        for name in inputs
        if first < inputs[name]
    ][::-1]
    crew = [_Worker(kept) for _ in range(workers)]
    while tasks or any(worker.task for worker in crew):
        if time.monotonic() > end:
            tasks.clear()
        for number, worker in enumerate(crew):
            if worker.task is None and tasks:
                worker.give(tasks.pop())
            if worker.task is None:
                continue
            try:
                while worker.task and worker.pipe.poll():
                    worker.heard = time.monotonic()
                    if (message := worker.pipe.recv()) is None:
                        worker.task = None
                    else:
                        index, outcome, detail = message
                        worker.next = index + 1
                        _count(result, worker.task[0], outcome, detail)
                lost = worker.task and time.monotonic() - worker.heard > SILENCE and "hangs"
            except (EOFError, OSError):
                lost = "killed its process"
            if lost and worker.task:
                name, _, _, last = worker.task
                _count(result, name, FAILED, f"{name}, seed {seed}, input {worker.next}: {lost}")
                worker.process.kill()
                if worker.next + 1 < last:
                    tasks.append((name, seed, worker.next + 1, last))
                crew[number] = _Worker(kept)
        multiprocessing.connection.wait([w.pipe for w in crew if w.task], timeout=0.5)
    for worker in crew:
        worker.pipe.send(None)
        worker.process.join(5)
    return result


def _count(result: Result, name: str, outcome: str, detail: str) -> None:
    result.counts[name][outcome] += 1
    if outcome == FAILED:
        result.failures.append(detail)
        print(f"FAILURE {detail}", file=sys.stderr, flush=True)


def main() -> int:
    """Run, print the table, write it; 1 if anything failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=10_000, help="In all, shared evenly by the readers.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--readers", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    each = -(-options.inputs // len(options.readers))
    start = time.monotonic()
    result = run(dict.fromkeys(options.readers, each), options.seed, options.workers, OUTPUT / "failures")
    took = time.monotonic() - start
    print(result.table())
    print(f"{took:.0f} seconds, seed {options.seed}")
    OUTPUT.mkdir(parents=True, exist_ok=True)
    report = {
        "seed": options.seed,
        "seconds": round(took),
        "readers": {name: {"inputs": c.total(), **c} for name, c in result.counts.items()},
        "failures": result.failures,
    }
    (OUTPUT / "fuzz.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 1 if result.failures else 0


if __name__ == "__main__":
    sys.exit(main())
