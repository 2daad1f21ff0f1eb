"""The spectrogram cache: computing it by all cores and by one, opening it again, and how that grows with the
number of clips.

python -m benchmarks.data
python -m benchmarks.data --data data/ESC-50         a real data set besides

Synthetic clips of one second at 22,050 Hz, cut to 100 frames; imports are not counted. Needs 1.2 GB of disk
for 10,000 clips, for as long as it runs.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import in_new_process, keep, table

SECONDS, FRAMES = 1.0, 100
BYTES_PER_CLIP = 120_000  # sound file and spectrogram
ONE_CORE_UP_TO = 2000  # clips; more would only take longer


def measure(root: str, cache: str, frames: int, cores: int) -> dict[str, float]:
    """In this process: seconds until the spectrograms are open, and until each was read once."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    from petl_ast import ESC50Dataset
    from petl_ast.config import SpectrogramConfig
    from petl_ast.data.audio import read_waveform
    from petl_ast.data.spectrogram import log_mel

    dataset = ESC50Dataset(root, spectrogram=SpectrogramConfig(max_length=frames), cache=cache)
    # One clip first, for what is imported or set up with the first.
    log_mel([read_waveform(dataset.clips[0].path, dataset.spectrogram.sampling_rate)], dataset.spectrogram)
    start = time.perf_counter()
    spectrograms = dataset.load_spectrograms()
    opened = time.perf_counter() - start
    spectrograms.sum()
    return {"clips": len(dataset), "open": opened, "read": time.perf_counter() - start}


def subset(whole: Path, clips: int, root: Path) -> Path:
    """A data set of the first clips of `whole`, whose sound files it shares; both on one disk."""
    with (whole / "meta" / "esc50.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    (root / "meta").mkdir(parents=True)
    (root / "audio").mkdir()
    for row in rows[:clips]:
        os.link(whole / "audio" / row[0], root / "audio" / row[0])
    with (root / "meta" / "esc50.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows[:clips]])
    return root


def compare(root: Path, frames: int, folder: Path) -> dict[str, Any]:
    """Cold by all cores, warm, and cold by one core; each in a process of its own."""
    cache = folder / "cache"
    words = ["--measure", str(root), str(cache), str(frames)]
    cold = in_new_process("benchmarks.data", *words, "0")
    warm = in_new_process("benchmarks.data", *words, "0")
    size = sum(path.stat().st_size for path in cache.rglob("*.npy"))
    shutil.rmtree(cache)
    one = None
    if cold["clips"] <= ONE_CORE_UP_TO:
        one = in_new_process("benchmarks.data", *words, "1")["open"]
        shutil.rmtree(cache)
    seconds = {"cold": cold["open"], "cold_one_core": one, "warm": warm["open"], "warm_read": warm["read"]}
    return {"clips": cold["clips"], "frames": frames, "megabytes": size / 1e6, "seconds": seconds}


def main() -> None:
    """Measure every size, print the table, keep the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, nargs="+", default=[400, 2000, 10_000], help="Multiples of 10.")
    parser.add_argument("--data", type=Path, help="Data set in ESC-50's layout, at 500 frames.")
    parser.add_argument(
        "--measure", nargs=4, metavar=("ROOT", "CACHE", "FRAMES", "CORES"), help="One process."
    )
    options = parser.parse_args()
    if options.measure:
        root, cache, frames, cores = options.measure
        print(json.dumps(measure(root, cache, int(frames), int(cores))))
        return

    from petl_ast.data.synthetic import CLASSES, write_dataset

    most = max(options.clips)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if shutil.disk_usage(folder).free < 2 * most * BYTES_PER_CLIP:
            raise SystemExit(f"{folder} has too little room for {most} clips; set TMPDIR or lower --clips.")
        whole = write_dataset(folder / "whole", clips_per_class=most // len(CLASSES), seconds=SECONDS)
        results = [
            {"data": "synthetic", **compare(subset(whole, clips, folder / str(clips)), FRAMES, folder)}
            for clips in options.clips
        ]
        if options.data:
            results.append({"data": str(options.data), **compare(options.data.resolve(), 500, folder)})
    rows = []
    for r in results:
        s, clips = r["seconds"], r["clips"]
        one = "" if s["cold_one_core"] is None else f"{s['cold_one_core']:.2f}"
        rows.append(
            [
                f"{clips:,} {r['data']}, {r['frames']} frames",
                *(f"{s['cold']:.2f}", f"{1e3 * s['cold'] / clips:.2f}", one),
                *(f"{s['warm']:.3f}", f"{s['warm_read']:.3f}", f"{r['megabytes']:,.0f}"),
            ]
        )
    headings = ["computed, s", "ms a clip", "by one core, s", "opened again, s", "and read, s", "MB"]
    table(["clips", *headings], rows)
    keep("data", {"cores": os.cpu_count(), "sizes": results})


if __name__ == "__main__":
    main()
