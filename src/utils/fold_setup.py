"""What one fold works with, ready to train: model, batches, optimiser, schedule, and how far an earlier
process came.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR

from ..config import RunConfig
from ..data.batches import Batches
from ..data.dataset import AudioDataset, FoldSplit
from ..data.shots import training_indices
from ..data.stretches import Stretches
from ..models.ast_with_adapter import ASTWithAdapter, Probe
from .checkpoint import TrainingState
from .engine import EvalResult, OnBatch, eval_one_epoch
from .environment import make_accelerator
from .loss import Loss, balanced_weights, plain_loss, weighted_cross_entropy
from .micro_batches import MicroBatches
from .run_folder import CHECKPOINT, fold_folder
from .seeding import generator
from .workplace import Workplace, new_model


@dataclass
class Fold:
    """Everything of one fold.

    Attributes:
        config: Of the run.
        dataset: All clips.
        split: Which folds train, validate and test.
        micro_batches: How many clips go through the model at once, in this fold.
        model: With the fold's own weights.
        network: What is trained: the model, or its last part where the clips are summaries.
        indices: Of the clips of each part: "train", "validation", "test".
        batches: Of each part.
        loss: What training minimises.
        stretches: Where the clips lie, if some are longer than what the model hears at once.
        state: Of the training, taken over from a checkpoint if there is one.
    """

    config: RunConfig
    dataset: AudioDataset
    split: FoldSplit
    micro_batches: MicroBatches
    model: ASTWithAdapter
    network: nn.Module
    indices: dict[str, list[int]]
    batches: dict[str, Batches]
    loss: Loss
    stretches: Stretches | None
    state: TrainingState

    @property
    def folder(self) -> Path:
        """Where the fold keeps its files."""
        return fold_folder(Path(self.config.output), self.split.test)

    @property
    def checkpoint(self) -> Path:
        """The file from which it goes on; there is none once the fold is finished."""
        return self.folder / CHECKPOINT

    def shuffled(self) -> Batches:
        """The training batches of the epoch in progress: its order, its stretches of long clips."""
        seed, address = self.config.train.seed, (self.split.test, self.state.epoch)
        batches = self.batches["train"]
        if self.stretches:
            batches = batches.at(self.stretches.draw(generator("cpu", seed, "stretches", *address)))
        return batches.shuffled(generator("cpu", seed, "order", *address))

    def evaluate(self, part: str, on_batch: OnBatch) -> EvalResult:
        """Loss and logits of a part's clips with the model as it is."""
        batches, accelerator = self.batches[part], self.state.accelerator
        return eval_one_epoch(
            self.network, batches, accelerator, on_batch, self.micro_batches, batches.indices
        )


def prepare(config: RunConfig, dataset: AudioDataset, split: FoldSplit, workplace: Workplace) -> Fold:
    """Build everything; if the fold's folder holds a checkpoint, the state is that one's.

    Raises:
        UserError: if there is a checkpoint that cannot be gone on from.
    """
    # Nothing that one fold changes reaches the next, which may well be another process's.
    accelerator = make_accelerator(config.train.device, config.train.precision)
    train, device = config.train, accelerator.device
    model = new_model(config, dataset, split.test).to(device)
    if train.gradient_checkpointing:
        model.enable_gradient_checkpointing()
    network: nn.Module = Probe(model) if workplace.has_summaries else model
    if train.compile:
        torch.compiler.reset()  # else the folds before count towards dynamo's limit of recompilations
        network.compile()
    indices = {
        "train": training_indices(dataset, split, config.data),
        "validation": dataset.indices([split.validation]),
        "test": dataset.indices([split.test]),
    }
    batches = {
        "train": Batches(workplace.clips, workplace.labels, indices["train"], train.batch_size, device),
        **{p: workplace.evaluation_batches(indices[p], train.batch_size) for p in ("validation", "test")},
    }
    loss: Loss = plain_loss
    if train.class_weights == "balanced":
        labels = [dataset.clips[index].label for index in indices["train"]]
        loss = weighted_cross_entropy(balanced_weights(labels, len(dataset.class_names)).to(device))
    optimizer = AdamW(
        model.trainable_parameters(),
        lr=train.learning_rate,
        betas=train.betas,
        eps=train.eps,
        weight_decay=train.weight_decay,
        fused=device.type == "cuda",  # one kernel for all parameters
    )
    scheduler = CosineAnnealingLR(optimizer, T_max=train.epochs * len(batches["train"]))
    state = TrainingState(model, accelerator.prepare(optimizer), scheduler, accelerator)
    micro_batches = replace(workplace.micro_batches, size=train.micro_batch_size)
    fold = Fold(
        config=config,
        dataset=dataset,
        split=split,
        micro_batches=micro_batches,
        model=model,
        network=network,
        indices=indices,
        batches=batches,
        loss=loss,
        stretches=workplace.stretches,
        state=state,
    )
    if fold.checkpoint.is_file():
        state.load(fold.checkpoint)
        micro_batches.size = state.micro_batch_size
    return fold
