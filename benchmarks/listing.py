"""A folder with very many files: finding its clips and folds, and their spectrograms, by their number.

python -m benchmarks.listing

Files of 0.2 s at 16 kHz in ten sub-folders, no two alike; each number in a process of its own, imports not
counted. Needs 2 GB of disk for 100,000 files, for as long as it runs.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.common import in_new_process, keep, table

RATE, SAMPLES, CLASSES = 16_000, 3_200, 10


def write(folder: Path, files: int) -> None:
    """Noise, a sub-folder a class."""
    rng = np.random.default_rng(0)
    for label in range(CLASSES):
        (folder / f"class_{label}").mkdir(parents=True)
    for number in range(files):
        path = folder / f"class_{number % CLASSES}" / f"{number}.wav"
        soundfile.write(path, rng.integers(-3000, 3000, SAMPLES, dtype=np.int16), RATE)


def measure(root: str, cache: str) -> dict[str, float]:
    """In this process: seconds until clips, lengths and folds are known, until spectrograms are there, and
    until another start has both again; and the most memory.
    """
    from petl_ast.config import DataConfig, RunConfig
    from petl_ast.data.formats import open_dataset

    config = RunConfig(data=DataConfig(root=root, format="folder", fit_length=True, cache=cache))
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        dataset, _ = open_dataset(config)
        seconds.append(time.perf_counter() - start)
        start = time.perf_counter()
        dataset.load_spectrograms()
        seconds.append(time.perf_counter() - start)
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    names = ("list", "compute", "list_again", "open")
    return {"clips": len(dataset), **dict(zip(names, seconds, strict=True)), "megabytes": megabytes}


def main() -> None:
    """Measure every number, print the table, keep the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--measure", nargs=2, metavar=("ROOT", "CACHE"), help="One process.")
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(*options.measure)))
        return
    results, rows = [], []
    for files in options.files:
        with tempfile.TemporaryDirectory() as name:
            root = Path(name) / "sounds"
            write(root, files)
            found = in_new_process("benchmarks.listing", "--measure", str(root), str(Path(name) / "cache"))
        results.append(found)
        rows.append(
            [
                f"{files:,}",
                *(f"{found[what]:.2f}" for what in ("list", "compute")),
                *(f"{1000 * found[what] / files:.2f}" for what in ("list", "compute")),
                *(f"{found[what]:.2f}" for what in ("list_again", "open")),
                f"{found['megabytes']:.0f}",
            ]
        )
    headings = ["found, s", "spectrograms, s", "found, ms a file", "spectrograms, ms a file"]
    table(["files", *headings, "found again, s", "opened again, s", "peak, MB"], rows)
    keep("listing", results)


if __name__ == "__main__":
    main()
