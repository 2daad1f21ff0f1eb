"""Few-shot training: so many clips a class, while validation and test stay whole."""

from __future__ import annotations

import hashlib
from collections import defaultdict

from ..data_config import DataConfig
from .dataset import AudioDataset, FoldSplit


def training_indices(dataset: AudioDataset, split: FoldSplit, data: DataConfig) -> list[int]:
    """Positions of the clips that train: those of the training folds, `data.shots` of each class if given.

    A class with fewer clips gives all it has. With `data.shots_order` "first" they are the first of the data
    set's order, else drawn by their names and `data.shots_seed`; more shots hold the clips of fewer.
    """
    indices = dataset.indices(split.train)
    if data.shots is None:
        return indices

    def draw(index: int) -> bytes:
        return hashlib.sha256(f"shots\0{data.shots_seed}\0{dataset.clips[index].name}".encode()).digest()

    of_class: defaultdict[int, list[int]] = defaultdict(list)
    for index in indices if data.shots_order == "first" else sorted(indices, key=draw):
        of_class[dataset.clips[index].label].append(index)
    return sorted(index for drawn in of_class.values() for index in drawn[: data.shots])
