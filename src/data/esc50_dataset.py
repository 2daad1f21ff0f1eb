"""ESC-50 and every data set in its layout: meta/esc50.csv with folds, audio/ with the clips.

Source: K. J. Piczak, "ESC: Dataset for Environmental Sound Classification", ACM Multimedia 2015.
"""

from __future__ import annotations

import csv
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..config import SpectrogramConfig
from ..errors import UserError
from ..files import list_some
from .cache import OnClip, Spectrograms, cached_spectrograms

CSV = Path("meta/esc50.csv")
MOST_DIGITS = 9
COLUMNS = ("filename", "fold", "target", "category")


@dataclass(frozen=True)
class Clip:
    """One row of the csv; `label` is the contiguous class id, `target` the csv's own."""

    path: Path
    fold: int
    target: int
    category: str
    label: int


@dataclass(frozen=True)
class FoldSplit:
    """Which folds train, which one validates, which one tests."""

    train: tuple[int, ...]
    validation: int
    test: int


class ESC50Dataset(Dataset[tuple[Tensor, int]]):
    """Clips of a data set in ESC-50's layout as (spectrogram [max_length, num_mel_bins], label) pairs.

    Args:
        root: Folder with meta/esc50.csv and audio/. Clips may be wav, flac, ogg or whatever else libsndfile
            reads, of any sampling rate and number of channels.
        subset: "all", or "esc10" for the rows whose `esc10` column is True; labels are contiguous either way.
        spectrogram: What the spectrograms shall be.
        cache: Folder for computed spectrograms.

    Attributes:
        clips: The rows, in the csv's order.
        class_names: Category of each label, in the order of the csv's targets.
        folds: The fold numbers present, sorted.
        silent: Names of clips without sound, known once the spectrograms are there.

    Raises:
        UserError: if the folder, the csv, one of its rows, or a clip is not usable.
    """

    def __init__(
        self,
        root: str | Path,
        subset: Literal["all", "esc10"] = "all",
        spectrogram: SpectrogramConfig | None = None,
        cache: str | Path = "data/cache",
    ) -> None:
        if subset not in ("all", "esc10"):
            raise UserError(f'subset is {subset!r}; it must be "all" or "esc10".')
        self.root = Path(root)
        self.spectrogram = spectrogram or SpectrogramConfig()
        self.cache = Path(cache)
        self.clips = _read_clips(self.root, subset)
        names = {clip.label: clip.category for clip in self.clips}
        self.class_names = [names[label] for label in range(len(names))]
        self.folds = sorted({clip.fold for clip in self.clips})
        self.silent: list[str] = []
        self._spectrograms: Spectrograms | None = None

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.clips)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Spectrogram float32 [max_length, num_mel_bins] and label of one clip."""
        spectrograms = self.load_spectrograms()
        return torch.from_numpy(np.array(spectrograms[index])), self.clips[index].label

    def load_spectrograms(self, on_clip: OnClip | None = None) -> Spectrograms:
        """All spectrograms, float32 [clips, max_length, num_mel_bins], computed now if the cache lacks them.

        Called by itself at the first access; call it before to show progress through `on_clip`.
        """
        if self._spectrograms is None:
            paths = [clip.path for clip in self.clips]
            self._spectrograms, self.silent = cached_spectrograms(
                paths, self.spectrogram, self.cache, on_clip
            )
        return self._spectrograms

    def tensors(self) -> tuple[Tensor, Tensor]:
        """Spectrograms float32 [clips, max_length, num_mel_bins], mapped from disk, and labels [clips]."""
        labels = torch.tensor([clip.label for clip in self.clips])
        return torch.from_numpy(self.load_spectrograms()), labels

    def indices(self, folds: Collection[int]) -> list[int]:
        """Positions of the clips in these folds, in the csv's order."""
        return [i for i, clip in enumerate(self.clips) if clip.fold in folds]

    def split(self, test_fold: int) -> FoldSplit:
        """The rotation that tests on `test_fold`: the fold before it validates, the others train.

        With five folds this is {1,2,3} 4 5, {2,3,4} 5 1, ... (Cappellazzo et al., 2024).

        Raises:
            UserError: if there is no such fold, there are fewer than three, or the training folds lack a
                class.
        """
        if len(self.folds) < 3:
            raise UserError(
                f"{self.root / CSV} has the folds {self.folds}; cross-validation needs at least three."
            )
        if test_fold not in self.folds:
            raise UserError(f"There is no fold {test_fold} in {self.root / CSV}; its folds are {self.folds}.")
        validation = self.folds[self.folds.index(test_fold) - 1]
        train = tuple(fold for fold in self.folds if fold not in (validation, test_fold))
        trained = {self.clips[i].label for i in self.indices(train)}
        if missing := [name for label, name in enumerate(self.class_names) if label not in trained]:
            raise UserError(
                f"Testing on fold {test_fold} trains on folds {list(train)} of {self.root / CSV}, "
                f"which hold no clip of: {', '.join(missing)}. Every class needs clips in the training folds."
            )
        return FoldSplit(train, validation, test_fold)


