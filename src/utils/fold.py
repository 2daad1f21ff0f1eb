"""One fold: train on its training folds, validate every epoch, score its test fold once, at the end.

"Last" is the paper's way: its code means to test the best epoch, but tests the last one's weights. "Best" is
the epoch with the highest validation accuracy (at equals the lowest validation loss).
"""

from __future__ import annotations

import dataclasses
import math
import shlex
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR

from ..config import RunConfig
from ..data.augment import spec_augment
from ..data.batches import Batches
from ..data.dataset import AudioDataset, FoldSplit
from ..data.shots import training_indices
from ..errors import UserError
from ..files import clear_write_errors, list_some, write_csv, write_json
from ..models.ast_with_adapter import Probe
from .checkpoint import Cadence, Row, TrainingState
from .engine import EvalResult, OnBatch, eval_one_epoch, train_one_epoch
from .environment import make_accelerator, versions
from .epoch_sums import NonFiniteError
from .interrupt import Stopped, StopRequest
from .run_folder import CHECKPOINT, METRICS, PREDICTIONS, RESULT, TIMES, fold_folder
from .seeding import generator, stream_seed
from .workplace import Workplace, new_model

T = TypeVar("T")


class FoldRun:
    """Model, batches, optimiser and schedule of one fold; `run` does everything and writes its folder.

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
        self._config, self._dataset, self._split = config, dataset, split
        # Nothing that one fold changes reaches the next, which may well be another process's.
        self._accelerator = make_accelerator(config.train.device, config.train.precision)
        self._micro_batches = replace(workplace.micro_batches, size=config.train.micro_batch_size)
        self._folder = fold_folder(Path(config.output), split.test)
        self._model = new_model(config, dataset, split.test).to(self._accelerator.device)
        if config.train.gradient_checkpointing:
            self._model.enable_gradient_checkpointing()
        self._has_summaries = workplace.clips.ndim == 2
        self._network: nn.Module = Probe(self._model) if self._has_summaries else self._model
        if config.train.compile:
            torch.compiler.reset()  # else the folds before count towards dynamo's limit of recompilations
            self._network.compile()
        self._indices = {
            "train": training_indices(dataset, split, config.data),
            "validation": dataset.indices([split.validation]),
            "test": dataset.indices([split.test]),
        }
        train, device = config.train, self._accelerator.device
        self._train_batches, self._validation_batches, self._test_batches = (
            Batches(workplace.clips, workplace.labels, indices, train.batch_size, device)
            for indices in self._indices.values()
        )
        optimizer = AdamW(
            self._model.trainable_parameters(),
            lr=train.learning_rate,
            betas=train.betas,
            eps=train.eps,
            weight_decay=train.weight_decay,
            fused=device.type == "cuda",  # one kernel for all parameters
        )
        scheduler = CosineAnnealingLR(optimizer, T_max=train.epochs * len(self._train_batches))
        self._state = TrainingState(
            self._model, self._accelerator.prepare(optimizer), scheduler, self._accelerator
        )
        self._checkpoint = self._folder / CHECKPOINT
        if self._checkpoint.is_file():
            self._state.load(self._checkpoint)
            self._micro_batches.size = self._state.micro_batch_size
        every_epoch = len(self._train_batches) + len(self._validation_batches)
        self.batches = train.epochs * every_epoch + 2 * len(self._test_batches)
        self.batches_done = (self._state.epoch - 1) * every_epoch + self._state.sums.steps

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
        state, start = self._state, time.perf_counter()
        begun = start - state.seconds
        cadence = Cadence(self._config.train.checkpoint_steps)

        def save() -> None:
            state.seconds = time.perf_counter() - begun
            state.micro_batch_size = self._micro_batches.size
            cadence.save(state, self._checkpoint)

        def on_training_batch() -> None:
            on_batch()
            if stop.signal is not None or cadence.due(state.sums.steps):
                if self._config.train.on_nonfinite == "stop":  # a GPU has not told yet
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

        while state.epoch <= self._config.train.epochs:
            row, times = self._run_epoch(on_training_batch, on_validation_batch)
            state.finish_epoch(row, times, is_best=not state.best or _goodness(row) > _goodness(state.best))
            write_csv(self._folder / METRICS, state.rows)
            write_csv(self._folder / TIMES, state.times)
            save()
            on_epoch(row)
        last_test, last = self._test_and_save("last", state.rows[-1], on_test_batch)
        self._model.load_trained_state(state.best_state)
        best_test, best = self._test_and_save("best", state.best, on_test_batch)
        self._write_predictions({"last": last_test, "best": best_test})
        result = {
            **dataclasses.asdict(self._split),
            "clips": {part: len(indices) for part, indices in self._indices.items()},
            "last": last,
            "best": best,
            "seconds": round(time.perf_counter() - begun, 2),
        }
        if self._config.train.tensorboard:
            _write_tensorboard(self._folder, state.rows, state.times)
        write_json(self._folder / RESULT, result)  # the last file: with it the fold is finished
        with clear_write_errors(self._checkpoint):
            self._checkpoint.unlink(missing_ok=True)
        return result

    def _run_epoch(self, on_training_batch: OnBatch, on_validation_batch: OnBatch) -> tuple[Row, Row]:
        """Train and validate once, or what is left of it: the epoch's figures and times."""
        state, config = self._state, self._config
        seed, address = config.train.seed, (self._split.test, state.epoch)
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
                self._network,
                self._shuffled().after(state.sums.steps),
                state.optimizer,
                state.scheduler,
                self._accelerator,
                augment=None if self._has_summaries else augment,
                on_batch=on_batch,
                micro_batches=self._micro_batches,
                sums=state.sums,
                on_nonfinite=config.train.on_nonfinite,
            )
        )
        state.epoch_seconds = time.perf_counter() - start  # a GPU is done only now
        validation = self._evaluate(self._validation_batches, on_validation_batch)
        if not math.isfinite(validation.loss):
            raise UserError(
                f"Training diverged: the validation loss of fold {self._split.test} is {validation.loss} in "
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
        seconds = max(state.epoch_seconds, 1e-9)
        speed = round(len(self._indices["train"]) / seconds, 2)
        return row, {"epoch": state.epoch, "seconds": round(seconds, 3), "clips_per_second": speed}

    def _shuffled(self) -> Batches:
        """The training batches in the order of the epoch in progress."""
        seed, address = self._config.train.seed, (self._split.test, self._state.epoch)
        return self._train_batches.shuffled(generator("cpu", seed, "order", *address))

    def _refuse_nonfinite(self, work: Callable[[], T]) -> T:
        """What `work` returns; a step that was not finite becomes a message about all that led to it."""
        try:
            return work()
        except NonFiniteError as error:
            raise UserError(self._nonfinite_message(error)) from error

    def _nonfinite_message(self, error: NonFiniteError) -> str:
        train, step = self._config.train, error.step
        batch = self._shuffled().indices[(step - 1) * train.batch_size : step * train.batch_size]
        clips = list_some((self._dataset.clips[i].name for i in batch.tolist()), most=train.batch_size)
        kept = (
            f"The weights from before are kept in {self._checkpoint}.\n" if self._checkpoint.is_file() else ""
        )
        return (
            f"Training diverged: the {error.what} of fold {self._split.test} is {error.value} in epoch "
            f"{self._state.epoch}, step {step} of {len(self._train_batches)}. A smaller "
            f"--train.learning_rate than {train.learning_rate} may help, in another --output; "
            "--train.on_nonfinite skip leaves such steps out and goes on with this run, which helps if it is "
            "these clips and not the weights.\n"
            f"{kept}The last steps:\n{list_some(error.last_steps())}\nThe clips of the batch:\n{clips}"
        )

    def _stop_if(self, stop: StopRequest) -> None:
        if stop.signal is None:
            return
        state, name = self._state, signal.Signals(stop.signal).name
        where = f"epoch {state.epoch}, step {state.sums.steps} of {len(self._train_batches)}"
        if state.epoch > self._config.train.epochs:
            where = "its test"
        raise Stopped(
            stop.signal,
            f"{name} in fold {self._split.test}, {where}; everything is saved. "
            f"To go on: petl-ast train --resume {shlex.quote(self._config.output)}",
        )

    def _evaluate(self, batches: Batches, on_batch: OnBatch) -> EvalResult:
        return eval_one_epoch(self._network, batches, self._accelerator, on_batch, self._micro_batches)

    def _test_and_save(self, kind: str, row: Row, on_batch: OnBatch) -> tuple[EvalResult, dict[str, Any]]:
        """Score the test fold with the model as it is; keep that model and what is known of it."""
        test = self._evaluate(self._test_batches, on_batch)
        metrics = {name: row[name] for name in ("epoch", "validation_accuracy", "validation_loss")}
        metrics |= {"test_accuracy": test.accuracy, "test_loss": test.loss}
        config = self._config
        self._model.save_adapter(
            self._folder / kind,
            labels=self._dataset.class_names,
            spectrogram=dataclasses.asdict(config.spectrogram),
            data={
                "root": config.data.root,
                "format": config.data.format,
                "subset": config.data.subset,
                "number_of_folds": config.data.number_of_folds,
                "split_seed": config.data.split_seed,
                "on_error": config.data.on_error,
                **dataclasses.asdict(self._split),
                "train_clips": self._dataset.names_checksum(self._split.train),
            },
            training={"batch_size": config.train.batch_size, "precision": config.train.precision},
            metrics=metrics,
            versions=versions(),
        )
        return test, metrics

    def _write_predictions(self, tests: Mapping[str, EvalResult]) -> None:
        names, clips = self._dataset.class_names, self._dataset.clips
        predicted = {kind: test.logits.argmax(1).tolist() for kind, test in tests.items()}
        rows = [
            {"clip": clips[index].name, "class": clips[index].category}
            | {kind: names[labels[position]] for kind, labels in predicted.items()}
            for position, index in enumerate(self._indices["test"])
        ]
        write_csv(self._folder / PREDICTIONS, rows)


def _goodness(row: Row) -> tuple[float, float]:
    return row["validation_accuracy"], -row["validation_loss"]


def _write_tensorboard(folder: Path, rows: Sequence[Row], times: Sequence[Row]) -> None:
    from torch.utils.tensorboard import SummaryWriter

    place = folder / "tensorboard"
    shutil.rmtree(place, ignore_errors=True)  # of an earlier attempt: TensorBoard would show both
    with clear_write_errors(place), SummaryWriter(str(place)) as writer:
        for row in (*rows, *times):
            for name, value in row.items():
                writer.add_scalar(name, value, row["epoch"])
