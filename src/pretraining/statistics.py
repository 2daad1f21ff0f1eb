"""Numbers that describe a clip as a whole, computed from its spectrogram alone: what a model that hears only
some patches can be asked about all of them.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

BANDS, WIDE_BANDS = 32, 8  # groups of neighbouring mel bins
MODULATIONS = 8  # octaves of the modulation spectrum
CEPSTRA = 48  # coefficients 1 to 48
STATISTICS = 4 * BANDS + WIDE_BANDS * MODULATIONS + CEPSTRA  # 240
FEWEST_FRAMES = 256  # below this the octaves of the modulation spectrum run out of bins
FLOOR = 1e-4  # added to powers before the logarithm; spectrograms vary by about 0.5


def clip_statistics(spectrograms: Tensor) -> Tensor:
    """Statistics [clips, 240] of normalised spectrograms [clips, frames, mel bins].

    Over time, in 32 bands: mean, deviation, skewness, and flux (mean of the change from frame to frame). In 8
    bands: log-power of the modulation spectrum in 8 octaves, from the clip's length up to 50 Hz. Over
    frequency: log-energy of 48 cepstral coefficients.

    Raises:
        ValueError: if the spectrograms are too short, or their mel bins do not divide into 32 bands.
    """
    clips, frames, bins = spectrograms.shape
    if frames < FEWEST_FRAMES or bins % BANDS:
        raise ValueError(
            f"{frames} frames of {bins} mel bins; at least {FEWEST_FRAMES}, a multiple of {BANDS}"
        )
    bands = spectrograms.view(clips, frames, BANDS, -1).mean(dim=3)
    deviation, mean = torch.std_mean(bands, dim=1, correction=0)
    skew = (((bands - mean[:, None]) / (deviation[:, None] + 0.01)) ** 3).mean(dim=1)
    flux = bands.diff(dim=1).abs().mean(dim=1)

    wide = bands.view(clips, frames, WIDE_BANDS, -1).mean(dim=3)
    power = torch.fft.rfft(wide - wide.mean(dim=1, keepdim=True), dim=1, norm="ortho").abs().square()
    modulation = torch.einsum("cfb,of->cbo", power, _octaves(frames)).add(FLOOR).log()

    cepstra = spectrograms @ _cosines(bins)
    energy = cepstra.square().mean(dim=1).add(FLOOR).log()
    return torch.cat((mean, deviation, skew, flux, modulation.flatten(1), energy), dim=1)


@cache
def _octaves(frames: int) -> Tensor:
    """Weights [8, frames / 2 + 1] that average the bins of each octave, from bin 1 to the last."""
    edges = torch.logspace(0, math.log10(frames // 2 + 1), MODULATIONS + 1).round().long()
    weights = torch.zeros(MODULATIONS, frames // 2 + 1)
    for row, low, high in zip(weights, edges[:-1], edges[1:], strict=True):
        row[low:high] = 1 / (high - low)
    return weights


@cache
def _cosines(bins: int) -> Tensor:
    """The cosine transform's columns 1 to 48: [bins, 48]."""
    places = (torch.arange(bins) + 0.5) / bins
    return torch.cos(math.pi * torch.outer(places, torch.arange(1, CEPSTRA + 1))) * math.sqrt(2 / bins)
