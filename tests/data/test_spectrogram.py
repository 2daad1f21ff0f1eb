"""Spectrograms: the numbers the paper's pipeline had, whatever the batch around a clip."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import ASTFeatureExtractor

from petl_ast.config import SpectrogramConfig
from petl_ast.data.audio import read_waveform
from petl_ast.data.spectrogram import log_mel, number_of_frames

RATE = 16000
WINDOW, HOP = 400, 160  # samples at 16 kHz
FLOOR = np.log(1.1920929e-07)
TOLERANCE = 1e-3

GOLDEN_CLIPS = [
    "1-100032-A-0.ogg",
    "1-43382-A-1.ogg",
    "2-127108-A-38.ogg",
    "2-81731-A-10.ogg",
    "3-151080-A-20.ogg",
    "4-161579-A-40.ogg",
    "4-185575-B-20.ogg",
    "5-198411-D-20.ogg",
]


def normalised(value: float, config: SpectrogramConfig) -> float:
    return (value - config.mean) / (2 * config.std)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


@pytest.mark.parametrize("name", GOLDEN_CLIPS)
def test_real_clips_match_the_reference(golden, esc10_root, name):
    with np.load(golden / "fbank_esc10.npz") as records:
        assert sorted(records) == GOLDEN_CLIPS
        expected = records[name]  # every fourth frame
    waveform = read_waveform(esc10_root / "audio" / name, RATE)
    got = log_mel([waveform], SpectrogramConfig(max_length=500))[0, ::4].numpy()
    np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE)


@cache
def extractor() -> ASTFeatureExtractor:
    return ASTFeatureExtractor()


@pytest.mark.filterwarnings("ignore:At least one mel filter:UserWarning")
@settings(deadline=None, max_examples=60)
@given(
    samples=st.integers(WINDOW, 24000),
    max_length=st.integers(1, 200),
    amplitude=st.sampled_from([0.0, 1e-6, 1e-4, 1e-2, 1.0, 30.0]),
    frequency=st.floats(50, 7000),
    offset=st.floats(-0.5, 0.5),
    seed=st.integers(0, 1000),
)
def test_agrees_with_transformers_extractor(samples, max_length, amplitude, frequency, offset, seed):
    """A tone in noise, on a constant offset. The noise keeps every bin above float32's rounding errors."""
    tone = np.sin(2 * np.pi * frequency * np.arange(samples) / RATE)
    waveform = (amplitude * (tone + noise(samples, seed) + offset)).astype(np.float32)
    reference = extractor()
    reference.max_length = max_length
    expected = reference(waveform, sampling_rate=RATE, return_tensors="np")["input_values"]
    got = log_mel([waveform], SpectrogramConfig(max_length=max_length))
    assert got.dtype == torch.float32
    assert got.shape == expected.shape == (1, max_length, 128)
    np.testing.assert_allclose(got.numpy(), expected, rtol=0, atol=TOLERANCE)


@settings(deadline=None, max_examples=25)
@given(
    lengths=st.lists(st.integers(1, 6000), min_size=2, max_size=5),
    max_length=st.integers(1, 50),
)
def test_clip_does_not_depend_on_its_batch(lengths, max_length):
    config = SpectrogramConfig(max_length=max_length)
    waveforms = [noise(length, seed) for seed, length in enumerate(lengths)]
    together = log_mel(waveforms, config)
    assert together.shape == (len(lengths), max_length, 128)
    for waveform, row in zip(waveforms, together, strict=True):
        torch.testing.assert_close(row, log_mel([waveform], config)[0], rtol=0, atol=1e-4)


@settings(deadline=None, max_examples=50)
@given(samples=st.integers(1, 8000), mean=st.floats(-10, 10), std=st.floats(0.1, 10))
def test_frames_behind_the_end_are_zero_before_normalising(samples, mean, std):
    config = SpectrogramConfig(max_length=100, mean=mean, std=std)
    frames = number_of_frames(samples, RATE)
    (got,) = log_mel([noise(samples)], config)
    padding = torch.tensor(normalised(0.0, config), dtype=torch.float32)
    torch.testing.assert_close(got[frames:], padding.expand(100 - frames, 128))
    assert not torch.isclose(got[:frames], padding).all(dim=1).any()


