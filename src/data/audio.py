"""From an audio file to a mono waveform at the wanted sampling rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from ..errors import UserError

LARGEST_SAMPLE = 1e6  # full scale is 1; from about 1e15 the power of a spectrum leaves float32's range
Waveform = npt.NDArray[np.float32]


def read_waveform(path: Path, sampling_rate: int) -> Waveform:
    """Decode `path` (whatever libsndfile reads), average its channels, resample.

    Returns:
        float32 [samples] in about [-1, 1], at `sampling_rate` samples per second.

    Raises:
        UserError: if the file is missing, unreadable, empty, or holds values that are no samples.
    """
    try:
        if not path.is_file():
            raise UserError(f"{path}: no such audio file.")
        samples, file_rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError, RuntimeError, TypeError, UnicodeError) as error:
        raise UserError(f"{path}: cannot be decoded ({str(error).split(': ')[-1]})") from error
    if len(samples) == 0:
        raise UserError(f"{path}: holds no samples.")
    waveform: Waveform = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
    if not (np.abs(waveform) < LARGEST_SAMPLE).all():
        raise UserError(f"{path}: holds samples that are not finite, or larger than {LARGEST_SAMPLE:.0e}.")
    if file_rate != sampling_rate:
        # Imported here: librosa takes seconds to import and a cached or 16 kHz data set never needs it.
        from librosa import resample

        waveform = resample(waveform, orig_sr=file_rate, target_sr=sampling_rate, res_type="soxr_hq")
    return waveform
