"""Public data sets as they are unpacked, in miniature: official folds, classes, and faults."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from petl_ast.config import DataConfig, RunConfig
from petl_ast.data.dataset import AudioDataset, FoldSplit
from petl_ast.data.formats import open_dataset
from petl_ast.errors import UserError


def opened(root: Path, on_error: str = "stop") -> tuple[AudioDataset, RunConfig]:
    return open_dataset(RunConfig(data=DataConfig(root=str(root), on_error=on_error)))


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


URBAN = "slice_file_name,fsID,start,end,salience,fold,classID,class\n"


@pytest.fixture
def urban(tmp_path: Path) -> Path:
    """Three of ten classes, one clip each in ten folds; the same file name never occurs twice."""
    lines = [URBAN]
    for fold in range(1, 11):
        for target, name in ((3, "dog_bark"), (0, "air_conditioner"), (9, "street_music")):
            file = f"{100 + fold}-{target}-0-0.wav"
            lines.append(f"{file},{100 + fold},0.0,4.0,1,{fold},{target},{name}\n")
            touch(tmp_path / "audio" / f"fold{fold}" / file)
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "UrbanSound8K.csv").write_text("".join(lines))
    return tmp_path


def test_urbansound8k_has_its_ten_folds(urban):
    dataset, config = opened(urban)
    assert config.data.format == "urbansound8k"
    assert dataset.class_names == ["air_conditioner", "dog_bark", "street_music"]  # by classID
    assert dataset.folds == dataset.tested == list(range(1, 11))
    assert dataset.split(1) == FoldSplit(train=tuple(range(2, 10)), validation=10, test=1)
    assert dataset.clips[0].name == "fold1/101-3-0-0.wav"
    assert all(clip.path.is_file() for clip in dataset.clips)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a.wav,1,0,4,1,x,3,dog_bark", "fold is 'x'"),
        ("a.wav,1,0,4,1,1,,dog_bark", "classID is ''"),
        ("../a.wav,1,0,4,1,1,3,dog_bark", "a file's name"),
        ("a.wav,1,0,4,1,1,3,", "of class ''"),
        ("101-3-0-0.wav,1,0,4,1,1,3,dog_bark", "more than once"),
    ],
)
def test_a_bad_row_of_urbansound8k_is_named(urban, row, reason):
    with (urban / "metadata" / "UrbanSound8K.csv").open("a") as file:
        file.write(row + "\n")
    with pytest.raises(UserError, match="line 32") as caught:
        opened(urban)
    assert reason in str(caught.value)
    assert len(opened(urban, "skip")[0].skipped) == 1


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """Two words of five speakers; one speaker validates, one tests."""
    for word in ("yes", "bed"):
        for speaker in ("0a", "1b", "2c", "3d", "4e"):
            touch(tmp_path / word / f"{speaker}_nohash_0.wav")
    touch(tmp_path / "_background_noise_" / "pink_noise.wav")
    (tmp_path / "README.md").touch()
    (tmp_path / "validation_list.txt").write_text("bed/3d_nohash_0.wav\nyes/3d_nohash_0.wav\n")
    (tmp_path / "testing_list.txt").write_text("bed/4e_nohash_0.wav\nyes/4e_nohash_0.wav\n")
    return tmp_path


def test_speech_commands_have_their_lists(commands):
    dataset, config = opened(commands)
    assert config.data.format == "speech_commands"
    assert dataset.class_names == ["bed", "yes"]
    assert Counter(clip.fold for clip in dataset.clips) == {1: 6, 2: 2, 3: 2}
    assert {clip.name[4:6] for clip in dataset.clips if clip.fold == 3} == {"4e"}
    assert dataset.tested == [3]


def test_a_listed_command_that_is_not_there(commands):
    (commands / "bed" / "4e_nohash_0.wav").unlink()
    with pytest.raises(UserError, match=r"bed/4e_nohash_0\.wav: is in a list, but not there"):
        opened(commands)


@pytest.fixture
def fluent(tmp_path: Path) -> Path:
    """Two intents; the tables as they are, with a column without a name in front."""
    header = ",path,speakerId,transcription,action,object,location\n"
    for part, number in (("train", 4), ("valid", 2), ("test", 2)):
        lines = [header]
        for i in range(number):
            for intent in ("activate,lights,kitchen", "change language,none,none"):
                path = f"wavs/speakers/{part}/{i}{intent[:2]}.wav"
                touch(tmp_path / path)
                lines.append(f'{len(lines) - 1},{path},{part},"Turn on, please",{intent}\n')
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / f"{part}_data.csv").write_text("".join(lines))
    return tmp_path


def test_fluent_speech_commands_have_intents(fluent):
    dataset, config = opened(fluent)
    assert config.data.format == "fluent_speech_commands"
    assert dataset.class_names == ["activate_lights_kitchen", "change language_none_none"]
    assert Counter(clip.fold for clip in dataset.clips) == {1: 8, 2: 4, 3: 4}
    assert dataset.tested == [3]
    assert dataset.clips[0].name == "wavs/speakers/train/0ac.wav"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("9,../a.wav,x,y,a,b,c", "not a path inside"),
        ("9,wavs/a.wav,x,y,a,,c", "are needed"),
        ("9,wavs/speakers/train/0ac.wav,train,y,activate,lights,kitchen", "is in several tables"),
    ],
)
def test_a_bad_row_of_fluent_speech_commands_is_named(fluent, row, reason):
    with (fluent / "data" / "test_data.csv").open("a") as file:
        file.write(row + "\n")
    with pytest.raises(UserError, match=reason):
        opened(fluent)


def test_a_table_that_is_missing(fluent):
    (fluent / "data" / "test_data.csv").unlink()
    with pytest.raises(UserError, match=r"test_data\.csv"):
        opened(fluent)
