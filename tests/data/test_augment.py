"""SpecAugment: one band and one stretch of zeros per clip, drawn from the given generator alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from petl_ast.config import AugmentConfig
from petl_ast.data.augment import spec_augment


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def is_one_run(masked: Tensor) -> bool:
    """Whether the True values of a vector stand side by side."""
    positions = masked.nonzero().flatten()
    return len(positions) == 0 or int(positions[-1] - positions[0]) + 1 == len(positions)


def frequency_masks(clips: int, mel_bins: int, limit: int, seed: int = 0) -> Tensor:
    """Masks without any time mask: bool [clips, mel bins]."""
    config = AugmentConfig(frequency_mask=limit, time_mask=0)
    return spec_augment(torch.ones(clips, 1, mel_bins), config, generator(seed))[:, 0] == 0


def time_masks(clips: int, frames: int, limit: int, seed: int = 0) -> Tensor:
    """Masks without any frequency mask: bool [clips, frames]."""
    config = AugmentConfig(frequency_mask=0, time_mask=limit)
    return spec_augment(torch.ones(clips, frames, 1), config, generator(seed))[:, :, 0] == 0


@settings(deadline=None)
@given(
    clips=st.integers(1, 6),
    frames=st.integers(1, 100),
    mel_bins=st.integers(1, 40),
    frequency_mask=st.integers(0, 150),
    time_mask=st.integers(0, 150),
    seed=st.integers(0, 2**32),
)
def test_each_clip_loses_one_band_and_one_stretch(clips, frames, mel_bins, frequency_mask, time_mask, seed):
    x = torch.rand(clips, frames, mel_bins, generator=generator(seed)) + 1
    before = x.clone()
    got = spec_augment(x, AugmentConfig(frequency_mask, time_mask), generator(seed))
    assert torch.equal(x, before)
    assert got.shape == x.shape
    assert got.dtype == x.dtype
    zeros = got == 0
    assert torch.equal(got[~zeros], x[~zeros])
    for clip in zeros:
        bins, stretch = clip.all(dim=0), clip.all(dim=1)
        assert torch.equal(clip, bins | stretch.unsqueeze(1))
        assert is_one_run(bins)
        assert is_one_run(stretch)
        assert int(bins.sum()) <= max(0, min(frequency_mask, mel_bins) - 1)
        assert int(stretch.sum()) <= max(0, min(time_mask, frames) - 1)


def test_masked_values_are_zero_even_where_the_input_is_not_finite():
    x = torch.full((8, 50, 30), torch.inf)
    got = spec_augment(x, AugmentConfig(20, 40), generator())
    assert (got == 0).any()
    assert ((got == 0) | (got == torch.inf)).all()


def test_limits_of_zero_change_nothing():
    x = torch.randn(4, 50, 30, generator=generator())
    assert torch.equal(spec_augment(x, AugmentConfig(0, 0), generator()), x)


@pytest.mark.parametrize("config", [AugmentConfig(1, 1), AugmentConfig(0, 1)])
def test_width_is_below_the_limit_so_one_is_none(config):
    x = torch.ones(100, 10, 10)
    assert torch.equal(spec_augment(x, config, generator()), x)


def test_each_mask_has_its_own_axis():
    bands = spec_augment(torch.ones(50, 20, 30), AugmentConfig(15, 0), generator()) == 0
    assert bands.any()
    assert torch.equal(bands, bands[:, :1].expand_as(bands))
    stretches = spec_augment(torch.ones(50, 20, 30), AugmentConfig(0, 15), generator()) == 0
    assert stretches.any()
    assert torch.equal(stretches, stretches[:, :, :1].expand_as(stretches))


def test_same_generator_state_same_masks_and_it_moves_on():
    x = torch.ones(16, 100, 128)
    first, second = generator(3), generator(3)
    config = AugmentConfig()
    one = spec_augment(x, config, first)
    assert torch.equal(one, spec_augment(x, config, second))
    assert not torch.equal(one, spec_augment(x, config, first))
    assert not torch.equal(one, spec_augment(x, config, generator(4)))


def test_global_random_state_is_left_alone():
    before = torch.get_rng_state()
    spec_augment(torch.ones(4, 50, 30), AugmentConfig(), generator())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("masks", [frequency_masks(64, 128, 24), time_masks(64, 500, 80)])
def test_clips_get_masks_of_their_own(masks):
    assert len({tuple(mask.tolist()) for mask in masks}) > 50


@pytest.mark.parametrize(
    ("masks", "limit"),
    [
        (frequency_masks(4000, 128, 24), 24),
        (time_masks(4000, 500, 80), 80),
        (time_masks(4000, 30, 80), 30),  # the clip is shorter than the limit
    ],
)
def test_widths_and_places_are_uniform(masks, limit):
    size = masks.shape[1]
    widths = masks.sum(dim=1)
    assert sorted(set(widths.tolist())) == list(range(limit))
    assert float(widths.float().mean()) == pytest.approx((limit - 1) / 2, rel=0.05)
    masked = widths > 0
    starts = masks[masked].int().argmax(dim=1)
    room = size - widths[masked]
    assert float(((starts + 0.5) / room).mean()) == pytest.approx(0.5, abs=0.05)
    assert masks[:, 0].any()
    assert masks[:, size - 2].any()


def test_band_and_stretch_are_drawn_independently():
    zeros = spec_augment(torch.ones(2000, 60, 30), AugmentConfig(20, 40), generator()) == 0
    widths = torch.stack((zeros.all(dim=1).sum(dim=1), zeros.all(dim=2).sum(dim=1))).float()
    assert abs(float(torch.corrcoef(widths)[0, 1])) < 0.1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_precision_is_kept(dtype):
    got = spec_augment(torch.ones(8, 50, 30, dtype=dtype), AugmentConfig(20, 40), generator())
    assert got.dtype == dtype
    assert (got == 0).any()
