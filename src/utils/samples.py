"""Clips to listen to: for every class the one most like the others of its class."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ..data.dataset import AudioDataset
from ..errors import UserError
from ..files import write_bytes, write_csv


def copy_samples(dataset: AudioDataset, test_fold: int, folder: Path, per_class: int = 1) -> list[Path]:
    """Copy representative clips of each class into `folder`, with an index in samples.csv.

    Representative are the clips whose mean and deviation per mel bin lie nearest to the average of their
    class. Only training and validation folds are looked at, so that nobody listens to what is tested on.

    Args:
        dataset: Where the clips come from.
        test_fold: The fold to leave alone.
        folder: Made if missing.
        per_class: How many clips of each class.

    Returns:
        The copies, named after their class.

    Raises:
        UserError: if a number makes no sense or the folder cannot be written.
    """
    if per_class < 1:
        raise UserError(f"per_class is {per_class}; it must be at least 1.")
    split = dataset.split(test_fold)
    dataset.load_spectrograms()
    rows, copies = [], []
    for label, name in enumerate(dataset.class_names):
        clips = [
            i for i in dataset.indices((*split.train, split.validation)) if label in dataset.labels_of(i)
        ]
        if not clips:  # a class of several that a clip may have
            continue
        statistics = np.stack(
            [np.concatenate((s.mean(0), s.std(0))) for s in (dataset[i][0].numpy() for i in clips)]
        )
        distances = np.linalg.norm(statistics - statistics.mean(axis=0), axis=1)
        for number, nearest in enumerate(np.argsort(distances, kind="stable")[:per_class], start=1):
            clip = dataset.clips[clips[nearest]]
            safe_name = re.sub(r"[^\w-]+", "_", name)  # a category of the csv may hold slashes
            if (copy := folder / f"{safe_name}_{number}{clip.path.suffix}") in copies:
                copy = folder / f"{safe_name}_{label}_{number}{clip.path.suffix}"  # "a b" beside "a/b"
            write_bytes(copy, clip.path.read_bytes())
            rows.append({"sample": copy.name, "class": name, "clip": clip.name, "fold": clip.fold})
            copies.append(copy)
    write_csv(folder / "samples.csv", rows)
    return copies
