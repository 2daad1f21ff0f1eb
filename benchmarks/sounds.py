"""The procedural sounds: milliseconds to make a clip, dry by family and recorded, on one core.

OMP_NUM_THREADS=1 python -m benchmarks.sounds
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from petl_ast.data.sounds.clips import LABELS, clip, label_of, time_axis
from petl_ast.data.sounds.registry import FAMILIES

from .common import keep, spread, table

SLOWEST = 8  # families that are named


def best(make: Callable[[], object], rounds: int) -> float:
    """Milliseconds of the quickest round: others on the machine only ever add."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        make()
        times.append(1e3 * (time.perf_counter() - start))
    return min(times)


def main() -> None:
    """Time every family's dry sound and a block of recorded clips; print tables and keep the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="Length of a clip.")
    parser.add_argument("--rounds", type=int, default=5, help="The best of so many rounds counts.")
    parser.add_argument("--draws", type=int, default=3, help="Draws of a family; their median counts.")
    options = parser.parse_args()

    t = time_axis(options.seconds, 16_000)
    dry = {}
    for name, family in FAMILIES.items():
        draws = [
            best(lambda seed=seed: family(np.random.default_rng(seed), t), options.rounds)  # noqa: B023
            for seed in range(options.draws)
        ]
        dry[name] = statistics.median(draws)
    recorded = {
        LABELS[label_of(0, index)]: best(lambda i=index: clip(0, i, seconds=options.seconds), options.rounds)
        for index in range(len(LABELS))
    }

    rows = []
    for what, times in (("dry sound", dry), ("recorded clip", recorded)):
        mean, middle = statistics.mean(times.values()), spread(list(times.values()))
        rows.append([what, *(f"{x:.2f}" for x in (mean, middle["median"], middle["min"], middle["max"]))])
    table([f"ms for {options.seconds:g} s", "mean", "median", "quickest family", "slowest family"], rows)
    print()
    slowest = sorted(dry, key=lambda name: -dry[name])[:SLOWEST]
    table(["slowest families", "dry, ms"], [[name, f"{dry[name]:.2f}"] for name in slowest])
    keep("sounds", {"seconds": options.seconds, "dry_ms": dry, "recorded_ms": recorded})


if __name__ == "__main__":
    main()
