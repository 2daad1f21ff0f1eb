"""The spectrogram of a recording of any length, made small enough for a picture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..config import SpectrogramConfig
from .spectrogram import seconds_per_frame

Frames = npt.NDArray[np.float32]
COLUMNS = 1500  # at least half as many in any longer recording: about the pixels of a picture


class Thumbnail:
    """Gathers frames as they come; each of its columns holds, per mel bin, the loudest of `step` frames.

    The loudest and not the mean, so that a bark is not lost in a minute of silence. Whenever there are more
    than `COLUMNS`, neighbours become one: memory stays the same.

    Attributes:
        config: What the frames were made with.
        step: Frames in a column, a power of two.
    """

    def __init__(self, config: SpectrogramConfig) -> None:
        self.config = config
        self.step = 1
        self._full: Frames = np.zeros((0, config.num_mel_bins), np.float32)
        self._rest: Frames = self._full  # fewer than `step` frames

    def add(self, frames: Frames) -> None:
        """Take the next frames [frames, num_mel_bins]."""
        rows = np.concatenate((self._rest, frames))
        whole = len(rows) // self.step * self.step
        self._full, self._rest = (
            np.concatenate((self._full, self._merged(rows[:whole], self.step))),
            rows[whole:],
        )
        while len(self._full) > COLUMNS:
            even = len(self._full) // 2 * 2
            single = np.repeat(self._full[even:], self.step, axis=0)  # the loudest of many alike is the same
            self._full, self._rest = self._merged(self._full[:even], 2), np.concatenate((single, self._rest))
            self.step *= 2

    def columns(self) -> Frames:
        """[columns, num_mel_bins]; the last column may stand for fewer frames."""
        rest = self._rest.max(axis=0, keepdims=True) if len(self._rest) else self._rest
        return np.concatenate((self._full, rest))

    @property
    def seconds_per_column(self) -> float:
        """How much time a column stands for."""
        return self.step * seconds_per_frame(self.config.sampling_rate)

    def _merged(self, rows: Frames, step: int) -> Frames:
        merged: Frames = rows.reshape(-1, step, rows.shape[1]).max(axis=1)
        return merged
