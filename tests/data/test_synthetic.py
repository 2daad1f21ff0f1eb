"""The synthetic data set: ESC-50's layout, the same bytes every time, a task neither hopeless nor trivial."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from petl_ast.data.synthetic import CLASSES, synthesise, write_dataset
from petl_ast.errors import UserError

SHORT = {"seconds": 0.5, "sampling_rate": 16_000}  # quick to make and to write


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "meta" / "esc50.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("synthetic"), clips_per_class=5, **SHORT)


def test_table_has_the_layout_of_esc50(dataset):
    header = (dataset / "meta" / "esc50.csv").read_bytes().split(b"\n")[0]
    assert header == b"filename,fold,target,category,esc10,src_file,take"
    rows = rows_of(dataset)
    assert len(rows) == 5 * len(CLASSES) == 50
    for row in rows:
        assert row["filename"] == f"{row['fold']}-{row['src_file']}-{row['take']}-{row['target']}.wav"
        assert row["category"] == CLASSES[int(row["target"])]
        assert (len(row["src_file"]), row["take"], row["esc10"]) == (6, "A", "False")
    assert len({row["src_file"] for row in rows}) == len(rows)


def test_the_folder_holds_the_listed_clips_and_nothing_else(dataset):
    listed = {f"audio/{row['filename']}" for row in rows_of(dataset)}
    assert set(bytes_of(dataset)) == listed | {"meta/esc50.csv"}


def test_clips_are_16_bit_mono(dataset):
    for path in (dataset / "audio").iterdir():
        clip = soundfile.info(path)
        assert (clip.format, clip.subtype, clip.channels) == ("WAV", "PCM_16", 1)
        assert (clip.samplerate, clip.frames) == (16_000, 8_000)


@pytest.mark.parametrize(("clips", "folds"), [(6, 3), (7, 5)])
def test_every_class_is_dealt_out_evenly_to_the_folds(tmp_path, clips, folds):
    rows = rows_of(write_dataset(tmp_path, clips_per_class=clips, folds=folds, **SHORT))
    counts = Counter((row["category"], int(row["fold"])) for row in rows)
    assert set(counts) == {(category, fold) for category in CLASSES for fold in range(1, folds + 1)}
    assert max(counts.values()) - min(counts.values()) == (clips % folds > 0)


def test_same_arguments_same_bytes(dataset, tmp_path):
    assert bytes_of(write_dataset(tmp_path, clips_per_class=5, **SHORT)) == bytes_of(dataset)


def test_another_seed_changes_every_clip(dataset, tmp_path):
    other = bytes_of(write_dataset(tmp_path, clips_per_class=5, seed=11, **SHORT))
    before = bytes_of(dataset)
    assert {name for name in before if before[name] == other[name]} == {"meta/esc50.csv"}


def test_more_clips_leave_the_earlier_ones_as_they_were(dataset, tmp_path):
    more = write_dataset(tmp_path, clips_per_class=7, **SHORT)
    assert rows_of(more)[:50] == rows_of(dataset)
    before, after = bytes_of(dataset), bytes_of(more)
    assert all(after[name] == before[name] for name in before if name != "meta/esc50.csv")


def test_an_interrupted_run_leaves_no_table_and_no_torn_file(dataset, tmp_path):
    write_dataset(tmp_path, clips_per_class=5, **SHORT)
    calls = 0

    def interrupt() -> None:
        nonlocal calls
        calls += 1
        if calls == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path, clips_per_class=5, on_clip=interrupt, **SHORT)
    complete = bytes_of(dataset)
    complete.pop("meta/esc50.csv")
    assert bytes_of(tmp_path) == complete


def test_on_clip_is_called_once_a_clip(tmp_path):
    calls: list[None] = []
    write_dataset(tmp_path, clips_per_class=2, folds=2, on_clip=lambda: calls.append(None), **SHORT)
    assert len(calls) == 2 * len(CLASSES)


def test_another_data_set_is_left_alone(tmp_path):
    table = tmp_path / "meta" / "esc50.csv"
    table.parent.mkdir()
    table.write_text("filename,fold,target,category\n1-100032-A-0.wav,1,0,dog\n")
    before = bytes_of(tmp_path)
    with pytest.raises(UserError, match="another data set"):
        write_dataset(tmp_path, clips_per_class=5, **SHORT)
    assert bytes_of(tmp_path) == before


def test_a_file_in_the_way_is_the_users_to_move(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="Cannot write"):
        write_dataset(tmp_path / "file", clips_per_class=5, **SHORT)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"clips_per_class": 4}, "cannot fill 5 folds"),
        ({"folds": 0}, "cannot fill 0 folds"),
        ({"seconds": 0.1}, "cannot hold the sounds"),
        ({"sampling_rate": 8_000}, "cannot hold the sounds"),
    ],
)
def test_arguments_that_make_no_data_set_are_refused(tmp_path, wrong, message):
    with pytest.raises(UserError, match=message):
        write_dataset(tmp_path, **wrong)
    assert not list(tmp_path.iterdir())


@settings(max_examples=100, deadline=None)
@given(
    target=st.integers(0, len(CLASSES) - 1),
    index=st.integers(0, 10_000),
    seed=st.integers(0, 2**32),
    seconds=st.sampled_from([0.25, 0.7, 2.0]),
    sampling_rate=st.sampled_from([16_000, 22_050, 44_100]),
)
def test_clips_are_sounds_within_full_scale(target, index, seed, seconds, sampling_rate):
    x = synthesise(target, index, seconds=seconds, sampling_rate=sampling_rate, seed=seed)
    assert x.shape == (round(seconds * sampling_rate),)
    assert np.isfinite(x).all()
    assert 0.5 < np.abs(x).max() < 1
    assert x.std() > 0.005  # not a lone click in silence
    assert abs(x.mean()) < 0.1


def statistics(x: np.ndarray) -> np.ndarray:
    """Level in eight bands, an octave each, and how much it varies in time: [16]."""
    frames = x[: len(x) // 512 * 512].reshape(-1, 512) * np.hanning(512)
    power = np.abs(np.fft.rfft(frames)) ** 2  # [frames, 257]
    edges = 2 ** np.arange(9)  # bins 1, 2, 4 .. 256
    levels = np.log(np.add.reduceat(power, edges, axis=1)[:, :8] + 1e-8)
    return np.concatenate([levels.mean(0), levels.std(0)])


def test_the_task_is_neither_hopeless_nor_trivial():
    """The nearest centroid of a few spectral and temporal statistics tells many clips apart, not all."""

    def described(target: int, index: int) -> np.ndarray:
        return statistics(synthesise(target, index, seconds=1.0, sampling_rate=16_000, seed=10))

    clips = 12
    x = np.array([[described(target, index) for index in range(clips)] for target in range(len(CLASSES))])
    x = (x - x.mean((0, 1))) / x.std((0, 1))  # [classes, clips, 16]
    train, test = x[:, : clips // 2], x[:, clips // 2 :]
    distances = np.linalg.norm(test[:, :, None] - train.mean(1), axis=-1)  # [classes, clips / 2, classes]
    accuracy = (distances.argmin(-1) == np.arange(len(CLASSES))[:, None]).mean()
    assert 0.4 < accuracy < 1