@settings(deadline=None, max_examples=30)
@given(samples=st.integers(1, 8000), max_length=st.integers(1, 60))
def test_longer_clip_is_cut_at_the_end(samples, max_length):
    short, long = SpectrogramConfig(max_length=max_length), SpectrogramConfig(max_length=max_length + 40)
    waveform = noise(samples)
    torch.testing.assert_close(
        log_mel([waveform], short)[0], log_mel([waveform], long)[0, :max_length], rtol=0, atol=1e-4
    )


def test_mean_and_std_normalise():
    raw = SpectrogramConfig(max_length=60, mean=0.0, std=0.5)
    other = replace(raw, mean=-6.6268, std=5.3585)
    values = log_mel([noise(8000)], raw)
    torch.testing.assert_close(log_mel([noise(8000)], other), (values + 6.6268) / (2 * 5.3585))


@pytest.mark.parametrize(
    ("samples", "rate", "frames"),
    [
        (5 * RATE, RATE, 498),
        (1, RATE, 1),
        (WINDOW - 1, RATE, 1),
        (WINDOW, RATE, 1),
        (WINDOW + HOP - 1, RATE, 1),
        (WINDOW + HOP, RATE, 2),
        (5 * 8000, 8000, 498),
        (5 * 44100, 44100, 498),
    ],
)
def test_number_of_frames(samples, rate, frames):
    assert number_of_frames(samples, rate) == frames


@pytest.mark.parametrize("samples", [1, 2, WINDOW - 1])
def test_clip_shorter_than_a_window_is_padded_to_one(samples):
    config = SpectrogramConfig(max_length=3)
    waveform = noise(samples)
    padded = np.pad(waveform, (0, WINDOW - samples))
    got = log_mel([waveform], config)
    torch.testing.assert_close(got, log_mel([padded], config), rtol=0, atol=1e-4)


def test_sound_of_a_clip_shorter_than_a_window_is_heard():
    config = SpectrogramConfig(max_length=1)
    assert log_mel([noise(WINDOW - 1)], config).mean() > normalised(FLOOR, config) + 0.5


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_silence_and_constant_offset_lie_at_the_floor(value):
    config = SpectrogramConfig(max_length=12)
    got = log_mel([np.full(2000, value, dtype=np.float32)], config)
    frames = number_of_frames(2000, RATE)
    torch.testing.assert_close(
        got[0, :frames], torch.full((frames, 128), normalised(FLOOR, config)), rtol=0, atol=1e-5
    )
    assert torch.isfinite(got).all()


@pytest.mark.parametrize("num_mel_bins", [40, 128])
@pytest.mark.parametrize("rate", [8000, RATE, 22050, 44100])
@pytest.mark.parametrize("frequency", [300, 1000, 3000])
def test_tone_peaks_in_its_mel_bin(frequency, rate, num_mel_bins):
    """Bins are equally wide on Kaldi's mel scale between 20 Hz and half the rate, whatever the sizes."""

    def mel(hertz: float) -> float:
        return 1127.0 * np.log1p(hertz / 700.0)

    config = SpectrogramConfig(sampling_rate=rate, num_mel_bins=num_mel_bins, max_length=40)
    waveform = np.sin(2 * np.pi * frequency * np.arange(rate // 2) / rate).astype(np.float32)
    spectrogram = log_mel([waveform], config)[0]
    assert spectrogram.shape == (40, num_mel_bins)
    centre = (mel(frequency) - mel(20)) / (mel(rate / 2) - mel(20)) * (num_mel_bins + 1) - 1
    distance = (spectrogram.argmax(dim=1) - centre).abs()
    assert distance.max() <= 2


def test_input_may_be_a_view_and_stays_as_it_is():
    buffer = noise(8000)
    kept = buffer.copy()
    config = SpectrogramConfig(max_length=30)
    torch.testing.assert_close(log_mel([buffer[::-2]], config), log_mel([kept[::-2].copy()], config))
    np.testing.assert_array_equal(buffer, kept)
