"""What clips are, by their headers alone: how long, at which rate, with how many channels."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import soundfile

from .spectrogram import number_of_frames

PATCH_FRAMES = 16  # a patch of AST; no backbone takes fewer


@dataclass(frozen=True)
class Survey:
    """What the headers of some clips say.

    Attributes:
        seconds: Of each clip whose header can be read.
        rates: How many clips have so many samples a second.
        channels: How many clips have so many channels.
        unreadable: How many clips have no header that can be read.
    """

    seconds: list[float]
    rates: Counter[int]
    channels: Counter[int]
    unreadable: int


def survey(paths: Sequence[Path]) -> Survey:
    """Read the headers of files; what cannot be read is counted and left to whoever decodes it."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        headers = [header for header in pool.map(_header, paths) if header]
    return Survey(
        [frames / rate for frames, rate, _ in headers],
        Counter(rate for _, rate, _ in headers),
        Counter(channels for _, _, channels in headers),
        len(paths) - len(headers),
    )


def frames_needed(found: Survey, sampling_rate: int) -> int:
    """Spectrogram frames of the longest clip, resampled to `sampling_rate`, in whole patches: data sets of
    nearly the same length get the same, and their adapters hear together.
    """
    longest = frames_of(max(found.seconds, default=0), sampling_rate)
    return max(1, math.ceil(longest / PATCH_FRAMES)) * PATCH_FRAMES


def frames_of(seconds: float, sampling_rate: int) -> int:
    """Spectrogram frames of a clip of so many seconds, resampled to `sampling_rate`."""
    return number_of_frames(math.ceil(seconds * sampling_rate), sampling_rate)


def _header(path: Path) -> tuple[int, int, int] | None:
    """Samples, samples a second and channels."""
    try:
        with soundfile.SoundFile(path if os.name == "nt" else os.fsencode(path)) as file:
            return (file.frames, file.samplerate, file.channels) if file.samplerate > 0 else None
    except (soundfile.LibsndfileError, OSError, RuntimeError, TypeError, ValueError):
        return None
