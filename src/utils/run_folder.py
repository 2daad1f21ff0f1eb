"""What lies where in the folder of a run, and how to read it back.

config.yaml  environment.json  summary.json  summary.csv  plots/  (skipped.csv: clips left out, if any)
fold_N/      metrics.csv  times.csv  predictions.csv  result.json  last/  best/   (N is the fold tested on)
             checkpoint.safetensors while the fold is not finished
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
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
METRICS, TIMES, PREDICTIONS, RESULT = "metrics.csv", "times.csv", "predictions.csv", "result.json"
CHECKPOINT, LOCK = "checkpoint.safetensors", ".lock"
PLOTS, SKIPPED = "plots", "skipped.csv"


@dataclass(frozen=True)
class Run:
    """A finished run, read back: `metrics` and `predictions` hold each fold's rows. With `multi_label` a clip
    may have several labels, joined by ";" in `predictions`.
    """

    folder: Path
    config: RunConfig
    environment: dict[str, Any]
    summary: dict[str, Any]
    class_names: list[str]
    metrics: dict[int, list[dict[str, float]]]
    predictions: dict[int, list[dict[str, str]]]
    multi_label: bool = False

    def average_precisions(self) -> dict[str, float | None]:
        """With `multi_label`, of each class on the test clips at the last epoch, the mean over the folds that
        have the class; None if none has.
        """
        folds = [result["last"]["test_average_precision"] for result in self.summary["folds"]]
        found = {
            name: [fold[name] for fold in folds if fold.get(name) is not None] for name in self.class_names
        }
        return {name: mean(values) if values else None for name, values in found.items()}


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
    folder = folder.resolve()  # for its name, also when it is given as `.`
    summary, environment = read_json(folder / SUMMARY_JSON), read_json(folder / ENVIRONMENT)
    with _damaged(folder / SUMMARY_JSON):
        folds = [int(result["test"]) for result in summary["folds"]]
        first = fold_folder(folder, folds[0]) / "last" / "adapter_config.json"
    with _damaged(folder / ENVIRONMENT):
        str(environment["device"])
    with _damaged(first):
        adapter = read_json(first)
        names, several = [str(name) for name in adapter["labels"]], "thresholds" in adapter
        if several and not all("test_average_precision" in result["last"] for result in summary["folds"]):
            raise ValueError("it has thresholds, and the summary no average precisions")
    metrics, predictions = {}, {}
    for fold in folds:
        with _damaged(path := fold_folder(folder, fold) / METRICS):
            metrics[fold] = [{name: float(value) for name, value in row.items()} for row in read_csv(path)]
            if not metrics[fold] or "validation_accuracy" not in metrics[fold][0]:
                raise ValueError("it holds no epochs")
        with _damaged(path := fold_folder(folder, fold) / PREDICTIONS):
            predictions[fold] = read_csv(path)
            for row in predictions[fold]:
                for cell in (row["class"], row["last"]):
                    for name in filter(None, cell.split(";")) if several else [cell]:
                        names.index(name)
    config = load_run_config(folder / CONFIG)
    return Run(folder, config, environment, summary, names, metrics, predictions, several)


@contextmanager
def _damaged(path: Path) -> Iterator[None]:
    """Say which file of a run holds something else than a run writes."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not what a run writes ({error}). Was it edited or cut short?") from error
