"""The csv of a data set: what it lists lies inside the data folder and has consistent labels."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

from petl_ast.data.esc50_dataset import ESC50Dataset
from tests.conftest import write_miniature
from tests.fuzz.mutations import spoil_text


class Files:
    """The reader that the module names."""

    def __init__(self, workshop: Path) -> None:
        self.root = workshop / "data"
        write_miniature(self.root, clips_per_fold=1, folds=4)
        shutil.copy(next((self.root / "audio").iterdir()), workshop / "outside.wav")
        (self.root / "audio" / "linked.wav").symlink_to(workshop / "outside.wav")
        self.csv = self.root / "meta" / "esc50.csv"
        self.original = self.csv.read_bytes()

    def make(self, rng: random.Random, case: Path) -> None:
        (case / "esc50.csv").write_bytes(spoil_text(rng, self.original))

    def judge(self, rng: random.Random, case: Path) -> None:
        shutil.copy(case / "esc50.csv", self.csv)
        dataset = ESC50Dataset(
            self.root, rng.choice(("all", "all", "esc10")), on_error=rng.choice(("stop", "skip"))
        )
        inside = os.path.realpath(self.root) + os.sep
        assert len(dataset) > 0
        for clip in dataset.clips:
            assert os.path.realpath(clip.path).startswith(inside), clip
            assert clip.path.parent == self.root / "audio", clip
            assert dataset.class_names[clip.label] == clip.category, clip
            assert clip.category.strip() == clip.category != "", clip
            assert clip.fold in dataset.folds and clip.fold >= 0 and clip.target >= 0, clip
        names = [clip.path.name for clip in dataset.clips]
        assert len(set(names)) == len(names)
        assert {clip.label for clip in dataset.clips} == set(range(len(dataset.class_names)))
