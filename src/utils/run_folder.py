"""What lies where in the folder of a run, and how to read it back.

config.yaml  environment.json  summary.json  summary.csv  plots/
fold_N/      metrics.csv  predictions.csv  result.json  last/  best/   (N is the fold tested on)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import RunConfig, load_run_config
from ..errors import UserError
from ..files import read_csv, read_json

CONFIG, ENVIRONMENT, SUMMARY_JSON, SUMMARY_CSV = (
    "config.yaml",
    "environment.json",
    "summary.json",
    "summary.csv",
)
METRICS, PREDICTIONS, RESULT = "metrics.csv", "predictions.csv", "result.json"
PLOTS = "plots"


@dataclass(frozen=True)
class Run:
    """A finished run, read back: `metrics` and `predictions` hold each fold's rows."""

    folder: Path
    config: RunConfig
    environment: dict[str, Any]
    summary: dict[str, Any]
    class_names: list[str]
    metrics: dict[int, list[dict[str, float]]]
    predictions: dict[int, list[dict[str, str]]]


def fold_folder(output: Path, test_fold: int) -> Path:
    """Where the fold that tests on `test_fold` keeps its files."""
    return output / f"fold_{test_fold}"


def read_run(folder: Path) -> Run:
    """Read the folder of a run, finished as far as its summary goes.

    Raises:
        UserError: if it is no run, or has not finished a fold.
    """
    if not (folder / SUMMARY_JSON).is_file():
        raise UserError(f"{folder} holds no run with a finished fold ({SUMMARY_JSON} is missing).")
    summary = read_json(folder / SUMMARY_JSON)
    folds = [result["test"] for result in summary["folds"]]
    last_adapter = read_json(fold_folder(folder, folds[0]) / "last" / "adapter_config.json")
    return Run(
        folder=folder,
        config=load_run_config(folder / CONFIG),
        environment=read_json(folder / ENVIRONMENT),
        summary=summary,
        class_names=last_adapter["labels"],
        metrics={
            fold: [
                {name: float(value) for name, value in row.items()}
                for row in read_csv(fold_folder(folder, fold) / METRICS)
            ]
            for fold in folds
        },
        predictions={fold: read_csv(fold_folder(folder, fold) / PREDICTIONS) for fold in folds},
    )
