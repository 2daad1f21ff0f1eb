"""SpecAugment on a whole batch, on the batch's device, each clip with masks of its own."""

from __future__ import annotations

import torch
from torch import Tensor

from ..config import AugmentConfig


def spec_augment(spectrograms: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Fill one band of mel bins and one stretch of frames of every clip with 0.

    Width w ~ U[0, limit) and start ~ U[0, size - w), both rounded down, drawn per clip (Park et al., 2019,
    without time warping; limits as in Cappellazzo et al., 2024). 0 is near the mean of a normalised
    spectrogram.

    Args:
        spectrograms: [clips, frames, mel bins]; left as it is.
        config: The limits.
        generator: Source of the draws, on the batch's device.
    """
    clips, frames, mel_bins = spectrograms.shape
    masked = _mask(clips, mel_bins, config.frequency_mask, generator).unsqueeze(1)  # [clips, 1, mel bins]
    masked = masked | _mask(clips, frames, config.time_mask, generator).unsqueeze(
        2
    )  # [clips, frames, mel bins]
    return spectrograms.masked_fill(masked, 0.0)


def _mask(clips: int, size: int, limit: int, generator: torch.Generator) -> Tensor:
    """True where a clip is masked: bool [clips, size]."""
    draws = torch.rand(2, clips, 1, generator=generator, device=generator.device)
    width = draws[0] * min(limit, size)
    start = (draws[1] * (size - width)).floor()
    positions = torch.arange(size, device=generator.device)
    return (positions >= start) & (positions < start + width.floor())
