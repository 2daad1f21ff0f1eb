"""Several adapters that hear the same clips: in one run of `petl-ast predict`, and in a run each.

python -m benchmarks.together --adapters A B C --clips data/ESC-50/audio/1-*

Each run is a process of its own, its start and the loading of the backbone counted: the first adapter alone,
all of them in one run, and one run after the other for each; in turn. Counted by the clock and in processor
time (of all threads), which other programs on the machine lengthen less.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Sequence

from benchmarks.common import keep, spread, table


def run(adapters: Sequence[str], clips: Sequence[str]) -> tuple[float, float]:
    """Seconds by the clock and of processor time that one command takes."""
    words = [f"--adapter={adapter}" for adapter in adapters]
    command = [sys.executable, "-m", "petl_ast", "predict", *words, "--device=cpu", "--json", *clips]
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure, print the table, keep the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--adapters", nargs="+", required=True, help="Folders, of one backbone.")
    parser.add_argument("--clips", nargs="+", required=True, help="Audio files.")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    one, together, apart = "one adapter", "all in one run", "a run for each"
    taken: dict[str, list[tuple[float, float]]] = {one: [], together: [], apart: []}
    for _ in range(options.rounds):
        runs = [run([adapter], options.clips) for adapter in options.adapters]
        taken[one].append(runs[0])
        taken[apart].append((sum(clock for clock, _ in runs), sum(worked for _, worked in runs)))
        taken[together].append(run(options.adapters, options.clips))
    results = {name: [spread(clock) for clock in zip(*pairs, strict=True)] for name, pairs in taken.items()}
    rows = [
        [name, *(f"{f['median']:.1f} ({f['min']:.1f} to {f['max']:.1f})" for f in figures)]
        for name, figures in results.items()
    ]
    table(
        [
            f"{len(options.adapters)} adapters, {len(options.clips)} clips",
            "s by the clock",
            "s of processor time",
        ],
        rows,
    )
    for name in (one, apart):
        ratio = results[together][1]["median"] / results[name][1]["median"]
        print(f"\n{together}: {ratio:.2f} of the processor time of {name}")
    keep("together", {"adapters": len(options.adapters), "clips": len(options.clips), "seconds": results})


if __name__ == "__main__":
    main()
