"""Few-shot training clips: so many a class, from the training folds, the same ones every time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from petl_ast import ESC50Dataset
from petl_ast.config import DataConfig
from petl_ast.data.shots import training_indices
from petl_ast.errors import UserError


@pytest.mark.parametrize("order", ["random", "first"])
@pytest.mark.parametrize("shots", [1, 4, 6])
def test_so_many_of_each_class_from_the_training_folds(
    shared_miniature: Path, shots: int, order: str
) -> None:
    dataset = ESC50Dataset(shared_miniature)
    data = replace(DataConfig(shots=shots), shots_order=order)
    chosen = training_indices(dataset, dataset.split(2), data)
    assert Counter(dataset.clips[i].label for i in chosen) == dict.fromkeys(range(3), shots)
    assert {dataset.clips[i].fold for i in chosen} <= {3, 4, 5}
    assert chosen == sorted(chosen)


def test_the_first_are_the_first(shared_miniature: Path) -> None:
    dataset = ESC50Dataset(shared_miniature)
    chosen = training_indices(dataset, dataset.split(1), DataConfig(shots=3, shots_order="first"))
    for label in range(3):
        indices = [i for i in dataset.indices([2, 3, 4]) if dataset.clips[i].label == label]
        assert [i for i in chosen if dataset.clips[i].label == label] == indices[:3]


def test_more_shots_hold_fewer_and_a_seed_is_a_draw(shared_miniature: Path) -> None:
    dataset = ESC50Dataset(shared_miniature)
    few, more, other = (
        set(training_indices(dataset, dataset.split(1), DataConfig(shots=shots, shots_seed=seed)))
        for shots, seed in ((2, 0), (4, 0), (2, 1))
    )
    assert few < more
    assert few != other


def test_without_shots_all_clips_train_and_a_class_gives_what_it_has(shared_miniature: Path) -> None:
    dataset = ESC50Dataset(shared_miniature)
    everything = dataset.indices(dataset.split(1).train)
    assert training_indices(dataset, dataset.split(1), DataConfig()) == everything
    assert training_indices(dataset, dataset.split(1), DataConfig(shots=100)) == everything


def test_no_shots_at_all_are_refused() -> None:
    with pytest.raises(UserError, match=r"data\.shots is 0"):
        DataConfig(shots=0)
