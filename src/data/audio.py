"""From an audio file to a mono waveform at the wanted sampling rate."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from ..errors import UserError

LARGEST_SAMPLE = 1e6  # full scale is 1; from about 1e15 the power of a spectrum leaves float32's range
LOWEST_RATE, HIGHEST_RATE = 100, 768_000  # below, resampling takes forever; above, nothing records
WHOLE = 2**22  # what has no more samples than this (95 s at 44.1 kHz) is read whole whatever is wanted
MARGIN = 1024  # samples of the lower rate behind the wanted ones; the resampling filter sees about 130
BLOCK_VALUES = 2**18  # decoded at once, all channels together
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
    try:
        if not path.is_file():
            raise UserError(f"{path}: no such audio file.")
        # As bytes, for a name need not be UTF-8; Windows knows no other names than text.
        with soundfile.SoundFile(path if os.name == "nt" else os.fsencode(path)) as file:
            file_rate = file.samplerate
            if not LOWEST_RATE <= file_rate <= HIGHEST_RATE:
                raise UserError(
                    f"{path}: says that it has {file_rate} samples a second; that must be "
                    f"{LOWEST_RATE} to {HIGHEST_RATE}."
                )
            waveform = _decode(file, _frames_needed(wanted, file_rate, sampling_rate))
    except (soundfile.LibsndfileError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"{path}: cannot be decoded ({str(error).split(': ')[-1]})") from error
    if len(waveform) == 0:
        raise UserError(f"{path}: holds no samples.")
    if not (np.abs(waveform) < LARGEST_SAMPLE).all():
        raise UserError(f"{path}: holds samples that are not finite, or larger than {LARGEST_SAMPLE:.0e}.")
    if file_rate != sampling_rate:
        # Imported here: librosa takes seconds to import and a cached or 16 kHz data set never needs it.
        from librosa import resample

        waveform = resample(waveform, orig_sr=file_rate, target_sr=sampling_rate, res_type="soxr_hq")
    return waveform


def _frames_needed(wanted: int | None, file_rate: int, sampling_rate: int) -> float:
    if wanted is None:
        return math.inf
    ratio = file_rate / sampling_rate
    return max(WHOLE * min(1.0, ratio), math.ceil(wanted * ratio) + MARGIN * max(1.0, ratio))


def _decode(file: soundfile.SoundFile, most: float) -> Waveform:
    """Up to `most` frames as the mean of their channels, block by block: memory follows what the file holds
    and not what its header says.
    """
    blocks: list[Waveform] = []
    size, decoded = max(1, BLOCK_VALUES // file.channels), 0
    while decoded < most and len(block := file.read(size, dtype="float32", always_2d=True)):
        blocks.append(block[:, 0].copy() if file.channels == 1 else block.mean(axis=1))
        decoded += len(block)
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
