"""Predictions from Python: what was tested is what is predicted, in order, whatever the file looks like."""

from __future__ import annotations

import csv
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import resample

from conftest import CLASS_NAMES, SAMPLING_RATE
from petl_ast.errors import UserError
from petl_ast.utils.prediction import Prediction, audio_files, predict


@pytest.fixture
def adapter(finished_run: Path) -> Path:
    return finished_run / "fold_3" / "last"


@pytest.fixture
def tested(finished_run: Path) -> dict[str, str]:
    """What the adapter took each clip of its test fold for when it was tested."""
    with (finished_run / "fold_3" / "predictions.csv").open(newline="") as file:
        return {row["clip"]: row["last"] for row in csv.DictReader(file)}


@pytest.fixture
def clips(tested: dict[str, str], shared_miniature: Path) -> list[Path]:
    return [shared_miniature / "audio" / name for name in tested]


def values(prediction: Prediction) -> list[float]:
    """Probabilities in the classes' own order."""
    assert prediction.error is None
    found = dict(prediction.classes)
    return [found[name] for name in CLASS_NAMES]


def test_the_same_as_when_it_was_tested(adapter: Path, clips: list[Path], tested: dict[str, str]) -> None:
    found = list(predict(adapter, clips, device="cpu"))
    assert [prediction.path for prediction in found] == clips
    assert {p.path.name: p.classes[0][0] for p in found} == tested


def test_probabilities_are_probabilities(adapter: Path, clips: list[Path]) -> None:
    for prediction in predict(adapter, clips, device="cpu"):
        shares = [value for _, value in prediction.classes]
        assert sum(shares) == pytest.approx(1, abs=1e-6)
        assert shares == sorted(shares, reverse=True)
        assert min(shares) > 0
        assert sorted(name for name, _ in prediction.classes) == sorted(CLASS_NAMES)


def test_top_k_names_so_many(adapter: Path, clips: list[Path]) -> None:
    everything = list(predict(adapter, clips, top_k=10, device="cpu"))
    for k in (1, 2):
        for few, all_of_them in zip(predict(adapter, clips, top_k=k, device="cpu"), everything, strict=True):
            assert few.classes == all_of_them.classes[:k]


def test_the_batch_size_changes_nothing(adapter: Path, clips: list[Path], tmp_path: Path) -> None:
    """Broken files in between included: each answer stays with its file."""
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no sound")
    paths = [broken, *clips[:3], broken, *clips[3:], broken]
    runs = [list(predict(adapter, paths, batch_size=size, device="cpu")) for size in (1, 2, 100)]
    for found in runs:
        assert [prediction.path for prediction in found] == paths
        for prediction, first in zip(found, runs[0], strict=True):
            assert (prediction.error is None) == (prediction.path != broken)
            if prediction.error is None:
                np.testing.assert_allclose(values(prediction), values(first), atol=1e-6)
            else:
                assert prediction.classes == []
                assert str(broken) in prediction.error


def test_only_broken_files(adapter: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no sound")
    (found,) = predict(adapter, [broken], device="cpu")
    assert found.error is not None
    assert "cannot be decoded" in found.error


@pytest.mark.parametrize("form", ["stereo", "44.1 kHz", "flac", "ogg"])
def test_the_files_form_hardly_matters(form: str, adapter: Path, clips: list[Path], tmp_path: Path) -> None:
    for clip in clips[::2]:
        wave, rate = soundfile.read(clip)
        assert rate == SAMPLING_RATE
        path = tmp_path / f"{clip.stem}.{form if form in ('flac', 'ogg') else 'wav'}"
        if form == "stereo":
            wave = np.stack([wave, wave], axis=1)
        elif form == "44.1 kHz":
            wave, rate = resample(wave, len(wave) * 441 // 160), 44100
        soundfile.write(path, wave, rate)
        mono, other = predict(adapter, [clip, path], device="cpu")
        np.testing.assert_allclose(values(other), values(mono), atol=0.05 if form == "ogg" else 0.01)


def test_a_long_clip_counts_from_its_beginning(adapter: Path, clips: list[Path], tmp_path: Path) -> None:
    """The adapter hears 48 frames: what comes behind them is cut, what is missing is padding."""
    tone, _ = soundfile.read(clips[0])
    noise = np.random.default_rng(0).standard_normal(SAMPLING_RATE) / 10
    soundfile.write(tmp_path / "long.wav", np.concatenate([tone, noise]), SAMPLING_RATE)
    soundfile.write(tmp_path / "short.wav", tone[:100], SAMPLING_RATE)
    as_it_is, long, short = predict(
        adapter, [clips[0], tmp_path / "long.wav", tmp_path / "short.wav"], device="cpu"
    )
    np.testing.assert_allclose(values(long), values(as_it_is), atol=1e-6)
    assert sum(values(short)) == pytest.approx(1, abs=1e-6)


def test_audio_below_a_folder_is_found_in_order(clips: list[Path], tmp_path: Path) -> None:
    names = ["b.wav", "a.wav", "c/deep/d.FLAC", "c/e.ogg", "c/f.mp3"]
    for name in (*names, "notes.txt", "c/list.csv", "noending"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clips[0], tmp_path / name)
    assert audio_files(tmp_path) == sorted(tmp_path / name for name in names)
    assert audio_files(tmp_path / "notes.txt") == [tmp_path / "notes.txt"]  # who names a file means it


def test_nothing_to_predict(adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone.wav: no such file"):
        list(predict(adapter, [tmp_path / "gone.wav"], device="cpu"))
    with pytest.raises(UserError, match="no audio file"):
        list(predict(adapter, [tmp_path], device="cpu"))
    assert list(predict(adapter, [], device="cpu")) == []


def test_a_moved_backbone(adapter: Path, clips: list[Path], backbone: str, tmp_path: Path) -> None:
    shutil.copytree(backbone, tmp_path / "moved")
    (there,) = predict(adapter, clips[:1], device="cpu")
    (moved,) = predict(adapter, clips[:1], device="cpu", backbone=str(tmp_path / "moved"))
    assert moved == there


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux alone")
def test_a_name_that_is_not_utf8(adapter: Path, clips: list[Path], tmp_path: Path) -> None:
    """Its sound is read, or it is told like any other file that cannot be read; the others go on."""
    odd = Path(str(tmp_path / "clip_") + "\udcff.wav")
    shutil.copy(clips[0], odd)
    found = list(predict(adapter, [odd, clips[1]], device="cpu"))
    assert found[1].error is None
