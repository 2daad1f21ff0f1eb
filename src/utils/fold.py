"""One fold: train on its training folds, validate every epoch, score its test fold once, at the end.

"Last" is the paper's way: its code means to test the best epoch, but tests the last one's weights. "Best" is
the epoch with the highest validation accuracy, or mean average precision where clips have several labels (at
equals the lowest validation loss).
"""

from __future__ import annotations

import math
import shlex
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import torch

from ..config import RunConfig
from ..data.augment import spec_augment
from ..data.dataset import AudioDataset, FoldSplit
from ..errors import UserError
from ..files import list_some, write_csv
from .checkpoint import Cadence, Row
from .engine import OnBatch, train_one_epoch
from .epoch_sums import NonFiniteError
from .fold_results import finish
from .fold_setup import prepare
from .interrupt import Stopped, StopRequest
from .multi_label import mean_average_precision
from .run_folder import METRICS, TIMES
from .seeding import stream_seed
from .summary import validation_score
from .workplace import Workplace

T = TypeVar("T")


class FoldRun:
    """One fold, prepared; `run` trains it, finishes it and writes its folder.

    If the folder holds a checkpoint, `run` goes on from there.

    Attributes:
        batches: How many batches there are in all, training, validation and test.
        batches_done: How many of them an earlier process did.

    Raises:
        UserError: if there is a checkpoint that cannot be gone on from.
    """

    def __init__(
        self, config: RunConfig, dataset: AudioDataset, split: FoldSplit, workplace: Workplace
    ) -> None:
        self._fold = prepare(config, dataset, split, workplace)
        train, validation, test = (len(batches) for batches in self._fold.batches.values())
        self._steps = train
        chosen = 2 * validation if dataset.multi_label else 0  # thresholds, by the last and the best epoch
        self.batches = config.train.epochs * (train + validation) + chosen + 2 * test
        state = self._fold.state
        self.batches_done = (state.epoch - 1) * (train + validation) + state.sums.steps

    def run(self, on_batch: OnBatch, on_epoch: Callable[[Row], None], stop: StopRequest) -> dict[str, Any]:
        """Train, keep the last and the best epoch as adapter folders, test both.

        Args:
            on_batch: Called after every batch.
            on_epoch: Called after every epoch with its row of the metrics table.
            stop: Looked at after every batch.

        Returns:
            What also lies in result.json.

        Raises:
            Stopped: if `stop` asks for it, with the state saved.
            UserError: if training diverges or the operating system refuses a file.
        """
        fold, state = self._fold, self._fold.state
        begun = time.perf_counter() - state.seconds
        cadence = Cadence(fold.config.train.checkpoint_steps)

        def save() -> None:
            state.seconds = time.perf_counter() - begun
            state.micro_batch_size = fold.micro_batches.size
            cadence.save(state, fold.checkpoint)

        def on_training_batch() -> None:
            on_batch()
            if stop.signal is not None or cadence.due(state.sums.steps):
                if fold.config.train.on_nonfinite == "stop":  # a GPU has not told yet
                    self._refuse_nonfinite(state.sums.check)
                save()
            self._stop_if(stop)

        def on_validation_batch() -> None:
            on_batch()
            if stop.signal is not None:
                save()
            self._stop_if(stop)

        def on_test_batch() -> None:
            on_batch()
            self._stop_if(stop)

        while state.epoch <= fold.config.train.epochs:
            row, times = self._run_epoch(on_training_batch, on_validation_batch)
            state.finish_epoch(row, times, is_best=not state.best or _goodness(row) > _goodness(state.best))
            write_csv(fold.folder / METRICS, state.rows)
            write_csv(fold.folder / TIMES, state.times)
            save()
            on_epoch(row)
        return finish(fold, begun, on_test_batch)

    def _run_epoch(self, on_training_batch: OnBatch, on_validation_batch: OnBatch) -> tuple[Row, Row]:
        """Train and validate once, or what is left of it: the epoch's figures and times."""
        fold, state, config = self._fold, self._fold.state, self._fold.config
        seed, address = config.train.seed, (fold.split.test, state.epoch)
        if not state.sums.steps:
            torch.manual_seed(stream_seed(seed, "dropout", *address))
            state.draws.manual_seed(stream_seed(seed, "augmentation", *address))
            state.learning_rate = float(state.scheduler.get_last_lr()[0])
        augment = partial(spec_augment, config=config.augment, generator=state.draws)
        start = time.perf_counter() - state.epoch_seconds

        def on_batch() -> None:
            state.epoch_seconds = time.perf_counter() - start
            on_training_batch()

        train = self._refuse_nonfinite(
            lambda: train_one_epoch(
                fold.network,
                fold.shuffled().after(state.sums.steps),
                state.optimizer,
                state.scheduler,
                state.accelerator,
                augment=augment if fold.network is fold.model else None,
                on_batch=on_batch,
                micro_batches=fold.micro_batches,
                sums=state.sums,
                on_nonfinite=config.train.on_nonfinite,
                loss=fold.loss,
            )
        )
        state.epoch_seconds = time.perf_counter() - start  # a GPU is done only now
        validation = fold.evaluate("validation", on_validation_batch)
        if not math.isfinite(validation.loss):
            raise UserError(
                f"Training diverged: the validation loss of fold {fold.split.test} is {validation.loss} in "
                f"epoch {state.epoch}, of whose {state.sums.steps} training steps {train.skipped_steps} were "
                f"skipped. A smaller --train.learning_rate than {config.train.learning_rate} may help, in "
                "another --output."
            )
        row = {
            "epoch": state.epoch,
            "train_loss": train.loss,
            "train_accuracy": train.accuracy,
            "validation_loss": validation.loss,
            "validation_accuracy": validation.accuracy,
            "learning_rate": state.learning_rate,
            "gradient_norm": train.gradient_norm,
            "skipped_steps": train.skipped_steps,
        }
        if fold.dataset.multi_label:
            row["validation_map"] = mean_average_precision(validation)
        seconds = max(state.epoch_seconds, 1e-9)
        speed = round(len(fold.indices["train"]) / seconds, 2)
        return row, {"epoch": state.epoch, "seconds": round(seconds, 3), "clips_per_second": speed}

    def _refuse_nonfinite(self, work: Callable[[], T]) -> T:
        """What `work` returns; a step that was not finite becomes a message about all that led to it."""
        try:
            return work()
        except NonFiniteError as error:
            raise UserError(self._nonfinite_message(error)) from error

    def _nonfinite_message(self, error: NonFiniteError) -> str:
        fold, train, step = self._fold, self._fold.config.train, error.step
        batch = fold.shuffled().indices[(step - 1) * train.batch_size : step * train.batch_size]
        clips = list_some((fold.dataset.clips[i].name for i in batch.tolist()), most=train.batch_size)
        kept = (
            f"The weights from before are kept in {fold.checkpoint}.\n" if fold.checkpoint.is_file() else ""
        )
        return (
            f"Training diverged: the {error.what} of fold {fold.split.test} is {error.value} in epoch "
            f"{fold.state.epoch}, step {step} of {self._steps}. A smaller "
            f"--train.learning_rate than {train.learning_rate} may help, in another --output; "
            "--train.on_nonfinite skip leaves such steps out and goes on with this run, which helps if it is "
            "these clips and not the weights.\n"
            f"{kept}The last steps:\n{list_some(error.last_steps())}\nThe clips of the batch:\n{clips}"
        )

    def _stop_if(self, stop: StopRequest) -> None:
        if stop.signal is None:
            return
        fold, state, name = self._fold, self._fold.state, signal.Signals(stop.signal).name
        where = f"epoch {state.epoch}, step {state.sums.steps} of {self._steps}"
        if state.epoch > fold.config.train.epochs:
            where = "its test"
        raise Stopped(
            stop.signal,
            f"{name} in fold {fold.split.test}, {where}; everything is saved. "
            f"To go on: petl-ast train --resume {shlex.quote(fold.config.output)}",
        )


def _goodness(row: Row) -> tuple[float, float]:
    return validation_score(row), -row["validation_loss"]
