"""One fold, one epoch of the full-size AST (85.7 M parameters) on real clips: seconds per clip and peak
memory.

python -m benchmarks.full_size --data data/ESC-50 --subset esc10

The weights are random, in the hub's format: time and memory do not depend on them. The paper's configuration
is used as it is, but for the number of epochs and folds.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from transformers import ASTConfig

from petl_ast.models.backbone import save_random_backbone

PAPER = "configs/esc50_conformer.yaml"


def main() -> None:
    """Make the backbone, train in a process of its own, print one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="data/ESC-50", help="Data set in ESC-50's layout.")
    parser.add_argument("--subset", default="esc10", choices=["all", "esc10"])
    parser.add_argument("--batch_size", default=32, type=int)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        backbone, output = Path(folder) / "backbone", Path(folder) / "run"
        save_random_backbone(backbone, ASTConfig(max_length=1024, num_labels=527), seed=0)
        command = [sys.executable, "-m", "petl_ast", "train", "--config", PAPER, "--output", str(output)]
        command += ["--data.root", options.data, "--data.subset", options.subset, "--data.folds", "[1]"]
        command += ["--data.cache", str(Path(folder) / "cache"), "--model.backbone", str(backbone)]
        command += ["--train.epochs", "1", "--train.batch_size", str(options.batch_size)]
        subprocess.run(command, check=True)
        result = json.loads((output / "fold_1" / "result.json").read_text())
        with (output / "fold_1" / "metrics.csv").open() as file:
            (epoch,) = csv.DictReader(file)
        environment = json.loads((output / "environment.json").read_text())
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    clips = result["clips"]
    scored = clips["validation"] + 2 * clips["test"]
    training = float(epoch["seconds"])
    print(
        json.dumps(
            {
                "training_clips": clips["train"],
                "training_seconds_per_clip": round(training / clips["train"], 3),
                "evaluation_seconds_per_clip": round((result["seconds"] - training) / scored, 3),
                "peak_memory_gigabytes": round(peak / 1e9, 2),
                "batch_size": options.batch_size,
                **{key: environment[key] for key in ("device", "cores", "torch_threads", "versions")},
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
