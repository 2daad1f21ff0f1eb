"""The spectrogram cache: seconds to compute it by all cores, and to open it again in a new process.

python -m benchmarks.cache --data data/ESC-50
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile

START = """
import sys, time
from petl_ast import ESC50Dataset
start = time.perf_counter()
dataset = ESC50Dataset(sys.argv[1], cache=sys.argv[2])
dataset[len(dataset) - 1]
print(len(dataset), time.perf_counter() - start)
"""


def main() -> None:
    """Start twice, each time in a process of its own, and print one JSON object; imports are not counted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="data/ESC-50", help="Data set in ESC-50's layout.")
    data = parser.parse_args().data
    with tempfile.TemporaryDirectory() as cache:
        seconds = {}
        for start in ("cold", "warm"):
            command = [sys.executable, "-c", START, data, cache]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            clips, seconds[start] = int(printed[0]), round(float(printed[1]), 3)
    print(
        json.dumps(
            {"clips": clips, "seconds": seconds, "cold_ms_a_clip": round(1e3 * seconds["cold"] / clips, 1)}
        )
    )


if __name__ == "__main__":
    main()
