"""A whole five-fold run of `petl-ast train`, a process of its own: where its time goes, as a table and as a
picture.

python -m benchmarks.cv

The demo's 300 clips and configuration on a tiny random backbone, and the full-size AST on 50 clips for one
epoch; both start with an empty cache. The run is the command's own; functions that it calls are timed from
here, by their names.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from benchmarks.common import FRAMES, in_new_process, keep, table

PICTURE = Path("docs/pictures/cross_validation_time.png")
# Functions by the names under which the run finds them. What one of them calls is part of its time, unless it
# is named here itself.
TIMED = {
    "petl_ast.utils.cross_validation.load_with_progress": "spectrograms",
    "petl_ast.utils.cross_validation.new_model": "building models",
    "petl_ast.utils.fold_setup.new_model": "building models",
    "petl_ast.utils.fold.train_one_epoch": "training",
    "petl_ast.utils.fold_setup.eval_one_epoch": "validation",  # or test
    "petl_ast.models.ast_with_adapter.ASTWithAdapter.save_adapter": "writing",
    "petl_ast.utils.fold.write_csv": "writing",
    "petl_ast.utils.fold_results.write_csv": "writing",
    "petl_ast.utils.fold_results.write_json": "writing",
    "petl_ast.utils.cross_validation.write_csv": "writing",
    "petl_ast.utils.cross_validation.write_json": "writing",
    "petl_ast.utils.run_start.write_json": "writing",
    "petl_ast.utils.run_start.write_text": "writing",
    "petl_ast.utils.checkpoint.TrainingState.save": "writing",
    "petl_ast.utils.cross_validation._draw": "pictures",
}
PHASES = (
    *("start and imports", "spectrograms", "building models", "training", "validation", "test", "writing"),
    *("pictures", "the rest"),
)


class Clock:
    """Seconds by phase; one that begins within another interrupts it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._phases: list[str] = []  # those that run, the innermost last
        self._since = 0.0
        self._last = ""

    def time(self, function: Callable[..., Any], phase: str) -> Callable[..., Any]:
        """The function, its time counted as `phase`; an evaluation that follows no training is a test."""

        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            name = "test" if phase == "validation" and self._last != "training" else phase
            self._count()
            self._phases.append(name)
            try:
                return function(*args, **kwargs)
            finally:
                self._count()
                self._phases.pop()
                self._last = self._last if name == "writing" else name

        return timed

    def _count(self) -> None:
        now = time.perf_counter()
        if self._phases:
            self.seconds[self._phases[-1]] += now - self._since
        self._since = now


def run(started: float, words: list[str]) -> dict[str, float]:
    """In this process: train, and tell the seconds of each phase since the process was started."""
    from petl_ast.cli import main as command
    from petl_ast.imports import quick_imports

    with quick_imports():
        clock = Clock()
        for path, phase in TIMED.items():
            owner, name = _find(path)
            setattr(owner, name, clock.time(getattr(owner, name), phase))
    clock.seconds["start and imports"] = time.time() - started
    if command(["train", *words]):
        raise SystemExit("The run failed.")
    whole = time.time() - started
    return {**clock.seconds, "the rest": whole - sum(clock.seconds.values())}


def _find(path: str) -> tuple[Any, str]:
    """The module or class that a dotted name ends in, and the last word."""
    owner, name = path.rsplit(".", 1)
    module, _, class_name = owner.rpartition(".")
    if class_name[0].isupper():
        return getattr(importlib.import_module(module), class_name), name
    return importlib.import_module(owner), name


def runs(folder: Path, epochs: int, layers: int) -> dict[str, list[str]]:
    """Data, backbones and options of the two runs."""
    from transformers import ASTConfig

    from petl_ast.data.synthetic import write_dataset
    from petl_ast.models.backbone import save_random_backbone

    demo, short = folder / "demo", folder / "short"
    command = [sys.executable, "-m", "petl_ast", "synthetic", str(demo)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    write_dataset(short, clips_per_class=5, seconds=5.0)
    save_random_backbone(folder / "full", ASTConfig(max_length=FRAMES, num_hidden_layers=layers), seed=10)
    common = [f"--data.cache={folder}/cache", "--train.device=cpu"]
    return {
        f"300 synthetic clips, tiny backbone, {epochs} epochs": [
            *("--config", "configs/demo.yaml", *common, f"--train.epochs={epochs}"),
            *(f"--data.root={demo}", f"--model.backbone={demo}/backbone", f"--output={folder}/run_demo"),
        ],
        f"50 clips, {layers} full-size layers, 1 epoch": [
            *("--config", "configs/esc50_conformer.yaml", *common, "--train.epochs=1"),
            *(f"--data.root={short}", f"--model.backbone={folder}/full", f"--output={folder}/run_full"),
        ],
    }


def draw(results: dict[str, dict[str, float]], path: Path) -> None:
    """A bar a run, as shares of its time, with the seconds written where there is room."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 2.6), layout="constrained")
    colours = pyplot.get_cmap("tab10").colors
    for row, (name, seconds) in enumerate(results.items()):
        whole, left = sum(seconds.values()), 0.0
        for phase, colour in zip(PHASES, colours, strict=False):
            share = seconds.get(phase, 0.0) / whole
            axes.barh(row, share, height=0.7, left=left, color=colour, label=phase if not row else None)
            if share > 0.04:
                axes.text(left + share / 2, row, f"{seconds[phase]:.1f} s", ha="center", va="center", size=8)
            left += share
        axes.text(0, row - 0.38, f"{name}: {whole:.0f} s", va="bottom", size=9)
    axes.set(yticks=[], xlim=(0, 1), ylim=(len(results) - 0.5, -0.75), xlabel="share of the time")
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.legend(loc="outside right center", frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Run both, print the table, draw the picture, keep the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=20, help="On the tiny backbone.")
    parser.add_argument("--layers", type=int, default=12, help="Of the full-size backbone.")
    parser.add_argument("--picture", type=Path, default=PICTURE)
    parser.add_argument("--run", nargs=argparse.REMAINDER, metavar="STARTED", help="One process.")
    options = parser.parse_args()
    if options.run:
        started, *words = options.run
        print("\n" + json.dumps(run(float(started), words)))
        return
    with tempfile.TemporaryDirectory() as folder:
        results = {
            name: in_new_process("benchmarks.cv", "--run", str(time.time()), *words)
            for name, words in runs(Path(folder), options.epochs, options.layers).items()
        }
    rows = [
        [
            phase,
            *(f"{s.get(phase, 0):.1f} s, {s.get(phase, 0) / sum(s.values()):.0%}" for s in results.values()),
        ]
        for phase in PHASES
    ]
    table(["", *results], [*rows, ["**whole**", *(f"{sum(s.values()):.1f} s" for s in results.values())]])
    draw(results, options.picture)
    keep("cv", results)


if __name__ == "__main__":
    main()
