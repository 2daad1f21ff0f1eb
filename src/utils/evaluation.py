"""Scoring an adapter folder on a fold again: accuracy, per-class report, confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.table import Table
from rich.text import Text
from sklearn.metrics import classification_report

from ..config import DataConfig, RunConfig, parse_dataclass
from ..data.dataset import AudioDataset
from ..data.formats import holds_data, open_dataset
from ..errors import UserError
from ..models.ast_with_adapter import ASTWithAdapter
from ..models.build import load_adapter
from ..text import is_plain
from . import console as screen
from .cross_validation import load_with_progress
from .engine import EvalResult, eval_one_epoch
from .environment import make_accelerator
from .metrics import balanced_accuracy, classes_in_play, confusion, macro_f1, refuse_nonfinite
from .micro_batches import MicroBatches
from .multi_label import average_precisions, mean_average_precision, probabilities
from .workplace import workplace


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found.

    Attributes:
        matrix: How often each class (row) was taken for each (column); None where clips have several labels.
        balanced_accuracy: Mean over the classes of the share of their clips recognised; None likewise.
        macro_f1: Mean F1 over the classes that have clips or were named; the same as the report's.
        mean_average_precision: Where clips have several labels; `accuracy` is then the share of right yes and
            no at a probability of 0.5, `report` and `macro_f1` are at the adapter's thresholds.
        average_precision: The same of each class; None for one without a clip.
        reported: The accuracy, or mean average precision, that training wrote down for the same fold.
        seen: Why this may be no result on unseen clips, as a sentence; empty if they are unseen.
    """

    fold: int
    clips: int
    accuracy: float
    loss: float
    reported: float | None
    class_names: list[str]
    matrix: npt.NDArray[np.int64] | None
    report: dict[str, Any]
    balanced_accuracy: float | None
    macro_f1: float
    mean_average_precision: float | None = None
    average_precision: dict[str, float | None] = field(default_factory=dict)
    seen: str = ""


def evaluate(
    folder: str | Path,
    data_root: str | None = None,
    fold: int | None = None,
    backbone: str | None = None,
    cache: str = "data/cache",
    device: str = "auto",
) -> Evaluation:
    """Score the adapter in `folder` on one fold, with the batches and the precision of its training.

    Args:
        folder: Adapter folder of a cross-validation run, or its id on the hub.
        data_root: The data set, if not where it was at training.
        fold: The fold to score, if not the one that the adapter was tested on.
        backbone: The frozen backbone, if not where it was at training.
        cache: Folder for computed spectrograms.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        UserError: if the adapter, its backbone, the data or the labels do not fit each other.
    """
    model = load_adapter(folder, backbone)
    labels, trained_on, training = (
        model.labels,
        _section(model, folder, "data"),
        _section(model, folder, "training"),
    )
    root = data_root or trained_on.get("root")
    fold = fold if fold is not None else trained_on.get("test")
    _check(folder, "data.root", root, root is None or (isinstance(root, str) and is_plain(root)))
    _check(folder, "data.test", fold, fold is None or type(fold) is int)
    if root is None or fold is None:
        raise UserError(
            f"{folder} does not say which data and fold it was tested on; give --data_root and --fold."
        )
    data = _data_config(folder, trained_on, root, cache)
    if data_root is None and not holds_data(data):
        raise UserError(
            f"{root}, where {folder} was trained, holds no data set now; say where with --data_root."
        )
    batch_size = training.get("batch_size", 32)
    _check(folder, "training.batch_size", batch_size, type(batch_size) is int and 1 <= batch_size <= 8192)
    thresholds = model.thresholds
    figure = "test_accuracy" if thresholds is None else "test_map"
    reported = _section(model, folder, "metrics").get(figure)
    _check(folder, f"metrics.{figure}", reported, reported is None or type(reported) in (int, float))
    dataset, _ = open_dataset(RunConfig(data=data, spectrogram=model.spectrogram))
    if dataset.class_names != labels:
        raise UserError(
            f"{folder} was trained for the classes {', '.join(labels)}; "
            f"{root} has: {', '.join(dataset.class_names)}."
        )
    if dataset.multi_label != (thresholds is not None):
        how = "one label each" if thresholds is None else "several labels each"
        raise UserError(f"{folder} was trained on clips with {how}; those of {root} are not such.")
    if fold not in dataset.folds:
        raise UserError(f"There is no fold {fold} in {root}; its folds are {dataset.folds}.")
    accelerator = make_accelerator(device, training.get("precision", "fp32"))
    load_with_progress(dataset, screen.messages())

    clips = workplace(*dataset.tensors(), dataset.stretches, accelerator, MicroBatches())
    batches = clips.evaluation_batches(dataset.indices([fold]), batch_size)
    result = eval_one_epoch(model.to(accelerator.device), batches, accelerator, clip_of=batches.indices)
    refuse_nonfinite(result.logits, str(folder))
    seen = _seen(fold, trained_on, dataset)
    same_fold = fold == trained_on.get("test") and not seen
    score = _score_one_label if thresholds is None else partial(_score_several, thresholds=thresholds)
    return Evaluation(
        fold=fold,
        clips=len(result.labels),
        accuracy=result.accuracy,
        loss=result.loss,
        reported=reported if same_fold else None,
        seen=seen,
        class_names=labels,
        **score(result, labels),
    )


def _score_one_label(result: EvalResult, labels: list[str]) -> dict[str, Any]:
    truth, predicted = result.labels.tolist(), result.logits.argmax(1).tolist()
    return {
        "balanced_accuracy": balanced_accuracy(truth, predicted),
        "macro_f1": macro_f1(truth, predicted),
        "matrix": confusion(truth, predicted, len(labels)),
        "report": _report(truth, predicted, labels),
    }


