"""What a trained fold leaves: its last and its best epoch as adapter folders, both scored on the test fold,
and the tables.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..files import clear_write_errors, write_csv, write_json
from .checkpoint import Row
from .engine import EvalResult, OnBatch
from .environment import versions
from .fold_setup import Fold
from .metrics import balanced_accuracy, macro_f1, refuse_nonfinite
from .multi_label import average_precisions, best_thresholds, mean_average_precision, probabilities
from .multi_label import named as affirmed_names
from .run_folder import PREDICTIONS, RESULT


def finish(fold: Fold, begun: float, on_batch: OnBatch) -> dict[str, Any]:
    """Test both epochs, keep them, and write the fold's result.

    Args:
        fold: Trained.
        begun: When, by `time.perf_counter`; what earlier processes spent on the fold is before it.
        on_batch: Called after every batch.

    Returns:
        What also lies in result.json.

    Raises:
        UserError: if a logit is not finite, or the operating system refuses a file.
    """
    state = fold.state
    last_named, last = _test_and_save(fold, "last", state.rows[-1], on_batch)
    fold.model.load_trained_state(state.best_state)
    best_named, best = _test_and_save(fold, "best", state.best, on_batch)
    _write_predictions(fold, {"last": last_named, "best": best_named})
    result = {
        **dataclasses.asdict(fold.split),
        "clips": {part: len(indices) for part, indices in fold.indices.items()},
        "last": last,
        "best": best,
        "seconds": round(time.perf_counter() - begun, 2),
    }
    if fold.config.train.tensorboard:
        _write_tensorboard(fold.folder, state.rows, state.times)
    write_json(fold.folder / RESULT, result)  # the last file: with it the fold is finished
    with clear_write_errors(fold.checkpoint):
        fold.checkpoint.unlink(missing_ok=True)
    return result


def _test_and_save(fold: Fold, kind: str, row: Row, on_batch: OnBatch) -> tuple[list[str], dict[str, Any]]:
    """Score the test fold with the model as it is; keep that model and what is known of it.

    Returns:
        What each clip was taken for, and the figures.
    """
    names, kept = fold.dataset.class_names, dict[str, Any]()
    metrics = {name: row[name] for name in ("epoch", "validation_accuracy", "validation_loss")}
    if fold.dataset.multi_label:
        kept["thresholds"] = best_thresholds(_finite(fold, kind, "validation", on_batch))
    test = _finite(fold, kind, "test", on_batch)
    metrics |= {"test_accuracy": test.accuracy, "test_loss": test.loss}
    if fold.dataset.multi_label:
        affirmed = probabilities(test) >= np.array(kept["thresholds"])
        taken_for = [affirmed_names(names, clip) for clip in affirmed]
        metrics["validation_map"] = row["validation_map"]
        metrics["test_map"] = mean_average_precision(test)
        metrics["test_average_precision"] = dict(zip(names, average_precisions(test), strict=True))
        metrics["test_macro_f1"] = macro_f1(test.labels.numpy(), affirmed)
    else:
        truth, predicted = test.labels.tolist(), test.logits.argmax(1).tolist()
        taken_for = [names[label] for label in predicted]
        metrics["test_balanced_accuracy"] = balanced_accuracy(truth, predicted)
        metrics["test_macro_f1"] = macro_f1(truth, predicted)
    config = fold.config
    fold.model.save_adapter(
        fold.folder / kind,
        labels=names,
        spectrogram=dataclasses.asdict(config.spectrogram),
        data={
            "root": config.data.root,
            "format": config.data.format,
            "subset": config.data.subset,
            "number_of_folds": config.data.number_of_folds,
            "split_seed": config.data.split_seed,
            "on_error": config.data.on_error,
            "long_clips": config.data.long_clips,
            **dataclasses.asdict(fold.split),
            "train_clips": fold.dataset.names_checksum(fold.split.train),
            "test_clips": fold.dataset.names_checksum([fold.split.test]),
        },
        training={"batch_size": config.train.batch_size, "precision": config.train.precision},
        metrics=metrics,
        versions=versions(),
        **kept,
    )
    return taken_for, metrics


def _finite(fold: Fold, kind: str, part: str, on_batch: OnBatch) -> EvalResult:
    result = fold.evaluate(part, on_batch)
    whose = f"The model of fold {fold.split.test}, {kind} epoch, tried on its {part} clips,"
    refuse_nonfinite(result.logits, whose)
    return result


def _write_predictions(fold: Fold, taken_for: Mapping[str, Sequence[str]]) -> None:
    clips = fold.dataset.clips
    rows = [
        {"clip": clips[index].name, "class": clips[index].category}
        | {kind: names[position] for kind, names in taken_for.items()}
        for position, index in enumerate(fold.indices["test"])
    ]
    write_csv(fold.folder / PREDICTIONS, rows)


def _write_tensorboard(folder: Path, rows: Sequence[Row], times: Sequence[Row]) -> None:
    from torch.utils.tensorboard import SummaryWriter

    place = folder / "tensorboard"
    shutil.rmtree(place, ignore_errors=True)  # of an earlier attempt: TensorBoard would show both
    with clear_write_errors(place), SummaryWriter(str(place)) as writer:
        for row in (*rows, *times):
            for name, value in row.items():
                writer.add_scalar(name, value, row["epoch"])
