"""Seconds from the command to the end of a training run's first step, and those of `--help`.

python -m benchmarks.start
python -m benchmarks.start --beside ../other        another checkout takes turns with this one

400 synthetic clips whose spectrograms are in the cache already, a tiny random backbone; every start is a
process of its own, and the first of each kind is not counted.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import keep, spread, table

CLIPS_PER_CLASS = 40  # of ten classes
# A fold's bar advances after every step, so its first advance is the end of the first step. Only what every
# start imports in any case is imported here. A checkout is also a package called src.
FIRST_STEP = """
import os, sys
from rich.progress import Progress

def stop(*_):
    print("The first step is done.", flush=True)
    os._exit(0)

Progress.advance = stop
from src.cli import main
main(sys.argv[1:])
"""
HELP = """
import sys
from src.cli import main
main(["--help"])
"""


def seconds_to_first_line(script: str, arguments: list[str], checkout: Path) -> float:
    """From the start of a new Python in a checkout until it prints."""
    command = [sys.executable, "-c", script, *arguments]
    start = time.perf_counter()
    with subprocess.Popen(
        command, cwd=checkout, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        line = process.stdout.readline() if process.stdout else ""
        seconds = time.perf_counter() - start
        _, errors = process.communicate()
    if not line:
        raise SystemExit(f"Nothing was printed:\n{errors}")
    return seconds


def main() -> None:
    """Take turns, print the table, keep the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--starts", type=int, default=7)
    parser.add_argument("--beside", type=Path, help="Another checkout to compare with.")
    options = parser.parse_args()

    checkouts = [Path.cwd(), *([options.beside] if options.beside else [])]
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data")
        words = ["synthetic", str(data), "--clips_per_class", str(CLIPS_PER_CLASS)]
        subprocess.run([sys.executable, "-m", "petl_ast", *words], check=True, stdout=subprocess.DEVNULL)
        train = ["train", f"--data.root={data}", f"--data.cache={folder}/cache", f"--output={folder}/run"]
        train += ["--config", os.fspath(Path("configs/demo.yaml").resolve()), "--overwrite=true"]
        train += [f"--model.backbone={data}/backbone"]
        kinds = {"training, first step": (FIRST_STEP, train), "--help": (HELP, [])}
        seconds: dict[tuple[str, Path], list[float]] = {(k, c): [] for k in kinds for c in checkouts}
        for counted in (False, *[True] * options.starts):
            for (kind, checkout), found in seconds.items():
                taken = seconds_to_first_line(*kinds[kind], checkout)
                if counted:
                    found.append(taken)
    results = [{"what": k, "checkout": str(c), **spread(found)} for (k, c), found in seconds.items()]
    rows = [
        [r["what"], r["checkout"], *(f"{r[key]:.2f}" for key in ("median", "min", "max"))] for r in results
    ]
    table(["", "checkout", "s (median)", "fastest", "slowest"], rows)
    keep("start", results)


if __name__ == "__main__":
    main()
