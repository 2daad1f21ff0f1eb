"""Every method of the paper on the same clips and backbone: parameters, accuracy over the folds, seconds per
epoch.

python -m benchmarks.methods --data data/ESC-50 --backbone data/synthetic/backbone

Each method runs with its own configuration's learning rate. Reduction rates are set so that on the tiny
backbone (96 wide) a method is about as wide inside as on the paper's (768 wide). A finished run is not
repeated.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from petl_ast import load_adapter

BASE = "configs/esc10_tiny.yaml"
# Name in the table: configuration laid over the base, and what is changed for the tiny backbone.
METHODS: dict[str, tuple[str, dict[str, int | str | bool]]] = {
    "linear": ("configs/esc50_linear.yaml", {}),
    "bitfit": ("configs/esc50_bitfit.yaml", {}),
    "prompt_tuning, shallow": ("configs/esc50_prompt_tuning.yaml", {"deep": False}),
    "prompt_tuning, deep": ("configs/esc50_prompt_tuning.yaml", {}),
    "prefix_tuning": ("configs/esc50_prefix_tuning.yaml", {}),
    "lora": ("configs/esc50_lora.yaml", {"reduction_rate": 8}),
    "peft (DoRA)": ("configs/esc50_dora.yaml", {}),
    "adapter, bottleneck": ("configs/esc50_bottleneck.yaml", {"reduction_rate": 12}),
    "adapter, Conformer": (BASE, {}),
    "adapter, Conformer, Houlsby": (BASE, {"placement": "houlsby"}),
    "dense_moa": ("configs/esc50_dense_moa.yaml", {"reduction_rate": 16}),
    "soft_moa": ("configs/esc50_soft_moa.yaml", {"reduction_rate": 16}),
    "full_ft": ("configs/esc50_full_ft.yaml", {}),
}


def main() -> None:
    """Run what has not been run, print the table as Markdown, keep it as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="data/ESC-50", help="Data set in ESC-50's layout.")
    parser.add_argument("--backbone", default="data/synthetic/backbone")
    parser.add_argument("--epochs", default=20, type=int)
    parser.add_argument("--output", default="outputs/methods", type=Path)
    options = parser.parse_args()

    rows = []
    for name, (config, changes) in METHODS.items():
        output = options.output / name.replace(", ", "-").replace(" ", "-")
        if not (output / "plots").is_dir():  # drawn last: the run is complete
            command = [sys.executable, "-m", "petl_ast", "train", "--config", BASE, "--config", config]
            command += ["--output", str(output), "--overwrite", "true", "--data.root", options.data]
            command += ["--model.backbone", options.backbone, "--train.epochs", str(options.epochs)]
            for option, value in changes.items():
                command += [f"--model.method_options.{option}", str(value).lower()]
            subprocess.run(command, check=True)
        rows.append({"method": name, **measured(output)})
        (options.output / "methods.json").write_text(json.dumps(rows, indent=2) + "\n")
    print("| method | trained parameters | without the head | accuracy | deviation | seconds per epoch |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['method']} | {row['trainable']:,} | {row['trainable'] - row['head']:,} "
            f"| {row['accuracy']:.1%} | {row['deviation']:.1%} | {row['seconds_per_epoch']:.2f} |"
        )


def measured(output: Path) -> dict[str, Any]:
    """What a run's folder says: counts, last-epoch accuracy, the median epoch's training time."""
    summary = json.loads((output / "summary.json").read_text())["last"]
    seconds = []
    for metrics in output.glob("fold_*/times.csv"):
        with metrics.open() as file:
            seconds += [float(row["seconds"]) for row in csv.DictReader(file)]
    counts = load_adapter(next(output.glob("fold_*")) / "last").parameter_counts()
    return {
        "trainable": counts["trainable"],
        "head": counts["head"],
        "accuracy": summary["mean"],
        "deviation": summary["standard_deviation"],
        "seconds_per_epoch": median(seconds),
    }


if __name__ == "__main__":
    main()