def _read_clips(root: Path, subset: str) -> list[Clip]:
    path = root / CSV
    if not path.is_file():
        raise UserError(
            f"No ESC-50 data set in {root}: {path} is missing.\n"
            "Download it with: bash download_data.sh\n"
            "or try without any download: make demo"
        )
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            header = reader.fieldnames or []
            numbered = [(reader.line_num, row) for row in reader if any(_text(v) for v in row.values())]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as a UTF-8 csv: {error}") from error
    wanted = (*COLUMNS, "esc10") if subset == "esc10" else COLUMNS
    if missing := [column for column in wanted if column not in header]:
        hint = " Save it with commas, not semicolons." if any(";" in column for column in header) else ""
        there = ", ".join(header) or "none"
        raise UserError(f"{path} has no column {', '.join(missing)}; its columns are: {there}.{hint}")
    if subset == "esc10":
        numbered = [(line, row) for line, row in numbered if _text(row["esc10"]).lower() == "true"]
    if not numbered:
        raise UserError(f"{path} lists no clips" + (" marked as esc10." if subset == "esc10" else "."))
    return _number_classes(path, [_parse_row(root, path, line, row) for line, row in numbered])


def _parse_row(root: Path, path: Path, line: int, row: dict[str, str]) -> Clip:
    values = {column: _text(row[column]) for column in COLUMNS}
    if empty := [column for column, value in values.items() if not value]:
        raise UserError(f"{path}, line {line}: no {', '.join(empty)}.")
    for column in ("fold", "target"):
        if not (values[column].isdecimal() and len(values[column]) <= MOST_DIGITS):
            raise UserError(
                f"{path}, line {line}: {column} is {values[column]!r}, "
                f"not a whole number of at most {MOST_DIGITS} digits."
            )
    name = values["filename"]
    if name in (".", "..") or Path(name).name != name or set(name) & {"\\", "\0"}:
        raise UserError(f"{path}, line {line}: {name!r} is not a plain file name inside {root / 'audio'}.")
    return Clip(
        root / "audio" / name, int(values["fold"]), int(values["target"]), values["category"], label=-1
    )


def _text(value: object) -> str:
    """A csv cell without the space around it; a missing one is empty."""
    return value.strip() if isinstance(value, str) else ""


def _number_classes(path: Path, clips: list[Clip]) -> list[Clip]:
    """Give every target a contiguous label, in the targets' order; target and category must pair up."""
    if repeated := _repeated([clip.path.name for clip in clips]):
        raise UserError(f"{path} lists these clips more than once:\n{list_some(repeated)}")
    pairs = sorted({(clip.target, clip.category) for clip in clips})
    if repeated := _repeated([target for target, _ in pairs]) or _repeated(
        [category for _, category in pairs]
    ):
        raise UserError(
            f"{path}: target and category do not belong together one to one:\n{list_some(repeated)}"
        )
    label = {target: i for i, (target, _) in enumerate(pairs)}
    return [Clip(c.path, c.fold, c.target, c.category, label[c.target]) for c in clips]


def _repeated(values: list[str] | list[int]) -> list[object]:
    seen: set[object] = set()
    return [value for value in values if value in seen or seen.add(value)]  # type: ignore[func-returns-value]
