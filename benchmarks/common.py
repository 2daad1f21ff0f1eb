"""What the benchmarks share: a full-size model, one place for results, and a name for the machine."""

from __future__ import annotations

import json
import os
import shlex
import statistics
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

RESULTS = Path("outputs/benchmarks")
FRAMES, CLASSES = 500, 50  # the paper's clips and ESC-50's classes


def machine() -> dict[str, Any]:
    """Processor, cores, memory and library versions."""
    from petl_ast.utils.environment import processor, versions

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "versions": versions(),
    }


def in_new_process(module: str, *arguments: str) -> Any:
    """What `python -m module arguments` prints as JSON; allocator and threads start afresh."""
    command = [sys.executable, "-m", module, *arguments]
    # The environment that the command line gives itself (see petl_ast/cli.py).
    environment = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000", **os.environ}
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    return json.loads(printed.splitlines()[-1])


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def keep(name: str, results: Any) -> None:
    """Write results as JSON with date, command and machine, and say where."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    whole = {
        "date": date.today().isoformat(),
        "command": shlex.join(["python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}", *sys.argv[1:]]),
        "machine": machine(),
        "results": results,
    }
    path.write_text(json.dumps(whole, indent=2) + "\n")
    print(f"\n{path}", file=sys.stderr)


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print Markdown."""
    for cells in (headings, ["---"] * len(headings), *rows):
        print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)
