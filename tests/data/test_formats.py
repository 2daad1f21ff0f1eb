"""Data sets as people have them, folders and tables: what is found, and what is wrong with a bad one."""

from __future__ import annotations

import os
import shutil
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from petl_ast.config import DataConfig, RunConfig, SpectrogramConfig
from petl_ast.data.dataset import AudioDataset
from petl_ast.data.duplicates import identical
from petl_ast.data.formats import find_format, holds_data, open_dataset
from petl_ast.errors import UserError
from petl_ast.files import write_csv
from tests.conftest import write_miniature

RATE = 16000
SMALL = SpectrogramConfig(num_mel_bins=32, max_length=60)


def write_sound(path: Path, seconds: float = 0.2, rate: int = RATE, channels: int = 1) -> Path:
    """Noise that no other path has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(zlib.crc32(os.fsencode(path)))
    soundfile.write(path, 0.1 * rng.standard_normal((round(seconds * rate), channels)), rate)
    return path


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """Two classes of five clips, with the same names in both."""
    root = tmp_path / "sounds"
    for label in ("dog", "cat"):
        for i in range(5):
            write_sound(root / label / f"{i}.wav")
    return root


def opened(root: Path, cache: Path | None = None, **options: object) -> AudioDataset:
    data = replace(DataConfig(root=str(root), cache=str(cache or root.parent / "cache")), **options)
    return open_dataset(RunConfig(data=data, spectrogram=SMALL))[0]


def write_table(root: Path, rows: list[dict[str, object]], name: str = "clips.csv") -> Path:
    write_csv(root / name, rows)
    return root / name


def table_of(root: Path, **more: Callable[[Path], object]) -> list[dict[str, object]]:
    """A row a sound file, the label from its folder."""
    return [
        {"path": path.relative_to(root).as_posix(), "label": path.parent.name}
        | {name: value(path) for name, value in more.items()}
        for path in sorted(root.rglob("*.wav"))
    ]


# A sub-folder a class


def test_a_folder_is_classes_clips_and_folds(sounds):
    dataset = opened(sounds)
    assert dataset.class_names == ["cat", "dog"]
    assert [clip.name for clip in dataset.clips] == [f"{c}/{i}.wav" for c in ("cat", "dog") for i in range(5)]
    assert dataset.folds == dataset.tested == [1, 2, 3, 4, 5]
    assert set(Counter((clip.fold, clip.label) for clip in dataset.clips).values()) == {1}
    assert dataset.skipped == dataset.notes == []


def test_names_that_repeat_across_classes_keep_their_own_spectrograms(sounds):
    write_sound(sounds / "dog" / "3.wav", seconds=0.5)
    (sounds / "cat" / "2.wav").write_text("no sound")
    dataset = opened(sounds, on_error="skip")
    spectrograms, labels = dataset.tensors()
    assert len(dataset) == len(spectrograms) == len(labels) == 9
    assert [problem.clip for problem in dataset.skipped] == ["cat/2.wav"]
    frames = {
        clip.name: int((x != x[-1]).any(1).sum()) for clip, x in zip(dataset.clips, spectrograms, strict=True)
    }
    assert frames["dog/3.wav"] > frames["cat/3.wav"]
    again = opened(sounds, on_error="skip")
    np.testing.assert_array_equal(again.load_spectrograms(), spectrograms.numpy())
    assert again.notes == dataset.notes


def test_order_on_disk_does_not_matter(sounds, tmp_path):
    other = tmp_path / "other"
    for path in sorted(sounds.rglob("*.wav"), reverse=True):
        (other / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, other / path.parent.name)

    def described(root: Path) -> list[tuple[str, int, int]]:
        return [(clip.name, clip.label, clip.fold) for clip in opened(root).clips]

    assert described(sounds) == described(other)


def test_seed_and_number_of_folds_are_options(sounds):
    assert opened(sounds, number_of_folds=3).folds == [1, 2, 3]
    first, other = ([clip.fold for clip in opened(sounds, split_seed=seed).clips] for seed in (0, 1))
    assert first != other


def test_what_is_no_clip_is_ignored_and_counted(sounds):
    (sounds / "dog" / "notes.txt").write_text("good dog")
    (sounds / "dog" / ".hidden.wav").write_text("")
    (sounds / ".git").mkdir()
    (sounds / "empty").mkdir()
    write_sound(sounds / "dog" / "2024" / "deep" / "1.WAV")
    dataset = opened(sounds)
    assert "dog/2024/deep/1.WAV" in [clip.name for clip in dataset.clips]
    assert dataset.class_names == ["cat", "dog"]
    assert len(dataset) == 11
    (note,) = dataset.notes
    assert "1 files" in note and ".txt" in note


def test_every_bad_file_is_named_at_once(sounds, tmp_path):
    write_sound(sounds / "stray.wav")
    (sounds / "dog" / "phone.m4a").write_text("")
    outside = write_sound(tmp_path / "outside.wav")
    (sounds / "cat" / "link.wav").symlink_to(outside)
    (sounds / "linked").symlink_to(tmp_path)
    with pytest.raises(UserError) as caught:
        opened(sounds)
    message = str(caught.value)
    assert message.startswith("4 rows and clips cannot be used")
    for words in (
        "stray.wav: lies in no sub-folder",
        "phone.m4a: .m4a cannot be read",
        "outside.wav, outside",
    ):
        assert words in message
    assert "linked: is a link to a folder" in message
    dataset = opened(sounds, on_error="skip")
    assert len(dataset) == 10
    assert len(dataset.skipped) == 4


def test_folders_called_train_and_test_are_a_split(tmp_path):
    for part, number in (("train", 6), ("Validation", 2), ("test", 3)):
        for label in ("dog", "cat"):
            for i in range(number):
                write_sound(tmp_path / part / label / f"{part}{i}.wav")
    dataset = opened(tmp_path)
    assert dataset.class_names == ["cat", "dog"]
    assert Counter(clip.fold for clip in dataset.clips) == {1: 12, 2: 4, 3: 6}
    assert dataset.tested == [3]
    assert dataset.split(3).train == (1,)
    with pytest.raises(UserError, match="says itself which clips test: fold 3"):
        dataset.split(1)


def test_what_lies_beside_train_and_test_must_be_clear(tmp_path):
    for part in ("train", "test"):
        for label in ("dog", "cat"):
            for i in range(5):
                write_sound(tmp_path / part / label / f"{part}{i}.wav")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "read.me").write_text("")
    assert opened(tmp_path).class_names == ["cat", "dog"]
    write_sound(tmp_path / "tram" / "1.wav")
    with pytest.raises(UserError, match=r"others with sound beside them: tram\. Move those away"):
        opened(tmp_path)
    shutil.rmtree(tmp_path / "test")
    write_sound(tmp_path / "tram" / "2.wav")
    write_sound(tmp_path / "tram" / "3.wav")
    assert opened(tmp_path).class_names == ["train", "tram"]  # a class may be called train


@pytest.mark.parametrize("make", [lambda root: None, lambda root: (root / "dog").mkdir()])
def test_an_empty_folder_is_told_what_belongs_there(tmp_path, make):
    make(tmp_path)
    with pytest.raises(UserError, match="sub-folder") as caught:
        opened(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_skip_leaves_small_classes_out_and_says_so(sounds):
    write_sound(sounds / "bird" / "1.wav")
    with pytest.raises(UserError, match="class bird has 1 recording, and needs 3"):
        opened(sounds)
    dataset = opened(sounds, on_error="skip")
    assert dataset.class_names == ["cat", "dog"]
    assert [problem.clip for problem in dataset.skipped] == ["bird/1.wav"]


def test_skip_does_not_go_on_without_a_class_of_bad_clips(sounds):
    for path in (sounds / "cat").iterdir():
        path.write_text(f"no sound {path}")
    with pytest.raises(UserError, match="nothing is left of: class cat"):
        opened(sounds, on_error="skip").load_spectrograms()


def test_rates_channels_and_formats_mix(sounds):
    write_sound(sounds / "dog" / "5.flac", rate=44100, channels=2)
    write_sound(sounds / "cat" / "5.mp3", rate=8000)
    dataset = opened(sounds)
    assert dataset.tensors()[0].isfinite().all()
    assert dataset.survey().rates == {16000: 10, 44100: 1, 8000: 1}
    assert dataset.survey().channels == {1: 11, 2: 1}


# A table


def test_a_lone_table_is_found_and_wins_over_folders(sounds):
    rows = table_of(sounds)[1:]
    write_table(sounds, [{"file": row["path"], "class": f"big {row['label']}"} for row in rows])
    dataset = opened(sounds)
    assert dataset.class_names == ["big cat", "big dog"]
    assert [clip.name for clip in dataset.clips] == [row["path"] for row in rows]
    assert opened(sounds / "clips.csv").clips == dataset.clips


def test_given_folds_of_a_table_are_kept(sounds):
    write_table(sounds, table_of(sounds, fold=lambda path: int(path.stem) // 2 + 10))
    assert Counter(clip.fold for clip in opened(sounds).clips) == {10: 4, 11: 4, 12: 2}


def test_a_given_split_of_a_table_tests_its_test_part_only(sounds):
    parts = {"0": "train", "1": "train", "2": "Valid", "3": "test", "4": "testing"}
    write_table(sounds, table_of(sounds, split=lambda path: parts[path.stem]))
    dataset = opened(sounds)
    assert Counter(clip.fold for clip in dataset.clips) == {1: 4, 2: 2, 3: 4}
    assert dataset.tested == [3]


def test_groups_of_a_table_stay_together(sounds):
    for i in range(5, 12):
        for label in ("dog", "cat"):
            write_sound(sounds / label / f"{i}.wav")
    write_table(sounds, table_of(sounds, group=lambda path: f"speaker {int(path.stem) % 4}"))
    dataset = opened(sounds, number_of_folds=3)
    assert len({(clip.group, clip.fold) for clip in dataset.clips}) == 4


FAULTS = {
    "../sounds/dog/1.wav": "not a path inside",
    "/etc/passwd": "not a path inside",
    "C:/a.wav": "not a path inside",
    "dog\\1.wav": "not a path inside",
    ".": "not a plain file name",
    "dog/\x07.wav": "not a plain file name",
    "out/1.wav": "by a link, outside",
    "dog/out.wav": "by a link, outside",
    "": "no path",
    "dog/none.wav": "no such audio file",
    "dog/1.wav": "listed more than once",
}


def test_every_bad_row_is_named_at_once(sounds, tmp_path):
    write_sound(tmp_path / "elsewhere" / "1.wav")
    (sounds / "out").symlink_to(tmp_path / "elsewhere")
    (sounds / "dog" / "out.wav").symlink_to(tmp_path / "elsewhere" / "1.wav")
    rows = [row for row in table_of(sounds) if "out" not in str(row["path"])]
    rows += [{"path": path, "label": "dog"} for path in FAULTS]
    rows += [{"path": "dog/9.wav", "label": "a\nb"}, {"path": "dog/8.wav", "label": ""}]
    write_table(sounds, rows)
    with pytest.raises(UserError) as caught:
        opened(sounds)
    message = str(caught.value)
    assert message.startswith("13 rows and clips")
    for reason in (*FAULTS.values(), "label is 'a\\nb'; it must be plain text", "no label"):
        assert reason in message
    assert len(opened(sounds, on_error="skip").skipped) == 12  # a missing file is found later


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"fold": "x"}, "fold is 'x', not a whole number"),
        ({"split": "later"}, "must be train, validation or test"),
    ],
)
def test_a_fold_or_part_that_is_none(sounds, more, reason):
    write_table(sounds, [row | more for row in table_of(sounds)])
    with pytest.raises(UserError, match=reason):
        opened(sounds)


def test_which_table_is_meant_must_be_clear(sounds):
    write_table(sounds, table_of(sounds), "a.csv")
    write_table(sounds, table_of(sounds), "b.csv")
    write_table(sounds, [{"note": 1}], "notes.csv")
    with pytest.raises(UserError, match=r"it holds: a\.csv, b\.csv\. Name the file itself"):
        opened(sounds)
    assert len(opened(sounds / "b.csv")) == 10


def test_a_table_without_its_columns_is_told_them(sounds):
    table = write_table(sounds, [{"wav": "a", "label": "b"}])
    with pytest.raises(UserError, match=r"no column path; its columns are: wav, label"):
        opened(table)


def test_a_space_after_a_comma_is_no_part_of_a_name(sounds):
    rows = "\n".join(f"{row['path']}, {row['label']}" for row in table_of(sounds))
    (sounds / "clips.csv").write_text(f"path, label\n{rows}\n")
    assert opened(sounds).class_names == ["cat", "dog"]


@pytest.mark.parametrize("as_table", [False, True])
def test_a_class_of_which_nothing_can_be_used_is_not_left_out_unseen(sounds, tmp_path, as_table):
    write_sound(tmp_path / "elsewhere.wav")
    for i in range(5):
        (sounds / "bird").mkdir(exist_ok=True)
        (sounds / "bird" / f"{i}.wav").symlink_to(tmp_path / "elsewhere.wav")
    if as_table:
        write_table(sounds, table_of(sounds))
    with pytest.raises(UserError, match=r"nothing is left of: class bird\."):
        opened(sounds, on_error="skip")


def test_a_fold_of_which_nothing_can_be_used_is_not_left_out_unseen(sounds):
    rows = table_of(sounds, fold=lambda path: int(path.stem) + 1)
    write_table(sounds, [row | ({"path": "../x.wav"} if row["fold"] == 4 else {}) for row in rows])
    with pytest.raises(UserError, match=r"nothing is left of: fold 4\."):
        opened(sounds, on_error="skip")


def test_headers_are_read_again_when_clips_go(sounds):
    write_sound(sounds / "dog" / "odd.wav", seconds=2)
    dataset = opened(sounds, on_error="skip")
    assert max(dataset.survey().seconds) > 1.9
    (sounds / "dog" / "odd.wav").write_text("no sound any more")
    dataset.load_spectrograms()
    assert max(dataset.survey().seconds) < 0.3


# Which is which


def test_formats_are_found_by_what_lies_there(sounds, tmp_path):
    write_miniature(tmp_path / "esc", clips_per_fold=1)
    assert find_format(DataConfig(root=str(tmp_path / "esc"))) == "esc50"
    assert find_format(DataConfig(root=str(sounds))) == "folder"
    assert find_format(DataConfig(root=str(tmp_path / "gone"))) is None
    assert not holds_data(DataConfig(root=str(tmp_path / "gone"), format="folder"))
    _, config = open_dataset(RunConfig(data=DataConfig(root=str(sounds))))
    assert config.data.format == "folder"


def test_the_same_data_as_folder_and_as_esc50_share_nothing_in_the_cache(tmp_path):
    """Other names are another entry, not a damaged one."""
    write_miniature(tmp_path / "esc", clips_per_fold=1)
    rows = [
        {"path": f"audio/{p.name}", "label": p.stem[-1]} for p in sorted((tmp_path / "esc/audio").iterdir())
    ]
    table = write_table(tmp_path / "esc", rows)
    for _ in range(2):
        for root in (tmp_path / "esc", table):
            dataset = opened(root, tmp_path / "cache")
            dataset.load_spectrograms()
            assert dataset.notes == []


# Length


@pytest.mark.parametrize(("longest", "most", "frames"), [(0.5, 1000, 48), (2.0, 60, 60)])
def test_the_length_is_the_longest_clips_up_to_the_configured(sounds, longest, most, frames):
    write_sound(sounds / "dog" / "long.wav", seconds=longest, rate=44100)
    (sounds / "dog" / "bad.wav").write_text("no sound")
    data = DataConfig(root=str(sounds), fit_length=True, on_error="skip")
    config = RunConfig(data=data, spectrogram=replace(SMALL, max_length=most))
    dataset, resolved = open_dataset(config)
    assert dataset.spectrogram.max_length == resolved.spectrogram.max_length == frames
    assert open_dataset(resolved)[1] == resolved


# Identical files


def test_identical_files_are_found_by_bytes_alone(tmp_path):
    same = bytes(range(256)) * 100
    contents = {"a": same, "b": same[:-1] + b"\0", "c": same, "d": b"", "e": b"", "f": same[1:] + b"\0"}
    contents |= {"g": b"\1" + same[1:], "h": b"\1" + same[1:]}  # the same in the middle as a
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    files = {name: tmp_path / name for name in (*contents, "missing")}
    assert sorted(identical(files)) == [["a", "c"], ["d", "e"], ["g", "h"]]
