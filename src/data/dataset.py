"""The one interface behind which every data set lies: spectrograms and labels, classes, folds, and the
rotation that trains, validates and tests on them. What differs between data sets is how they are listed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..config import SpectrogramConfig
from ..errors import UserError
from ..files import list_some
from ..text import shown
from .cache import open_entry
from .cache_builder import MOST_NAMED, OnClip, Spectrograms
from .listing import Clip, Listing, Problem, contradictions
from .stretches import Stretches
from .survey import Survey, frames_needed, survey

OnError = Literal["stop", "skip"]


@dataclass(frozen=True)
class FoldSplit:
    """Which folds train, which one validates, which one tests."""

    train: tuple[int, ...]
    validation: int
    test: int

    @property
    def parts(self) -> dict[str, tuple[int, ...]]:
        """The folds of each part, by what messages call it."""
        return {"training": self.train, "validation": (self.validation,), "test": (self.test,)}


class AudioDataset(Dataset[tuple[Tensor, int | Tensor]]):
    """Clips of a data set as (spectrogram [max_length, num_mel_bins], label) pairs.

    Args:
        root: The data set's folder.
        listing: Its clips, all with a fold.
        spectrogram: What the spectrograms shall be.
        cache: Folder for computed spectrograms.
        on_error: What happens when listed rows or clips cannot be used: "stop" with all of them named, or
            "skip" them and use the others.

    Attributes:
        source: The csv or folder that lists the clips; messages name it.
        clips: In the listing's order; with "skip", those of unusable clips go when the spectrograms are
            loaded.
        class_names: Category of each label, in the order of the targets.
        multi_label: Whether clips may have several classes, or none.
        folds: The fold numbers present, sorted.
        tested: Those that may be tested, sorted.
        drawn_folds: Whether they are not given but dealt out by names, anew when a clip comes or goes.
        silent: Names of clips without sound, known once the spectrograms are there.
        checksum: Of the clips' files, in order; known once the spectrograms are there.
        skipped: What was left out and why; complete once the spectrograms are there.
        long_clips: Whether clips longer than the spectrograms are "cut", or kept whole for "crop"; to be set
            before the spectrograms are loaded.
        stretches: Where the clips' frames lie, if one is kept that is longer than the spectrograms; known
            once the spectrograms are there.
        notes: What else the user should know of the data: one line each.

    Raises:
        UserError: if a clip is not usable; with "skip" if nothing is left of a class or a fold.
    """

    def __init__(
        self,
        root: str | Path,
        listing: Listing,
        spectrogram: SpectrogramConfig | None = None,
        cache: str | Path = "data/cache",
        on_error: OnError = "stop",
    ) -> None:
        self.root, self.source = Path(root), listing.source
        self.spectrogram = spectrogram or SpectrogramConfig()
        self.cache = Path(cache)
        self.on_error = on_error
        self.skipped: list[Problem] = []
        self.notes = list(listing.notes)
        self.multi_label, self.drawn_folds = listing.multi_label, listing.drawn_folds
        self.clips, names = self._usable(listing)
        self.class_names = [names[label] for label in range(len(names))]
        if self.multi_label:
            self.class_names = sorted({label for clip in self.clips for label in clip.labels})
        self.folds = sorted({clip.fold for clip in self.clips})
        self.tested = sorted(listing.tested) or self.folds
        self.silent: list[str] = []
        self.long_clips: Literal["cut", "crop"] = "cut"
        self.stretches: Stretches | None = None
        self.checksum = ""
        self._spectrograms: Spectrograms | None = None
        self._survey: Survey | None = None

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.clips)

    def __getitem__(self, index: int) -> tuple[Tensor, int | Tensor]:
        """Spectrogram float32 [max_length, num_mel_bins] of one clip, or of its beginning, and its label; if
        there may be several, they are float32 [classes] of 0 and 1.
        """
        spectrograms = self.load_spectrograms()
        if self.stretches:
            first = int(self.stretches.first[index])
            beginning = spectrograms[first : first + self.stretches.length]
        else:
            beginning = spectrograms[index]
        label = self._multi_hot([index])[0] if self.multi_label else self.clips[index].label
        return torch.from_numpy(np.array(beginning)), label

    def load_spectrograms(
        self, on_clip: OnClip | None = None, on_wait: Callable[[], None] | None = None
    ) -> Spectrograms:
        """All spectrograms, float32 [clips, max_length, num_mel_bins] or, if there are `stretches`, [frames,
        num_mel_bins], computed now if the cache lacks them.

        Called by itself at the first access; call it before to show progress through `on_clip`, and through
        `on_wait` that another process is computing them.
        """
        if self._spectrograms is None:
            paths = [clip.path for clip in self.clips]
            names = [clip.name for clip in self.clips]
            entry = open_entry(
                paths,
                self.spectrogram,
                self.cache,
                on_clip,
                keep_problems=self.on_error == "skip",
                on_wait=on_wait,
                names=names,
                whole=self.long_clips == "crop",
            )
            if entry.problems:
                self.skipped += [Problem(name, 0, reason) for name, reason in entry.problems.items()]
                clips = [clip for clip in self.clips if clip.name not in entry.problems]
                self._check_left(clips, set(self.folds), dict(enumerate(self.class_names)))
                self.clips, self._survey = clips, None
            self._spectrograms, self.silent = entry.spectrograms, entry.silent
            if entry.spectrograms.ndim == 2:
                self.stretches = Stretches.of(entry.frames, self.spectrogram.max_length)
            self.notes += entry.notes
            self.checksum = entry.checksum
        return self._spectrograms

    def survey(self) -> Survey:
        """What the clips' headers say; read at the first call."""
        if self._survey is None:
            self._survey = survey([clip.path for clip in self.clips])
        return self._survey

    def has_long_clips(self) -> bool:
        """Whether a clip is kept that is longer than the spectrograms; by headers, before these are there."""
        if self._spectrograms is not None or self.long_clips == "cut":
            return self.stretches is not None
        return frames_needed(self.survey(), self.spectrogram.sampling_rate) > self.spectrogram.max_length

    def _usable(self, listing: Listing) -> tuple[list[Clip], dict[int, str]]:
        """The clips that can be used, every target given a contiguous label in the targets' order, and the
        labels' categories.
        """
        messages = []
        if listing.problems and self.on_error == "stop":
            reasons = [problem.reason for problem in listing.problems]
            # What costs nothing to see is said too, so that one correction will do.
            reasons += [f"{c.path}: no such audio file." for c in listing.clips if not os.path.isfile(c.path)]
            messages.append(
                f"{len(reasons)} rows and clips cannot be used:\n{list_some(reasons, MOST_NAMED)}"
            )
            messages.append("Mend them or take the rows out, or use what is good with --data.on_error skip.")
        if contradiction := contradictions(listing):
            messages.append(contradiction)
        if messages:
            raise UserError("\n".join(messages))
        self.skipped = listing.problems
        labels = {target: i for i, target in enumerate(sorted({clip.target for clip in listing.clips}))}
        classes = dict(enumerate(sorted(listing.categories))) if self.multi_label else listing.targets
        self._check_left(listing.clips, listing.folds, classes)
        clips = [replace(clip, label=labels[clip.target]) for clip in listing.clips]
        return clips, {clip.label: clip.category for clip in clips}

    def _check_left(self, clips: Sequence[Clip], folds: Collection[int], classes: Mapping[int, str]) -> None:
        """Refuse to go on without a class or a fold that there was before clips were left out.

        Args:
            clips: Those that are left.
            folds: All folds that there were.
            classes: All classes that there were, by target or, if the clips have labels, by label; where a
                clip may have several, their names alone count.
        """
        if self.multi_label:
            there = {name for clip in clips for name in clip.labels}
            left = {number for number, name in classes.items() if name in there}
        else:
            left = {c.label if c.label >= 0 else c.target for c in clips}
        lost = [f"class {shown(name)}" for number, name in sorted(classes.items()) if number not in left]
        lost += [f"fold {fold}" for fold in sorted(set(folds) - {clip.fold for clip in clips})]
        if lost or not clips:
            what = ", ".join(lost) or str(self.root)
            raise UserError(
                f"Without the clips that cannot be used, nothing is left of: {what}.\n"
                f"{list_some((problem.reason for problem in self.skipped), MOST_NAMED)}"
            )

    def tensors(self) -> tuple[Tensor, Tensor]:
        """Spectrograms as `load_spectrograms` gives them, mapped from disk, and labels [clips], or float32
        [clips, classes] of 0 and 1 if a clip may have several.
        """
        spectrograms = torch.from_numpy(self.load_spectrograms())  # first, for clips may go with it
        if self.multi_label:
            return spectrograms, self._multi_hot(range(len(self.clips)))
        return spectrograms, torch.tensor([clip.label for clip in self.clips])

    def labels_of(self, index: int) -> tuple[int, ...]:
        """The numbers of a clip's classes: one, or any number of them with `multi_label`."""
        clip = self.clips[index]
        return tuple(map(self.class_names.index, clip.labels)) if self.multi_label else (clip.label,)

    def _multi_hot(self, indices: Sequence[int]) -> Tensor:
        hot = torch.zeros(len(indices), len(self.class_names))
        for row, index in zip(hot, indices, strict=True):
            row[list(self.labels_of(index))] = 1.0
        return hot

    def indices(self, folds: Collection[int]) -> list[int]:
        """Positions of the clips in these folds, in the listing's order."""
        return [i for i, clip in enumerate(self.clips) if clip.fold in folds]

    def names_checksum(self, folds: Collection[int]) -> str:
        """Which clips lie in these folds, by their names, whatever order they are in."""
        names = sorted(os.fsencode(self.clips[i].name) for i in self.indices(folds))
        return hashlib.sha256(b"\0".join(names)).hexdigest()[:16]

    def split(self, test_fold: int) -> FoldSplit:
        """The rotation that tests on `test_fold`: the fold before it validates, the others train.

        With five folds this is {1,2,3} 4 5, {2,3,4} 5 1, ... (Cappellazzo et al., 2024).

        Raises:
            UserError: if there is no such fold or it may not be tested, there are fewer than three, or the
                training folds lack a class.
        """
        if len(self.folds) < 3:
            raise UserError(
                f"{self.source} has the folds {self.folds}; cross-validation needs at least three."
            )
        if test_fold not in self.folds:
            raise UserError(f"There is no fold {test_fold} in {self.source}; its folds are {self.folds}.")
        if test_fold not in self.tested:
            raise UserError(
                f"{self.source} says itself which clips test: fold {', '.join(map(str, self.tested))}. "
                f"Fold {test_fold} is for training and validation; leave --data.folds out."
            )
        validation = self.folds[self.folds.index(test_fold) - 1]
        train = tuple(fold for fold in self.folds if fold not in (validation, test_fold))
        split = FoldSplit(train, validation, test_fold)
        if self.multi_label:
            for part, folds in split.parts.items():
                if not any(self.clips[i].labels for i in self.indices(folds)):
                    raise UserError(
                        f"Testing on fold {test_fold}, no clip for {part} has a label (folds {list(folds)} "
                        f"of {self.source}): nothing could be learnt or measured."
                    )
            return split
        trained = {self.clips[i].label for i in self.indices(train)}
        if missing := [name for label, name in enumerate(self.class_names) if label not in trained]:
            raise UserError(
                f"Testing on fold {test_fold} trains on folds {list(train)} of {self.source}, "
                f"which hold no clip of: {', '.join(missing)}. Every class needs clips in the training folds."
            )
        return split
