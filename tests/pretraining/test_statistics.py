"""What a clip is described by: each statistic tells what it says, and nothing else moves it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from petl_ast.pretraining.statistics import (
    BANDS,
    CEPSTRA,
    MODULATIONS,
    STATISTICS,
    WIDE_BANDS,
    clip_statistics,
)

FRAMES, BINS = 500, 128


def parts(spectrograms: Tensor) -> dict[str, Tensor]:
    sizes = [BANDS, BANDS, BANDS, BANDS, WIDE_BANDS * MODULATIONS, CEPSTRA]
    names = ["mean", "deviation", "skew", "flux", "modulation", "cepstra"]
    return dict(zip(names, clip_statistics(spectrograms).split(sizes, dim=1), strict=True))


def noise(clips: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(clips, FRAMES, BINS, generator=torch.Generator().manual_seed(seed)) / 2


def test_there_are_240_of_each_clip_whatever_is_beside_it() -> None:
    clips = noise()
    assert clip_statistics(clips).shape == (3, STATISTICS) == (3, 240)
    torch.testing.assert_close(clip_statistics(clips)[1:2], clip_statistics(clips[1:2]))


@settings(deadline=None, max_examples=20)
@given(st.floats(-3, 3))
def test_level_moves_the_means_alone(level: float) -> None:
    before, after = parts(noise()), parts(noise() + level)
    torch.testing.assert_close(after.pop("mean"), before.pop("mean") + level, atol=1e-4, rtol=0)
    for name, values in after.items():
        torch.testing.assert_close(values, before[name], atol=2e-3, rtol=1e-3, msg=name)


def test_the_direction_of_time_is_not_told() -> None:
    torch.testing.assert_close(
        clip_statistics(noise().flip(1)), clip_statistics(noise()), atol=1e-3, rtol=1e-3
    )


@pytest.mark.parametrize(("hertz", "octave"), [(0.2, 0), (1.0, 2), (5.0, 4), (10.0, 5), (40.0, 7)])
def test_a_rhythm_shows_in_its_octave(hertz: float, octave: int) -> None:
    wave = torch.sin(2 * torch.pi * hertz * torch.arange(FRAMES) / 100)
    told = parts(wave[None, :, None].expand(1, FRAMES, BINS))["modulation"].view(WIDE_BANDS, MODULATIONS)
    assert (told.argmax(dim=1) == octave).all()


@pytest.mark.parametrize("ripples", [1, 7, 48])
def test_ripples_over_frequency_show_in_their_coefficient(ripples: int) -> None:
    wave = torch.cos(torch.pi * ripples * (torch.arange(BINS) + 0.5) / BINS)
    assert parts(wave.expand(1, FRAMES, BINS))["cepstra"].argmax() == ripples - 1


def test_a_clip_of_one_value_has_finite_statistics() -> None:
    assert clip_statistics(torch.zeros(1, FRAMES, BINS)).isfinite().all()


@pytest.mark.parametrize("shape", [(1, 255, 128), (1, 500, 100)])
def test_what_cannot_be_described_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=f"{shape[1]} frames of {shape[2]} mel bins"):
        clip_statistics(torch.zeros(shape))
