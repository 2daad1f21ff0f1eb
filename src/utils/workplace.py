"""What all folds of a run share: device, clips, and how a fold's model is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor

from ..config import RunConfig
from ..data.batches import Batches, place
from ..data.dataset import AudioDataset
from ..data.stretches import Stretches
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
            them, [clips, d]; with `stretches` every stretch, a view [stretches, T, mel bins].
        labels: [clips], or [clips, classes] of 0 and 1 where a clip may have several.
        micro_batches: How many clips go through the model at once.
        stretches: Where the clips lie, if some are longer than T.
    """

    accelerator: Accelerator
    clips: Tensor
    labels: Tensor
    micro_batches: MicroBatches
    stretches: Stretches | None = None

    @property
    def has_summaries(self) -> bool:
        """Whether `clips` are summaries."""
        return self.clips.ndim == 2

    def evaluation_batches(self, indices: Sequence[int], batch_size: int) -> Batches:
        """The clips at `indices` in order, those that are longer than T in windows."""
        owners, positions = self.stretches.windows(indices) if self.stretches else (indices, None)
        device = self.accelerator.device
        return Batches(self.clips, self.labels, owners, batch_size, device, positions)


def has_fixed_features(model: ASTWithAdapter, config: RunConfig, long_clips: bool) -> bool:
    """Whether every epoch would compute the same features: nothing before the final LayerNorm trains,
    nothing is augmented, and there are no `long_clips` of which each epoch hears other stretches.
    """
    masks = config.augment.frequency_mask or config.augment.time_mask
    return model.fixed_features and not masks and not long_clips


def set_up(
    config: RunConfig,
    dataset: AudioDataset,
    model: ASTWithAdapter,
    accelerator: Accelerator,
    micro_batches: MicroBatches,
    on_batch: Callable[[int], None],
) -> Workplace:
    """Put the clips where training wants them.

    If every epoch of every fold would compute the same features (`has_fixed_features`), they are computed
    here, once.

    Args:
        config: Of the run.
        dataset: All clips.
        model: One of the run's models, just built.
        accelerator: Device and precision.
        micro_batches: How many clips go through the model at once.
        on_batch: Called with the number of batches to come before each batch of features; for progress bars.
    """
    clips, labels = dataset.tensors()
    if has_fixed_features(model, config, dataset.has_long_clips()):
        batches = Batches(clips, labels, range(len(clips)), config.train.batch_size, accelerator.device)
        model.to(accelerator.device)
        summaries = []
        for x, _ in batches:
            on_batch(len(batches))
            summaries.append(compute_in_parts(model.summary, x, accelerator, micro_batches))
        clips = torch.cat(summaries)
    return workplace(clips, labels, dataset.stretches, accelerator, micro_batches)


def workplace(
    clips: Tensor,
    labels: Tensor,
    stretches: Stretches | None,
    accelerator: Accelerator,
    micro_batches: MicroBatches,
) -> Workplace:
    """Clips and labels on the device if there is room."""
    device = accelerator.device
    clips = place(clips, device)
    if stretches:
        clips = stretches.heard(clips)
    return Workplace(accelerator, clips, place(labels, device), micro_batches, stretches)