def _score_several(result: EvalResult, labels: list[str], thresholds: list[float]) -> dict[str, Any]:
    if not result.labels.any():
        raise UserError("No clip of this fold has a label: there is nothing to score.")
    truth, affirmed = result.labels.numpy(), probabilities(result) >= np.array(thresholds)
    return {
        "balanced_accuracy": None,
        "macro_f1": macro_f1(truth, affirmed),
        "matrix": None,
        "report": _report(truth, affirmed, labels),
        "mean_average_precision": mean_average_precision(result),
        "average_precision": dict(zip(labels, average_precisions(result), strict=True)),
    }


def _report(truth: Any, predicted: Any, labels: list[str]) -> dict[str, Any]:
    """Scikit-learn's, but "macro avg" is over the classes that have clips or were named, as macro F1 is."""
    report: dict[str, Any] = classification_report(
        truth,
        predicted,
        labels=range(len(labels)),
        target_names=labels,
        output_dict=True,
        zero_division=0.0,
    )
    rows = [report[labels[number]] for number in classes_in_play(truth, predicted)]
    report["macro avg"] |= {
        figure: float(np.mean([row[figure] for row in rows]))
        for figure in ("precision", "recall", "f1-score")
    }
    return report


def _data_config(folder: str | Path, trained_on: dict[str, Any], root: str, cache: str) -> DataConfig:
    """How the data set was opened at training. Adapters that do not tell the format are of ESC-50's."""
    names = ("subset", "number_of_folds", "split_seed", "on_error", "long_clips")
    kept = {name: trained_on[name] for name in names if name in trained_on}
    kept |= {"format": trained_on.get("format", "esc50"), "root": root, "cache": cache}
    return parse_dataclass(DataConfig, kept, f"{folder}: data")


def _seen(fold: int, trained_on: dict[str, Any], dataset: AudioDataset) -> str:
    train = trained_on.get("train")
    if isinstance(train, list) and fold in train:
        return "The adapter was trained on this fold: this is no result on unseen clips."
    if fold == trained_on.get("validation"):
        return "The adapter was validated on this fold: this is no result on unseen clips."
    if not dataset.drawn_folds:  # clips that came to the training folds alone take nothing from the result
        tested = trained_on.get("test_clips") if fold == trained_on.get("test") else None
        if not tested or tested == dataset.names_checksum([fold]):
            return ""
        return (
            f"Fold {fold} holds other clips now than at training, or clips of other names. If some of them "
            "lay in another fold then, this is no result on unseen clips."
        )
    clips = trained_on.get("train_clips")  # adapters of earlier versions do not tell
    if not clips or not isinstance(train, list) or clips == dataset.names_checksum(train):
        return ""
    folds, hold = ("folds", "hold") if len(train) > 1 else ("fold", "holds")
    return (
        f"The {folds} {', '.join(map(str, train))} that it was trained on {hold} other clips now, or clips "
        "of other names, so some of those tested may be ones that it was trained on. Clips without folds of "
        "their own are dealt out by their names, anew when one comes or goes; a csv with a column fold keeps "
        "them (docs/data.md)."
    )


def _check(folder: str | Path, name: str, value: object, fine: bool) -> None:
    if not fine:
        raise UserError(f"{folder}: {name} is {value!r:.100}. Was adapter_config.json edited?")


def _section(model: ASTWithAdapter, folder: str | Path, name: str) -> dict[str, Any]:
    section = model.metadata.get(name) or {}
    if not isinstance(section, dict):
        raise UserError(f"{folder}: {name} is {section!r:.100}, no section. Was adapter_config.json edited?")
    return section


def report_table(evaluation: Evaluation) -> Table:
    """Precision, recall and F1 of every class, and their mean; average precision if it was computed."""
    table = Table("class", title=f"Fold {evaluation.fold}: per class")
    precisions = evaluation.average_precision | {"macro avg": evaluation.mean_average_precision}
    for heading in (
        "precision",
        "recall",
        "F1",
        "clips",
        *["average precision"] * bool(evaluation.average_precision),
    ):
        table.add_column(heading, justify="right")
    for name in (*evaluation.class_names, "macro avg"):
        row = evaluation.report[name]
        shares = [f"{row[key]:.1%}" for key in ("precision", "recall", "f1-score")]
        cells = [*shares, str(int(row["support"]))]
        if evaluation.average_precision:
            value = precisions[name]
            cells.append("no clip" if value is None else f"{value:.1%}")
        table.add_row(Text(name), *cells, end_section=name == evaluation.class_names[-1])
    return table


def confusion_text(evaluation: Evaluation) -> str:
    """The confusion matrix in characters: a numbered row per true class, columns by the same numbers.

    Raises:
        ValueError: where there is none, for clips have several labels.
    """
    if evaluation.matrix is None:
        raise ValueError("clips with several labels have no confusion matrix")
    width = max(len(name) for name in evaluation.class_names)
    cell = max(3, len(str(evaluation.matrix.max())) + 1)
    lines = [" " * (width + 4) + "".join(f"{i:{cell}}" for i in range(len(evaluation.class_names)))]
    for i, name in enumerate(evaluation.class_names):
        counts = "".join(f"{count if count else '.':>{cell}}" for count in evaluation.matrix[i])
        lines.append(f"{i:3} {name:<{width}}{counts}")
    return "Confusion matrix: rows are true classes, columns predicted ones\n" + "\n".join(lines)
