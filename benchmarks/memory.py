"""Peak memory of a training process, full-size model: the paper's way, ours, ours with gradient
checkpointing.

python -m benchmarks.memory
"""

from __future__ import annotations

import argparse
import os

from benchmarks.common import in_new_process, keep, table

CONTENDERS = ("reference", "ours", "ours_checkpointed")
REFERENCE_GB_PER_CLIP = 0.65  # roughly; a contender that could not fit is not started


def main() -> None:
    """One step of each batch size in a new process; print the table, keep the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    options = parser.parse_args()

    room = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    figures: dict[str, dict[int, dict[str, float]]] = {name: {} for name in CONTENDERS}
    for batch in options.batches:
        for name in CONTENDERS:
            if name == "reference" and batch * REFERENCE_GB_PER_CLIP > 0.8 * room:
                continue
            measured = in_new_process("benchmarks.step", name, "--batch", str(batch), "--steps", "1")
            figures[name][batch] = {"peak_gb": measured["peak_gb"], "seconds": measured["training"][0]}
    cells = [
        [
            name,
            *(
                f"{f[b]['peak_gb']:.2f} GB, {f[b]['seconds']:.2f} s" if b in f else ""
                for b in options.batches
            ),
        ]
        for name, f in figures.items()
    ]
    table(["peak memory, seconds a clip", *(f"batch {b}" for b in options.batches)], cells)
    keep("memory", figures)


if __name__ == "__main__":
    main()
