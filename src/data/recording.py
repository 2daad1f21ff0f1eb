"""From an audio file of any length to the windows that a model hears, in memory that stays the same."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ..config import SpectrogramConfig
from ..errors import UserError
from .audio import Waveform, mono_blocks, opened
from .spectrogram import (
    HOP_SECONDS,
    log_mel,
    number_of_frames,
    samples_heard,
    samples_per_frame,
    seconds_per_frame,
)

T = TypeVar("T")
MOST_WHOLE_FRAMES = 1_000_000  # of one clip: they are in memory until they are on the disk, 512 MB


@dataclass(frozen=True, eq=False)
class Window:
    """What the model hears at once.

    Attributes:
        start: Where it begins in the recording, in seconds.
        end: Where it ends, in seconds.
        spectrogram: The model's input, float32 [max_length, num_mel_bins].
        fresh: The frames of it that no earlier window held, without padding [frames, num_mel_bins]; those of
            all windows are as many as the whole recording has.
    """

    start: float
    end: float
    spectrogram: Tensor
    fresh: Tensor


def hear(path: Path, config: SpectrogramConfig, hop: int) -> Iterator[Window]:
    """The windows of a recording, each `config.max_length` frames long.

    A clip that has no more frames than that is one window, padded as in training. The last window of a longer
    one ends with it: nothing at the end is lost, and nothing is invented behind it.

    Args:
        path: The file.
        config: Sizes and normalisation of the spectrograms.
        hop: Samples between the starts of neighbouring windows (`hop_samples`).

    Raises:
        UserError: as `read_waveform`; also behind the first windows, where a file may be damaged.
    """
    rate, frame, given = config.sampling_rate, samples_per_frame(config.sampling_rate), 0
    for start, samples in cut(stream_waveform(path, rate), samples_heard(config), hop, frame):
        end = start + len(samples)
        frames = min(number_of_frames(len(samples), rate), config.max_length)
        # Counted from the recording's start: hops need not be whole frames, and what is rounded would add up.
        fresh = min(number_of_frames(end, rate) - given, frames)
        spectrogram = log_mel([samples], config)[0]
        yield Window(start / rate, end / rate, spectrogram, spectrogram[frames - fresh : frames])
        given += fresh


def hop_samples(config: SpectrogramConfig, seconds: float | None) -> int:
    """Samples between the starts of windows that are `seconds` apart; by default, half of a window.

    Half, because what is shorter than half a window is then heard whole by one of them, wherever it lies.

    Raises:
        UserError: if that is less than a frame, or leaves gaps between the windows.
    """
    rate = config.sampling_rate
    whole = config.max_length * seconds_per_frame(rate)
    wanted = whole / 2 if seconds is None else seconds
    if not HOP_SECONDS <= wanted <= whole:
        raise UserError(
            f"hop is {wanted:g} seconds; it must be {HOP_SECONDS:g} to {whole:g}, the length of a window."
        )
    return max(1, round(wanted * rate))


def whole_spectrogram(path: Path, config: SpectrogramConfig) -> tuple[Tensor, bool]:
    """All frames of a recording, and whether it is silent; the waveform is never in memory as a whole.

    Args:
        path: The file.
        config: Sizes and normalisation.

    Returns:
        float32 [frames, num_mel_bins], padded to `config.max_length` frames if there are fewer: then the same
        as `log_mel` of the waveform.

    Raises:
        UserError: as `read_waveform`, or if the recording goes on for hours.
    """
    window, frame = samples_heard(config), samples_per_frame(config.sampling_rate)
    step = config.max_length * frame
    kept: Waveform = np.zeros(0, np.float32)
    pieces: list[Tensor] = []
    silent = True
    for block in stream_waveform(path, config.sampling_rate):
        silent = silent and not block.any()
        kept = np.concatenate((kept, block))
        while len(kept) >= window:
            pieces.append(log_mel([kept[:window]], config)[0])
            kept = kept[step:]
            if len(pieces) * config.max_length > MOST_WHOLE_FRAMES:
                raise UserError(
                    f"{path}: is longer than {MOST_WHOLE_FRAMES * HOP_SECONDS / 3600:.1f} hours. Cut it into "
                    "pieces, or use the beginning of long clips alone with --data.long_clips cut."
                )
    rest = number_of_frames(len(kept), config.sampling_rate)
    if not pieces:
        return log_mel([kept], config)[0], silent
    if len(kept) >= window - step + frame:  # one whole frame at least
        pieces.append(log_mel([kept], config)[0, :rest])
    return torch.cat(pieces), silent


def stream_waveform(path: Path, sampling_rate: int) -> Iterator[Waveform]:
    """What `read_waveform` gives, to the bit, piece by piece.

    Raises:
        UserError: as `read_waveform`, when it gets there.
    """
    decoded = given = 0
    with opened(path) as file:
        ratio = sampling_rate / file.samplerate
        blocks = mono_blocks(file, path, ratio)
        if file.samplerate == sampling_rate:
            for block in blocks:
                decoded += len(block)
                yield block
        else:
            from soxr import ResampleStream  # what librosa resamples with

            resampler = ResampleStream(file.samplerate, sampling_rate, 1, quality="soxr_hq")
            for block in blocks:
                decoded += len(block)
                piece = resampler.resample_chunk(block)
                given += len(piece)
                yield piece
            rest = resampler.resample_chunk(np.zeros(0, np.float32), last=True)
            missing = math.ceil(decoded * ratio) - given  # librosa rounds lengths up, soxr to the nearest
            yield np.pad(rest, (0, max(0, missing - len(rest))))[:missing]
    if decoded == 0:
        raise UserError(f"{path}: holds no samples.")


def cut(blocks: Iterable[Waveform], length: int, hop: int, least: int) -> Iterator[tuple[int, Waveform]]:
    """Cut a waveform that comes in blocks into overlapping windows.

    Args:
        blocks: The waveform, piece by piece.
        length: Samples in a window.
        hop: Samples between the starts of neighbouring windows, at most `length`.
        least: A waveform with less than this beyond `length` is one window, as it is.

    Yields:
        The first sample's number, and the samples; the last window ends with the waveform.
    """
    kept: Waveform = np.zeros(0, np.float32)
    start = end = 0  # kept[0] is sample `start`; all before `end` have been in a window
    for block in blocks:
        kept = np.concatenate((kept, block))
        while len(kept) >= length + (hop if end else least):
            if end:
                kept, start = kept[hop:], start + hop
            yield start, kept[:length]
            end = start + length
    samples = start + len(kept)
    if end == 0 and samples:
        yield 0, kept
    elif end < samples:
        yield samples - length, kept[-length:]


def in_order(sources: Iterable[Iterator[T]]) -> Iterator[T]:
    """All items of the first source, then all of the second, and so on, computed ahead by all cores.

    Of each source one item is computed ahead, and of so many sources that no core is idle: what waits is
    bounded, however many sources there are and however long they go on.
    """
    cores = os.cpu_count() or 1
    coming, waiting = iter(sources), deque[tuple[Iterator[T], "Future[T | None]"]]()
    with ThreadPoolExecutor(cores) as pool:
        try:
            for source in islice(coming, 2 * cores):
                waiting.append((source, pool.submit(next, source, None)))
            while waiting:
                source, future = waiting[0]
                if (item := future.result()) is None:
                    waiting.popleft()
                    for source in islice(coming, 1):
                        waiting.append((source, pool.submit(next, source, None)))
                else:
                    waiting[0] = (source, pool.submit(next, source, None))
                    yield item
        finally:
            for _, future in waiting:
                future.cancel()
