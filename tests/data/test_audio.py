"""Decoding: what libsndfile reads becomes mono float32 at the wanted rate, anything else an error."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from librosa import resample

from petl_ast.data.audio import WHOLE, read_waveform
from petl_ast.errors import UserError

RATE = 16000


def noise(samples: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(samples + channels).uniform(-0.9, 0.9, (samples, channels))


def tone(frequency: float, rate: int, seconds: float) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def rms(waveform: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))


@pytest.mark.parametrize(
    ("suffix", "subtype", "step"),
    [
        ("wav", "PCM_U8", 2**-7),
        ("wav", "PCM_16", 2**-15),
        ("wav", "PCM_24", 2**-22),  # float32 itself resolves no finer
        ("wav", "PCM_32", 2**-22),
        ("wav", "FLOAT", 2**-22),
        ("wav", "DOUBLE", 2**-22),
        ("flac", "PCM_16", 2**-15),
        ("flac", "PCM_24", 2**-22),
    ],
)
def test_samples_survive_in_every_encoding(tmp_path, suffix, subtype, step):
    path, samples = tmp_path / f"clip.{suffix}", noise(1000)
    soundfile.write(path, samples, RATE, subtype=subtype)
    waveform = read_waveform(path, RATE)
    assert waveform.shape == (1000,)
    assert waveform.dtype == np.float32
    np.testing.assert_allclose(waveform, samples[:, 0], rtol=0, atol=step)


def test_ogg_keeps_sound_and_length(tmp_path):
    path, samples = tmp_path / "clip.ogg", tone(440, RATE, 1.0)
    soundfile.write(path, samples, RATE)
    waveform = read_waveform(path, RATE)
    assert waveform.shape == samples.shape
    assert waveform.dtype == np.float32
    assert rms(waveform - samples) < 0.05 * rms(samples)  # Vorbis is lossy


@pytest.mark.parametrize("channels", [2, 8])
def test_channels_are_averaged(tmp_path, channels):
    path, samples = tmp_path / "clip.wav", noise(1000, channels)
    soundfile.write(path, samples, RATE, subtype="FLOAT")
    waveform = read_waveform(path, RATE)
    assert waveform.shape == (1000,)
    assert waveform.dtype == np.float32
    np.testing.assert_allclose(waveform, samples.mean(axis=1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("target", [RATE, 22050])
@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000, 384000])
def test_resampling_keeps_pitch_loudness_and_length(tmp_path, rate, target):
    path = tmp_path / "clip.wav"
    soundfile.write(path, tone(1000, rate, 0.5), rate, subtype="FLOAT")
    waveform = read_waveform(path, target)
    assert waveform.dtype == np.float32
    assert abs(len(waveform) - 0.5 * target) <= 1
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    assert np.argmax(spectrum) * target / len(waveform) == pytest.approx(1000, abs=2.5)
    assert rms(waveform) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)


def test_resampling_averages_channels(tmp_path):
    path, left = tmp_path / "clip.wav", tone(1000, 44100, 0.5)
    soundfile.write(path, np.stack([left, np.zeros_like(left)], axis=1), 44100, subtype="FLOAT")
    waveform = read_waveform(path, RATE)
    assert waveform.shape == (8000,)
    assert rms(waveform) == pytest.approx(0.25 / np.sqrt(2), rel=0.02)


def test_sound_above_half_the_new_rate_is_removed_not_folded_down(tmp_path):
    path = tmp_path / "clip.wav"
    soundfile.write(path, tone(10000, 44100, 0.5), 44100, subtype="FLOAT")
    inside = read_waveform(path, RATE)[500:-500]  # the ends ring
    assert rms(inside) < 1e-3


@pytest.mark.parametrize("rate", [8000, 44100, 384000])
def test_one_sample_is_a_clip(tmp_path, rate):
    path = tmp_path / "clip.wav"
    soundfile.write(path, np.array([0.5]), rate)
    waveform = read_waveform(path, RATE)
    assert len(waveform) >= 1
    assert np.isfinite(waveform).all()


def cut(path: Path, keep: float, **options: str) -> None:
    soundfile.write(path, noise(RATE), RATE, **options)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])


def with_value(path: Path, value: float, channels: int, rate: int = RATE) -> None:
    samples = noise(1000, channels)
    samples[500, -1] = value
    soundfile.write(path, samples, rate, subtype="FLOAT")


# How to make the file, and what the message must say of it.
UNUSABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing.wav": (lambda path: None, "no such audio file"),
    "folder.wav": (lambda path: path.mkdir(), "no such audio file"),
    "dangling-link.wav": (lambda path: path.symlink_to(path.with_name("nothing")), "no such audio file"),
    "empty.wav": (lambda path: path.touch(), "cannot be decoded"),
    "text.wav": (lambda path: path.write_text("404: Not Found\n" * 100), "cannot be decoded"),
    "binary.wav": (lambda path: path.write_bytes(bytes(range(256)) * 20), "cannot be decoded"),
    "header-cut.wav": (lambda path: path.write_bytes(b"RIFF\x24\x7d\x00\x00WAVEfmt "), "cannot be decoded"),
    "header-cut.flac": (lambda path: cut(path, 0.001), "cannot be decoded"),
    "half.flac": (lambda path: cut(path, 0.5), "cannot be decoded"),
    "header-cut.ogg": (lambda path: cut(path, 0.01), "cannot be decoded"),
    "no-samples.wav": (lambda path: soundfile.write(path, noise(0), RATE), "no samples"),
    "no-samples-44k.wav": (lambda path: soundfile.write(path, noise(0), 44100), "no samples"),
    "nan.wav": (lambda path: with_value(path, np.nan, 1), "not finite"),
    "infinite.wav": (lambda path: with_value(path, -np.inf, 1), "not finite"),
    "nan-in-one-channel.wav": (lambda path: with_value(path, np.nan, 2), "not finite"),
    "nan-44k.wav": (lambda path: with_value(path, np.nan, 1, 44100), "not finite"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_file_is_named_with_what_is_wrong(tmp_path, name):
    make, reason = UNUSABLE[name]
    make(tmp_path / name)
    with pytest.raises(UserError, match=reason) as caught:
        read_waveform(tmp_path / name, RATE)
    assert str(tmp_path / name) in str(caught.value)


def test_absurdly_large_samples_are_refused(tmp_path):
    path = tmp_path / "huge.wav"
    soundfile.write(path, np.full(800, 1e20), 16000, subtype="FLOAT")
    with pytest.raises(UserError, match=r"huge.wav: holds samples"):
        read_waveform(path, 16000)


# No more of a file than is wanted

WANTED = 80240  # five seconds and the last window


def as_before(path: Path, rate: int) -> np.ndarray:
    """The whole file at once, decoded, averaged and resampled."""
    samples, file_rate = soundfile.read(path, dtype="float32", always_2d=True)
    waveform = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
    return (
        waveform
        if file_rate == rate
        else resample(waveform, orig_sr=file_rate, target_sr=rate, res_type="soxr_hq")
    )


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_five_seconds_are_the_same_bits_as_when_read_at_once(tmp_path, rate, channels):
    path = tmp_path / "clip.flac"
    soundfile.write(path, noise(5 * rate, channels), rate)
    np.testing.assert_array_equal(read_waveform(path, RATE, WANTED), as_before(path, RATE))
    np.testing.assert_array_equal(read_waveform(path, RATE), as_before(path, RATE))


def test_real_clips_are_the_same_bits_as_when_read_at_once(esc10_root):
    for path in sorted((esc10_root / "audio").iterdir())[::40]:
        np.testing.assert_array_equal(read_waveform(path, RATE, WANTED), as_before(path, RATE))


@pytest.mark.parametrize("rate", [16000, 44100, 384000])
def test_the_start_of_a_long_file_is_that_of_the_whole(tmp_path, rate):
    path, samples = tmp_path / "long.wav", 2 * WHOLE + 12345
    soundfile.write(path, noise(samples), rate)
    start, whole = read_waveform(path, RATE, WANTED), as_before(path, RATE)
    assert WANTED <= len(start) < len(whole)
    np.testing.assert_allclose(start[:WANTED], whole[:WANTED], rtol=0, atol=1e-6)


def test_an_hour_takes_little_memory(tmp_path):
    path = tmp_path / "hour.flac"
    with soundfile.SoundFile(path, "w", 44100, 2) as file:
        for _ in range(60):
            file.write(np.zeros((60 * 44100, 2)))
    tracemalloc.start()
    try:
        assert len(read_waveform(path, RATE, WANTED)) >= WANTED
        assert tracemalloc.get_traced_memory()[1] < 100e6  # the hour has 1270e6
    finally:
        tracemalloc.stop()
