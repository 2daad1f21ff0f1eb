"""Recordings of any length: as a stream they are what they are at once, and windows leave nothing out."""

from __future__ import annotations

import itertools
import threading
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from librosa import resample

from petl_ast.config import SpectrogramConfig
from petl_ast.data.audio import read_waveform
from petl_ast.data.recording import cut, hear, hop_samples, in_order, stream_waveform, whole_spectrogram
from petl_ast.data.spectrogram import log_mel, number_of_frames, samples_heard
from petl_ast.errors import UserError

RATE = 16000
CONFIG = SpectrogramConfig(max_length=48)  # windows of 7,920 samples


def noise(samples: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(samples + channels).uniform(-0.9, 0.9, (samples, channels))


# ---- the stream --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("rate", [100, 8000, 11025, 16000, 22050, 44100, 48000, 96000, 384000, 768000])
def test_a_stream_is_the_same_bits_as_the_file_at_once(tmp_path: Path, rate: int, channels: int) -> None:
    """Tolerance: none. Lengths that do and do not divide, of several blocks and of one sample."""
    for samples in (1, 5, rate // 3 + 1, 300_001):
        path = tmp_path / f"{samples}.wav"
        soundfile.write(path, noise(samples, channels), rate)
        np.testing.assert_array_equal(
            np.concatenate(list(stream_waveform(path, RATE))), read_waveform(path, RATE)
        )


@settings(deadline=None, max_examples=60)
@given(st.integers(1000, 96000), st.integers(1000, 96000), st.integers(1, 3000))
def test_any_rate_to_any_other(tmp_path_factory: pytest.TempPathFactory, rate: int, to: int, n: int) -> None:
    path = tmp_path_factory.mktemp("rates") / "clip.wav"
    samples = noise(n).astype(np.float32)
    soundfile.write(path, samples, rate, subtype="FLOAT")
    expected = samples[:, 0]
    if rate != to:
        expected = resample(expected, orig_sr=rate, target_sr=to, res_type="soxr_hq")
    np.testing.assert_array_equal(np.concatenate(list(stream_waveform(path, to))), expected)


def test_real_clips_are_the_same_bits(esc10_root: Path) -> None:
    for path in sorted((esc10_root / "audio").iterdir())[::40]:
        stream = np.concatenate(list(stream_waveform(path, RATE)))
        np.testing.assert_array_equal(stream, read_waveform(path, RATE))


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    """Twenty minutes of stereo take what two minutes take."""
    peaks = []
    for minutes in (2, 20):
        path = tmp_path / f"{minutes}.flac"
        with soundfile.SoundFile(path, "w", 44100, 2) as file:
            for _ in range(minutes):
                file.write(np.zeros((60 * 44100, 2)))
        tracemalloc.start()
        try:
            total = sum(map(len, stream_waveform(path, RATE)))
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert total == minutes * 60 * RATE
    assert peaks[1] < 1.2 * peaks[0] < 10e6


@pytest.mark.parametrize("rate", [100, 1000])
def test_a_low_rate_takes_no_more_memory(tmp_path: Path, rate: int) -> None:
    """Ten minutes, which resampling makes 16 or 160 times as many samples; blocks of 2^18, copied."""
    soundfile.write(tmp_path / "slow.wav", np.zeros(600 * rate), rate)
    tracemalloc.start()
    try:
        assert sum(map(len, stream_waveform(tmp_path / "slow.wav", RATE))) == 600 * RATE
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()


def test_a_stream_says_what_is_wrong_when_it_gets_there(tmp_path: Path) -> None:
    samples = np.zeros(60 * 16000, np.float32)
    samples[-1] = np.inf
    late, empty = tmp_path / "late.wav", tmp_path / "empty.wav"
    soundfile.write(late, samples, RATE, subtype="FLOAT")
    soundfile.write(empty, samples[:0], RATE)
    stream = stream_waveform(late, RATE)
    assert len(next(stream)) > 0
    with pytest.raises(UserError, match=r"late\.wav: holds samples that are not finite"):
        list(stream)
    with pytest.raises(UserError, match=r"empty\.wav: holds no samples"):
        list(stream_waveform(empty, RATE))


# ---- windows -----------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.data())
def test_windows_cover_every_sample_in_order(data: st.DataObject) -> None:
    """Whatever the lengths, and however the waveform comes in blocks."""
    length = data.draw(st.integers(1, 60))
    hop, least = data.draw(st.integers(1, length)), data.draw(st.integers(1, length))
    waveform = np.arange(data.draw(st.integers(1, 500)), dtype=np.float32)
    edges = sorted(data.draw(st.lists(st.integers(0, len(waveform)), max_size=8)))
    blocks = [waveform[a:b] for a, b in itertools.pairwise([0, *edges, len(waveform)])]
    windows = [(start, samples.copy()) for start, samples in cut(blocks, length, hop, least)]

    for start, samples in windows:
        np.testing.assert_array_equal(samples, waveform[start : start + len(samples)])
    starts = [start for start, _ in windows]
    assert starts[0] == 0 and starts == sorted(set(starts))
    assert all(b - a == hop for a, b in itertools.pairwise(starts[:-1]))
    assert all(b - a <= hop for a, b in itertools.pairwise(starts))
    assert starts[-1] + len(windows[-1][1]) == len(waveform)
    if len(waveform) < length + least:
        assert len(windows) == 1
    else:
        assert {len(samples) for _, samples in windows} == {length}


@pytest.mark.parametrize("samples", [1, 4000, 7919, 7920, 8079])
def test_no_more_frames_than_a_window_is_one_window(tmp_path: Path, samples: int) -> None:
    """The spectrogram of training, to the bit."""
    path = tmp_path / "clip.wav"
    soundfile.write(path, noise(samples), RATE)
    (window,) = hear(path, CONFIG, 4000)
    np.testing.assert_array_equal(window.spectrogram, log_mel([read_waveform(path, RATE)], CONFIG)[0])
    assert (window.start, window.end) == (0, samples / RATE)
    assert len(window.fresh) == number_of_frames(samples, RATE)


@pytest.mark.parametrize("samples", [8080, 20000, 7920 + 3 * 4000])
def test_the_last_window_ends_with_the_recording(tmp_path: Path, samples: int) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, noise(samples), RATE)
    waveform, windows = read_waveform(path, RATE), list(hear(path, CONFIG, 4000))
    for window in windows:
        heard = waveform[round(window.start * RATE) : round(window.end * RATE)]
        np.testing.assert_array_equal(window.spectrogram, log_mel([heard], CONFIG)[0])
    assert windows[-1].end == samples / RATE
    assert sum(len(window.fresh) for window in windows) == number_of_frames(samples, RATE)


@pytest.mark.parametrize("rate", [RATE, 22050, 1099])
@pytest.mark.parametrize("hop", [777, 1001, None])
def test_fresh_frames_are_those_of_the_recording(tmp_path: Path, rate: int, hop: int | None) -> None:
    """Also where hops, or the 10 ms of a frame, are no whole number of frames or samples: nothing adds up."""
    config = SpectrogramConfig(max_length=200, sampling_rate=rate)
    soundfile.write(tmp_path / "clip.wav", noise(20 * rate + 1), rate)
    fresh = [
        len(window.fresh) for window in hear(tmp_path / "clip.wav", config, hop or hop_samples(config, None))
    ]
    assert len(fresh) > 10
    assert sum(fresh) == number_of_frames(20 * rate + 1, rate)


def test_the_hop_is_half_a_window_unless_one_says_otherwise() -> None:
    paper = SpectrogramConfig(max_length=500)
    assert hop_samples(paper, None) == 2.5 * RATE
    assert hop_samples(paper, 5) == 5 * RATE <= samples_heard(paper)
    odd = SpectrogramConfig(max_length=500, sampling_rate=1099)  # whose frames are not quite 10 ms apart
    assert hop_samples(odd, None) == 250 * 10  # of 10.99 samples a frame
    with pytest.raises(UserError, match=r"it must be 0\.01 to 4\.54959, the length of a window"):
        hop_samples(odd, 5)
    for seconds in (0, -1, 0.001, 5.1, 4e9, float("nan"), float("inf")):
        with pytest.raises(UserError, match=r"it must be 0\.01 to 5, the length of a window"):
            hop_samples(paper, seconds)


# ---- many recordings ---------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), max_size=40))
def test_items_come_in_order(lengths: list[int]) -> None:
    sources = ([(n, i) for i in range(length)] for n, length in enumerate(lengths))
    expected = [(n, i) for n, length in enumerate(lengths) for i in range(length)]
    assert list(in_order(map(iter, sources))) == expected


def test_only_a_few_sources_are_begun_ahead() -> None:
    begun, lock = [], threading.Lock()

    def source(number: int) -> Iterator[int]:
        with lock:
            begun.append(number)
        yield from range(1000)

    items = in_order(map(source, range(10_000)))
    assert [next(items) for _ in range(5)] == [0, 1, 2, 3, 4]
    items.close()
    assert len(begun) < 1000


@pytest.mark.parametrize("rate", [16000, 22050])
@pytest.mark.parametrize("seconds", [0.01, 0.1, 0.12, 0.1375, 0.25, 0.61])
def test_a_spectrogram_of_any_length_is_that_of_the_whole_waveform(
    tmp_path: Path, rate: int, seconds: float
) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(round(rate * seconds)), rate)
    config = SpectrogramConfig(num_mel_bins=32, max_length=12)
    waveform = read_waveform(path, 16000)
    frames = number_of_frames(len(waveform), 16000)
    found, silent = whole_spectrogram(path, config)
    assert not silent
    if frames <= 12:
        assert torch.equal(found, log_mel([waveform], config)[0])
    else:
        whole = log_mel([waveform], replace(config, max_length=frames))[0]
        torch.testing.assert_close(found, whole, atol=1e-4, rtol=0)


def test_a_silent_recording_is_told(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(9000), 16000)
    assert whole_spectrogram(tmp_path / "silent.wav", SpectrogramConfig(max_length=12))[1]


def test_a_clip_of_hours_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "long.wav", np.zeros(160_000), 16000)
    monkeypatch.setattr("petl_ast.data.recording.MOST_WHOLE_FRAMES", 900)
    with pytest.raises(UserError, match=r"long.wav: is longer than .* --data.long_clips cut"):
        whole_spectrogram(tmp_path / "long.wav", SpectrogramConfig(max_length=12))
