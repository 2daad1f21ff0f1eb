"""ESC-50 and every data set in its layout: meta/esc50.csv with folds, audio/ with the clips.

Source: K. J. Piczak, "ESC: Dataset for Environmental Sound Classification", ACM Multimedia 2015.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ..config import RunConfig, SpectrogramConfig
from ..errors import UserError
from .dataset import AudioDataset, FoldSplit, OnError
from .esc50_csv import read_listing

__all__ = ["ESC50Dataset", "FoldSplit"]


class ESC50Dataset(AudioDataset):
    """Clips of a data set in ESC-50's layout as (spectrogram [max_length, num_mel_bins], label) pairs.

    Args:
        root: Folder with meta/esc50.csv and audio/. Clips may be wav, flac, ogg or whatever else libsndfile
            reads, of any sampling rate and number of channels.
        subset: "all", or "esc10" for the rows whose `esc10` column is True; labels are contiguous either way.
        spectrogram: What the spectrograms shall be.
        cache: Folder for computed spectrograms.
        on_error: What happens when rows of the csv or clips cannot be used: "stop" with all of them named, or
            "skip" them and use the others.

    Attributes: those of `AudioDataset`.

    Raises:
        UserError: if the folder, the csv, one of its rows, or a clip is not usable; with "skip" if nothing is
            left of a class or a fold.
    """

    def __init__(
        self,
        root: str | Path,
        subset: Literal["all", "esc10"] = "all",
        spectrogram: SpectrogramConfig | None = None,
        cache: str | Path = "data/cache",
        on_error: OnError = "stop",
    ) -> None:
        if subset not in ("all", "esc10"):
            raise UserError(f'subset is {subset!r}; it must be "all" or "esc10".')
        if on_error not in ("stop", "skip"):
            raise UserError(f'on_error is {on_error!r}; it must be "stop" or "skip".')
        super().__init__(root, read_listing(Path(root), subset), spectrogram, cache, on_error)

    @classmethod
    def of(cls, config: RunConfig) -> ESC50Dataset:
        """The data set of a run."""
        data = config.data
        return cls(data.root, data.subset, config.spectrogram, data.cache, data.on_error)
