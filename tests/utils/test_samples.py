"""Clips to listen to: the most typical of each class, and never one of the test fold."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from conftest import CLASS_NAMES, SAMPLING_RATE
from petl_ast import ESC50Dataset
from petl_ast.config import SpectrogramConfig
from petl_ast.errors import UserError
from petl_ast.utils.samples import copy_samples


def open_dataset(root: Path, cache: Path) -> ESC50Dataset:
    return ESC50Dataset(root, "all", SpectrogramConfig(max_length=48), cache)


@pytest.fixture
def dataset(shared_miniature: Path, tmp_path: Path) -> ESC50Dataset:
    return open_dataset(shared_miniature, tmp_path / "cache")


def index_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "samples.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("test_fold", [1, 3, 5])
def test_never_from_the_test_fold(test_fold: int, dataset: ESC50Dataset, tmp_path: Path) -> None:
    """Even when all clips are asked for."""
    copy_samples(dataset, test_fold, tmp_path / "samples", per_class=100)
    listed = index_of(tmp_path / "samples")
    assert len(listed) == 3 * 4 * 2  # classes, folds that are left, clips a fold
    assert {int(row["fold"]) for row in listed} == {1, 2, 3, 4, 5} - {test_fold}
    assert all(row["clip"][0] == row["fold"] for row in listed)


@pytest.mark.parametrize("per_class", [1, 2, 3])
def test_so_many_of_each_class(
    per_class: int, dataset: ESC50Dataset, shared_miniature: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "samples"
    copies = copy_samples(dataset, 5, folder, per_class)
    names = [f"{name}_{i}.wav" for name in CLASS_NAMES for i in range(1, per_class + 1)]
    assert [path.name for path in copies] == names
    assert {path.name for path in folder.iterdir()} == {*names, "samples.csv"}
    for row in index_of(folder):
        assert row["sample"].startswith(row["class"])
        source = shared_miniature / "audio" / row["clip"]
        assert (folder / row["sample"]).read_bytes() == source.read_bytes()
    assert len({row["clip"] for row in index_of(folder)}) == 3 * per_class


def test_the_nearest_to_the_classs_average_comes_first(dataset: ESC50Dataset, tmp_path: Path) -> None:
    """By mean and deviation per mel bin, computed here clip by clip."""
    copy_samples(dataset, 2, tmp_path / "samples", per_class=8)
    listed = index_of(tmp_path / "samples")
    for label, name in enumerate(CLASS_NAMES):
        values = {}
        for i, clip in enumerate(dataset.clips):
            if clip.label == label and clip.fold != 2:
                frames = dataset[i][0].numpy().astype(np.float64)
                values[clip.path.name] = np.array([frames.mean(axis=0), frames.std(axis=0)]).ravel()
        centre = sum(values.values()) / len(values)
        distance = {clip: float(np.sqrt(((value - centre) ** 2).sum())) for clip, value in values.items()}
        chosen = [row["clip"] for row in listed if row["class"] == name]
        assert set(chosen) == set(values)
        distances = [distance[clip] for clip in chosen]
        np.testing.assert_allclose(distances, sorted(distances), rtol=1e-4)
        assert distances[0] < distances[-1]


def test_an_odd_clip_comes_last(miniature: Path, tmp_path: Path) -> None:
    """A loud click among tones of a class is what nobody would call typical."""
    odd = np.zeros(SAMPLING_RATE // 2)
    odd[100] = 1.0
    soundfile.write(miniature / "audio" / "3-300-A-2.wav", odd, SAMPLING_RATE)
    copy_samples(open_dataset(miniature, tmp_path / "cache"), 5, tmp_path / "samples", per_class=8)
    tones = [row["clip"] for row in index_of(tmp_path / "samples") if row["class"] == "low_tone"]
    assert tones[-1] == "3-300-A-2.wav"


def test_the_choice_repeats(dataset: ESC50Dataset, tmp_path: Path) -> None:
    first = [path.read_bytes() for path in copy_samples(dataset, 4, tmp_path / "one", 2)]
    again = [path.read_bytes() for path in copy_samples(dataset, 4, tmp_path / "two", 2)]
    assert first == again
    assert index_of(tmp_path / "one") == index_of(tmp_path / "two")


def test_senseless_requests_are_named(dataset: ESC50Dataset, tmp_path: Path) -> None:
    for per_class in (0, -1):
        with pytest.raises(UserError, match=f"per_class is {per_class}; it must be at least 1"):
            copy_samples(dataset, 5, tmp_path / "samples", per_class)
    with pytest.raises(UserError, match="no fold 9"):
        copy_samples(dataset, 9, tmp_path / "samples")
    assert not (tmp_path / "samples").exists()


def test_a_file_in_the_way_is_named(dataset: ESC50Dataset, tmp_path: Path) -> None:
    (tmp_path / "samples").write_text("a file")
    with pytest.raises(UserError, match=r"Cannot write .*samples"):
        copy_samples(dataset, 5, tmp_path / "samples")


def test_no_copy_leaves_the_folder(miniature: Path, tmp_path: Path) -> None:
    table = miniature / "meta" / "esc50.csv"
    table.write_text(table.read_text().replace("noise", "../../noise"))
    folder = tmp_path / "a" / "b" / "samples"
    try:
        copies = copy_samples(open_dataset(miniature, tmp_path / "cache"), 5, folder)
    except UserError as error:
        assert "../../noise" in str(error)
    else:
        assert all(path.resolve().is_relative_to(folder.resolve()) for path in copies)


def test_classes_of_one_safe_name_keep_their_own_files(miniature: Path, tmp_path: Path) -> None:
    table = miniature / "meta" / "esc50.csv"
    table.write_text(table.read_text().replace("low_tone", "a tone").replace("high_tone", "a/tone"))
    copies = copy_samples(open_dataset(miniature, tmp_path / "cache"), 1, tmp_path / "samples")
    assert len({path.read_bytes() for path in copies}) == len(copies) == 3
