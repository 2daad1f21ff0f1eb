"""One fold: train on its training folds, validate every epoch, score its test fold once, at the end.

"Last" is the paper's way: its code means to test the best epoch, but tests the last one's weights. "Best" is
the epoch with the highest validation accuracy (at equals the lowest validation loss).
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR

from ..config import RunConfig
from ..data.augment import spec_augment
from ..data.batches import Batches, place
from ..data.esc50_dataset import ESC50Dataset, FoldSplit
from ..errors import UserError
from ..files import clear_write_errors, write_csv, write_json
from ..models.ast_with_adapter import ASTWithAdapter, Probe, build_model
from .engine import EvalResult, OnBatch, compute_in_parts, eval_one_epoch, train_one_epoch
from .environment import versions
from .micro_batches import MicroBatches
from .run_folder import METRICS, PREDICTIONS, RESULT, fold_folder
from .seeding import generator, stream_seed

Row = dict[str, Any]


def new_model(config: RunConfig, dataset: ESC50Dataset, test_fold: int) -> ASTWithAdapter:
    """The model of a configuration, its weights drawn from the seed's stream for that fold.

    Raises:
        UserError: if the backbone cannot be loaded or does not fit the configuration.
    """
    torch.manual_seed(stream_seed(config.train.seed, "weights", test_fold))
    model = build_model(
        num_classes=len(dataset.class_names), max_length=config.spectrogram.max_length, **vars(config.model)
    )
    if (bins := model.backbone.config.num_mel_bins) != config.spectrogram.num_mel_bins:
        raise UserError(
            f"spectrogram.num_mel_bins is {config.spectrogram.num_mel_bins}, but the backbone "
            f"{config.model.backbone!r} was trained on {bins}."
        )
    return model


@dataclass(frozen=True)
class Workplace:
    """What all folds share.

    Attributes:
        accelerator: Device and precision.
        clips: What goes into the model: spectrograms [clips, T, mel bins], or `ASTWithAdapter.summary` of
            them, [clips, d].
        labels: [clips].
        micro_batches: How many clips go through the model at once.
    """

    accelerator: Accelerator
    clips: Tensor
    labels: Tensor
    micro_batches: MicroBatches


def set_up(
    config: RunConfig,
    dataset: ESC50Dataset,
    model: ASTWithAdapter,
    accelerator: Accelerator,
    micro_batches: MicroBatches,
    on_batch: Callable[[int], None],
) -> Workplace:
    """Put the clips where training wants them.

    If nothing before the final LayerNorm trains and nothing is augmented, every epoch of every fold would
    compute the same features: they are computed here, once.

    Args:
        config: Of the run.
        dataset: All clips.
        model: One of the run's models, just built.
        accelerator: Device and precision.
        micro_batches: How many clips go through the model at once.
        on_batch: Called with the number of batches to come before each batch of features; for progress bars.
    """
    clips, labels = dataset.tensors()
    if model.fixed_features and not (config.augment.frequency_mask or config.augment.time_mask):
        batches = Batches(clips, labels, range(len(clips)), config.train.batch_size, accelerator.device)
        model.to(accelerator.device)
        summaries = []
        for x, _ in batches:
            on_batch(len(batches))
            summaries.append(compute_in_parts(model.summary, x, accelerator, micro_batches))
        clips = torch.cat(summaries)
    device = accelerator.device
    return Workplace(accelerator, place(clips, device), place(labels, device), micro_batches)


class FoldRun:
    """Model, batches, optimiser and schedule of one fold; `run` does everything and writes its folder.

    Attributes:
        batches: How many batches `run` will go through, training, validation and test.
    """

    def __init__(
        self, config: RunConfig, dataset: ESC50Dataset, split: FoldSplit, workplace: Workplace
    ) -> None:
        self._config, self._dataset, self._split = config, dataset, split
        self._accelerator, self._micro_batches = workplace.accelerator, workplace.micro_batches
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
            "train": dataset.indices(split.train),
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
        self._scheduler = CosineAnnealingLR(optimizer, T_max=train.epochs * len(self._train_batches))
        self._optimizer = self._accelerator.prepare(optimizer)
        every_epoch = len(self._train_batches) + len(self._validation_batches)
        self.batches = train.epochs * every_epoch + 2 * len(self._test_batches)

    def run(self, on_batch: OnBatch, on_epoch: Callable[[Row], None]) -> dict[str, Any]:
        """Train, keep the last and the best epoch as adapter folders, test both.

        Args:
            on_batch: Called after every batch.
            on_epoch: Called after every epoch with its row of the metrics table.

        Returns:
            What also lies in result.json.
        """
        start = time.perf_counter()
        rows: list[Row] = []
        best: Row = {}
        best_state: dict[str, Tensor] = {}
        for epoch in range(1, self._config.train.epochs + 1):
            rows.append(row := self._run_epoch(epoch, on_batch))
            write_csv(self._folder / METRICS, rows)
            if not best or _goodness(row) > _goodness(best):
                best = row
                best_state = {name: t.detach().clone() for name, t in self._model.trained_state().items()}
            on_epoch(row)
        last_test, last = self._test_and_save("last", rows[-1], on_batch)
        self._model.load_trained_state(best_state)
        best_test, best = self._test_and_save("best", best, on_batch)
        self._write_predictions({"last": last_test, "best": best_test})
        result = {
            **dataclasses.asdict(self._split),
            "clips": {part: len(indices) for part, indices in self._indices.items()},
            "last": last,
            "best": best,
            "seconds": round(time.perf_counter() - start, 2),
        }
        write_json(self._folder / RESULT, result)
        if self._config.train.tensorboard:
            _write_tensorboard(self._folder, rows)
        return result

    def _run_epoch(self, epoch: int, on_batch: OnBatch) -> Row:
        """Train and validate once."""
        seed, device = self._config.train.seed, self._accelerator.device
        address = self._split.test, epoch
        torch.manual_seed(stream_seed(seed, "dropout", *address))
        draws = generator(device, seed, "augmentation", *address)
        augment = partial(spec_augment, config=self._config.augment, generator=draws)
        rate, start = self._scheduler.get_last_lr()[0], time.perf_counter()
        train = train_one_epoch(
            self._network,
            self._train_batches.shuffled(generator("cpu", seed, "order", *address)),
            self._optimizer,
            self._scheduler,
            self._accelerator,
            augment=None if self._has_summaries else augment,
            on_batch=on_batch,
            micro_batches=self._micro_batches,
        )
        seconds = time.perf_counter() - start
        validation = self._evaluate(self._validation_batches, on_batch)
        for name, loss in (("training", train.loss), ("validation", validation.loss)):
            if not math.isfinite(loss):
                raise UserError(
                    f"Training diverged: the {name} loss of fold {self._split.test} is {loss} in epoch "
                    f"{epoch}. A smaller --train.learning_rate than {self._config.train.learning_rate} "
                    "may help."
                )
        return {
            "epoch": epoch,
            "train_loss": train.loss,
            "train_accuracy": train.accuracy,
            "validation_loss": validation.loss,
            "validation_accuracy": validation.accuracy,
            "learning_rate": rate,
            "gradient_norm": train.gradient_norm,
            "seconds": round(seconds, 3),
            "clips_per_second": round(len(self._indices["train"]) / seconds, 2),
        }

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
                "subset": config.data.subset,
                "on_error": config.data.on_error,
                **dataclasses.asdict(self._split),
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
            {"clip": clips[index].path.name, "class": clips[index].category}
            | {kind: names[labels[position]] for kind, labels in predicted.items()}
            for position, index in enumerate(self._indices["test"])
        ]
        write_csv(self._folder / PREDICTIONS, rows)


def _goodness(row: Row) -> tuple[float, float]:
    return row["validation_accuracy"], -row["validation_loss"]


def _write_tensorboard(folder: Path, rows: Sequence[Row]) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with clear_write_errors(folder), SummaryWriter(str(folder / "tensorboard")) as writer:
        for row in rows:
            for name, value in row.items():
                writer.add_scalar(name, value, row["epoch"])
