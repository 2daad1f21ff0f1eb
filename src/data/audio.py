"""From an audio file to a mono waveform at the wanted sampling rate."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from ..errors import UserError

LARGEST_SAMPLE = 1e6  # full scale is 1; from about 1e15 the power of a spectrum leaves float32's range
LOWEST_RATE, HIGHEST_RATE = 100, 768_000  # below, resampling takes forever; above, nothing records
WHOLE = 2**22  # what has no more samples than this (95 s at 44.1 kHz) is read whole whatever is wanted
MARGIN = 1024  # samples of the lower rate behind the wanted ones; the resampling filter sees about 130
BLOCK_VALUES = 2**18  # in memory at once: all channels as decoded, or one resampled
# By its ending a file is taken for sound; raw samples do not say what they are.
ENDINGS = {f".{name.lower()}" for name in soundfile.available_formats() if name != "RAW"}
ENDINGS |= {".aif", ".oga", ".opus"}
Waveform = npt.NDArray[np.float32]


def read_waveform(path: Path, sampling_rate: int, wanted: int | None = None) -> Waveform:
    """Decode `path` (whatever libsndfile reads), average its channels, resample.

    Args:
        path: The file.
        sampling_rate: Of the result, in samples per second.
        wanted: Samples of the result that matter. Of a long file no more is decoded than they need, whatever
            its header promises; a file of up to `WHOLE` samples gives the same with and without it.

    Returns:
        float32 [samples] in about [-1, 1], at `sampling_rate` samples per second.

    Raises:
        UserError: if the file is missing, unreadable, empty, or holds values that are no samples.
    """
    with opened(path) as file:
        file_rate = file.samplerate
        waveform = _decode(file, path, _frames_needed(wanted, file_rate, sampling_rate))
    if len(waveform) == 0:
        raise UserError(f"{path}: holds no samples.")
    if file_rate != sampling_rate:
        # Imported here: librosa takes seconds to import and a cached or 16 kHz data set never needs it.
        from librosa import resample

        waveform = resample(waveform, orig_sr=file_rate, target_sr=sampling_rate, res_type="soxr_hq")
    return waveform


@contextmanager
def opened(path: Path) -> Iterator[soundfile.SoundFile]:
    """Open an audio file to decode it; whatever fails meanwhile becomes a message that names it.

    Raises:
        UserError: if the file is missing, unreadable, or has an impossible sampling rate.
    """
    try:
        if not path.is_file():
            raise UserError(f"{path}: no such audio file.")
        # As bytes, for a name need not be UTF-8; Windows knows no other names than text.
        with soundfile.SoundFile(path if os.name == "nt" else os.fsencode(path)) as file:
            if not LOWEST_RATE <= file.samplerate <= HIGHEST_RATE:
                raise UserError(
                    f"{path}: says that it has {file.samplerate} samples a second; that must be "
                    f"{LOWEST_RATE} to {HIGHEST_RATE}."
                )
            yield file
    except (soundfile.LibsndfileError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"{path}: cannot be decoded ({str(error).split(': ')[-1]})") from error


def mono_blocks(file: soundfile.SoundFile, path: Path, ratio: float = 1.0) -> Iterator[Waveform]:
    """Decode to the mean of the channels, block by block: memory follows what the file holds and not what its
    header says.

    Args:
        file: Opened.
        path: What messages call it.
        ratio: Samples that resampling will make of one.

    Raises:
        UserError: for values that are no samples.
    """
    size = max(1, int(BLOCK_VALUES / max(file.channels, ratio)))
    while len(block := file.read(size, dtype="float32", always_2d=True)):
        mono = block[:, 0].copy() if file.channels == 1 else block.mean(axis=1)
        if not (np.abs(mono) < LARGEST_SAMPLE).all():
            raise UserError(
                f"{path}: holds samples that are not finite, or larger than {LARGEST_SAMPLE:.0e}."
            )
        yield mono


def _frames_needed(wanted: int | None, file_rate: int, sampling_rate: int) -> float:
    if wanted is None:
        return math.inf
    ratio = file_rate / sampling_rate
    return max(WHOLE * min(1.0, ratio), math.ceil(wanted * ratio) + MARGIN * max(1.0, ratio))


def _decode(file: soundfile.SoundFile, path: Path, most: float) -> Waveform:
    """At least `most` samples, as far as the file has them."""
    blocks: list[Waveform] = []
    decoded = 0
    for block in mono_blocks(file, path):
        blocks.append(block)
        decoded += len(block)
        if decoded >= most:
            break
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
