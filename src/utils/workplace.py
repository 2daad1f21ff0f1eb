"""What all folds of a run share: device, clips, and how a fold's model is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor

from ..config import RunConfig
from ..data.batches import Batches, place
from ..data.dataset import AudioDataset
from ..errors import UserError
from ..models.ast_with_adapter import ASTWithAdapter
from ..models.build import build_model
from .engine import compute_in_parts
from .micro_batches import MicroBatches
from .seeding import stream_seed


def new_model(config: RunConfig, dataset: AudioDataset, test_fold: int) -> ASTWithAdapter:
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

    @property
    def has_summaries(self) -> bool:
        """Whether `clips` are summaries."""
        return self.clips.ndim == 2


def has_fixed_features(model: ASTWithAdapter, config: RunConfig) -> bool:
    """Whether every epoch would compute the same features: nothing before the final LayerNorm trains, and
    nothing is augmented.
    """
    return model.fixed_features and not (config.augment.frequency_mask or config.augment.time_mask)


def set_up(
    config: RunConfig,
    dataset: AudioDataset,
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
    if has_fixed_features(model, config):
        batches = Batches(clips, labels, range(len(clips)), config.train.batch_size, accelerator.device)
        model.to(accelerator.device)
        summaries = []
        for x, _ in batches:
            on_batch(len(batches))
            summaries.append(compute_in_parts(model.summary, x, accelerator, micro_batches))
        clips = torch.cat(summaries)
    device = accelerator.device
    return Workplace(accelerator, place(clips, device), place(labels, device), micro_batches)
