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

from ..files import clear_write_errors, write_csv, write_json
from .checkpoint import Row
from .engine import EvalResult, OnBatch
from .environment import versions
from .fold_setup import Fold
from .metrics import balanced_accuracy, macro_f1
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
        UserError: if the operating system refuses a file.
    """
    state = fold.state
    last_test, last = _test_and_save(fold, "last", state.rows[-1], on_batch)
    fold.model.load_trained_state(state.best_state)
    best_test, best = _test_and_save(fold, "best", state.best, on_batch)
    _write_predictions(fold, {"last": last_test, "best": best_test})
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


def _test_and_save(fold: Fold, kind: str, row: Row, on_batch: OnBatch) -> tuple[EvalResult, dict[str, Any]]:
    """Score the test fold with the model as it is; keep that model and what is known of it."""
    test = fold.evaluate("test", on_batch)
    metrics = {name: row[name] for name in ("epoch", "validation_accuracy", "validation_loss")}
    metrics |= {"test_accuracy": test.accuracy, "test_loss": test.loss}
    truth, predicted = test.labels.tolist(), test.logits.argmax(1).tolist()
    metrics["test_balanced_accuracy"] = balanced_accuracy(truth, predicted)
    metrics["test_macro_f1"] = macro_f1(truth, predicted)
    config = fold.config
    fold.model.save_adapter(
        fold.folder / kind,
        labels=fold.dataset.class_names,
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
        },
        training={"batch_size": config.train.batch_size, "precision": config.train.precision},
        metrics=metrics,
        versions=versions(),
    )
    return test, metrics


def _write_predictions(fold: Fold, tests: Mapping[str, EvalResult]) -> None:
    names, clips = fold.dataset.class_names, fold.dataset.clips
    predicted = {kind: test.logits.argmax(1).tolist() for kind, test in tests.items()}
    rows = [
        {"clip": clips[index].name, "class": clips[index].category}
        | {kind: names[labels[position]] for kind, labels in predicted.items()}
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
