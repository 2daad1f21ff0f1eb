"""A small cross-validation, killed again and again at random moments, against the same one left in peace."""

from __future__ import annotations

import random
import shutil
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from reliability.processes import PATIENCE, corrupt_files, finish, start, what_a_run_left, what_differs


@dataclass
class Kills:
    """What came of it.

    Attributes:
        kills: Processes that were killed while they ran.
        runs: Cross-validations that came to their end, each compared with the one left in peace.
        different: Files that were not the same, by run.
        corrupt: Files that could not be read after a kill.
        failures: What processes said that ended by themselves, and not well.
        gone_on: Processes that said that they went on where another one was killed.
    """

    kills: int = 0
    runs: int = 0
    different: list[str] = field(default_factory=list)
    corrupt: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    gone_on: int = 0


def kill_again_and_again(folder: Path, options: list[str], kills: int, seed: int, longest: float) -> Kills:
    """Kill runs with SIGKILL at random moments until so many processes have died, and finish the last one.

    Args:
        folder: For the runs; each has an output and a cache of its own in it.
        options: Of `petl-ast train`, but for output and cache.
        kills: How many at the least.
        seed: Of the moments.
        longest: How long a process lives at the most, in times of the run left in peace, so that a slow
            machine gets as far before it is killed as a quick one; kills are spread evenly over it.
    """
    rng, found, log = random.Random(seed), Kills(), folder / "log"

    def arguments(name: str) -> list[str]:
        return ["train", *options, f"--output={folder / name}", f"--data.cache={folder / name}_cache"]

    begun = time.monotonic()
    finish(arguments("undisturbed"), log)
    longest *= time.monotonic() - begun
    expected = what_a_run_left(folder / "undisturbed")
    while found.kills < kills:
        output = folder / f"run_{found.runs}"
        code = None
        while code is None:
            process = start(arguments(output.name), log)
            process.join(rng.uniform(0, longest) if found.kills < kills else PATIENCE)
            if process.exitcode is None:
                process.kill()
                process.join()
            code = process.exitcode
            if code == -signal.SIGKILL:
                found.kills, code = found.kills + 1, None
            said = log.read_text() if log.exists() else ""
            found.gone_on += "goes on behind batch" in said or "Finished already" in said
            log.unlink(missing_ok=True)
            found.corrupt += corrupt_files(output)
        if code != 0:
            found.failures.append(f"exit code {code}: {said[-2000:]}")
            break
        found.runs += 1
        found.different += what_differs(expected, output)
        shutil.rmtree(output)
        shutil.rmtree(f"{output}_cache")
    return found
