"""Predictions from Python: what was tested is what is predicted, in order, whatever the file looks like."""

from __future__ import annotations

import csv
import json
import shutil
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from scipy.signal import resample

from conftest import CLASS_NAMES, SAMPLING_RATE
from petl_ast.data.audio import read_waveform
from petl_ast.data.spectrogram import log_mel
from petl_ast.errors import UserError
from petl_ast.models import build
from petl_ast.models.build import load_adapter
from petl_ast.prediction.predict import Prediction, adapter_names, predict

LAST_FRAME = 0.025  # seconds of a recording that may lie behind the start of its last whole frame


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


def test_a_clip_of_one_window_is_what_it_was_in_training(
    adapter: Path, clips: list[Path], tmp_path: Path
) -> None:
    """Whether it fills the 48 frames or not: the spectrogram of training, the model's own answer."""
    sound, _ = soundfile.read(clips[0])
    soundfile.write(tmp_path / "short.wav", sound[:100], SAMPLING_RATE)
    soundfile.write(tmp_path / "other_rate.wav", sound, 22050)
    soundfile.write(tmp_path / "hardly_longer.wav", np.append(sound, np.ones(79)), SAMPLING_RATE)
    files = [*clips, *(tmp_path / f"{name}.wav" for name in ("short", "other_rate", "hardly_longer"))]
    model = load_adapter(adapter)
    spectrograms = torch.cat([log_mel([read_waveform(f, SAMPLING_RATE)], model.spectrogram) for f in files])
    with torch.inference_mode():
        expected = model(spectrograms).softmax(1).numpy()
    found = list(predict(adapter, files, device="cpu"))
    np.testing.assert_array_equal([p.timeline.probabilities[0] for p in found], expected)
    for prediction in found:
        (event,) = prediction.events  # however improbable
        assert (event.name, event.peak) == prediction.classes[0]
        assert (event.start, event.end) == tuple(prediction.timeline.windows[0])


def long_recording(path: Path, clips: list[Path]) -> np.ndarray:
    """Three seconds of the clips, one after the other."""
    sound = np.concatenate([soundfile.read(clip)[0] for clip in clips])
    soundfile.write(path, sound, SAMPLING_RATE)
    return sound


def test_each_window_is_classified_as_if_it_were_a_clip(
    adapter: Path, clips: list[Path], tmp_path: Path
) -> None:
    """Among other files, and whatever the batch."""
    long = tmp_path / "long.wav"
    sound = long_recording(long, clips)
    runs = [
        list(predict(adapter, [clips[0], long, clips[1]], batch_size=size, device="cpu", hop=0.1))
        for size in (1, 3, 100)
    ]
    for first, found, last in runs:
        assert values(first) == pytest.approx(values(runs[0][0]), abs=1e-6)
        assert values(last) == pytest.approx(values(runs[0][2]), abs=1e-6)
        np.testing.assert_allclose(found.timeline.probabilities, runs[0][1].timeline.probabilities, atol=1e-6)
        mean = found.timeline.probabilities.mean(axis=0)
        assert values(found) == pytest.approx(mean.tolist(), abs=1e-6)
    timeline = runs[0][1].timeline
    for number, (start, end) in enumerate(timeline.windows):
        piece = sound[round(start * SAMPLING_RATE) : round(end * SAMPLING_RATE)]
        soundfile.write(tmp_path / f"{number:03}.wav", piece, SAMPLING_RATE)
    pieces = predict(adapter, sorted(tmp_path.glob("0*.wav")), device="cpu")
    expected = [piece.timeline.probabilities[0] for piece in pieces]
    np.testing.assert_allclose(timeline.probabilities, expected, atol=1e-6)
    assert timeline.seconds == pytest.approx(len(sound) / SAMPLING_RATE)


def test_an_ignored_class_makes_no_event_and_all_else_stays(
    adapter: Path, clips: list[Path], tmp_path: Path
) -> None:
    long_recording(tmp_path / "long.wav", clips)
    files = [tmp_path / "long.wav", clips[0]]
    plain = list(predict(adapter, files, device="cpu", hop=0.1, threshold=0))
    name = plain[0].events[0].name
    found = list(predict(adapter, files, device="cpu", hop=0.1, threshold=0, ignored=[name]))
    for before, now in zip(plain, found, strict=True):
        assert now.events == [event for event in before.events if event.name != name]
        assert now.classes == before.classes
        np.testing.assert_array_equal(now.timeline.probabilities, before.timeline.probabilities)
    assert len(found[0].events) < len(plain[0].events)


def test_a_class_that_is_none_cannot_be_ignored(adapter: Path, clips: list[Path]) -> None:
    with pytest.raises(UserError, match=r"silence cannot be ignored.*noise"):
        list(predict(adapter, clips, device="cpu", ignored=["silence"]))


def test_what_was_heard_and_drawn_is_the_whole_recording(
    adapter: Path, clips: list[Path], tmp_path: Path
) -> None:
    long_recording(tmp_path / "long.wav", clips)
    heard: list[float] = []
    (found,) = predict(
        adapter, [tmp_path / "long.wav"], device="cpu", batch_size=2, thumbnail=True, on_heard=heard.append
    )
    assert sum(heard) == pytest.approx(found.timeline.seconds, abs=LAST_FRAME)
    assert found.thumbnail is not None
    assert len(found.thumbnail.columns()) * found.thumbnail.seconds_per_column == pytest.approx(sum(heard))


def test_the_pictures_time_is_the_recordings(adapter: Path, clips: list[Path], tmp_path: Path) -> None:
    """Hops of 1.5 frames: rounded for each window, the picture would be a third too long."""
    sound = long_recording(tmp_path / "long.wav", clips)
    (found,) = predict(adapter, [tmp_path / "long.wav"], device="cpu", hop=0.015, thumbnail=True)
    assert found.thumbnail is not None
    drawn = len(found.thumbnail.columns()) * found.thumbnail.seconds_per_column
    assert drawn == pytest.approx(len(sound) / SAMPLING_RATE, abs=LAST_FRAME)


def test_what_is_kept_of_a_recording_is_compact(adapter: Path, clips: list[Path], tmp_path: Path) -> None:
    """16 bytes for a window, and 4 for each of its three classes."""
    long_recording(tmp_path / "long.wav", clips * 4)
    tracemalloc.start()
    try:
        found = list(predict(adapter, [tmp_path / "long.wav"], device="cpu", hop=0.01, threshold=1))
        windows, before = len(found[0].timeline.windows), tracemalloc.get_traced_memory()[0]
        found.clear()
        kept = before - tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert windows > 1000
    assert kept < 1.1 * windows * (16 + 4 * 3) + 2000


def test_a_recording_that_breaks_off_is_an_error_and_nothing_else(
    adapter: Path, clips: list[Path], tmp_path: Path
) -> None:
    """Its first windows are fine, and have gone through the model with those of other files."""
    samples = np.zeros(20 * SAMPLING_RATE, np.float32)
    samples[-1] = np.nan
    soundfile.write(tmp_path / "late.wav", samples, SAMPLING_RATE, subtype="FLOAT")
    alone, found, other = predict(
        adapter, [clips[0], tmp_path / "late.wav", clips[1]], device="cpu", batch_size=4
    )
    assert found.error is not None and "not finite" in found.error
    assert found.classes == found.events == found.timeline.windows.tolist() == []
    assert len(alone.timeline.windows) == len(other.timeline.windows) == 1


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("hop", 0.0, "hop is 0 seconds; it must be 0.01 to 0.48"),
        ("hop", 0.6, "hop is 0.6 seconds"),
        ("hop", float("nan"), "hop is nan"),
        ("threshold", 1.5, "threshold is 1.5"),
        ("threshold", float("nan"), "threshold is nan"),
    ],
)
def test_numbers_that_make_no_sense(
    option: str, value: float, words: str, adapter: Path, clips: list[Path]
) -> None:
    with pytest.raises(UserError, match=words):
        list(predict(adapter, clips, device="cpu", **{option: value}))  # type: ignore[arg-type]


def test_what_holds_no_audio_is_told_in_its_turn(adapter: Path, clips: list[Path], tmp_path: Path) -> None:
    paths = [tmp_path / "gone.wav", clips[0], tmp_path, clips[1]]
    missing, first, empty, second = predict(adapter, paths, device="cpu")
    assert missing.error == f"{tmp_path / 'gone.wav'}: no such file or folder."
    assert empty.error == f"{tmp_path}: no audio file in this folder."
    assert first.error is None and second.error is None
    assert list(predict(adapter, [], device="cpu")) == []


# ---- several adapters --------------------------------------------------------------------------------------


@pytest.fixture
def adapters(finished_run: Path) -> list[Path]:
    return [finished_run / f"fold_{fold}" / "last" for fold in (3, 1, 2)]


def test_several_adapters_say_what_each_says_alone(
    adapters: list[Path], clips: list[Path], tmp_path: Path
) -> None:
    """In the order of files, then adapters; a broken file is told once, in its turn."""
    long_recording(tmp_path / "long.wav", clips)
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no sound")
    files = [clips[0], broken, tmp_path / "long.wav", clips[1]]
    alone = [list(predict(folder, files, device="cpu", batch_size=3)) for folder in adapters]
    found = list(predict(adapters, files, device="cpu", batch_size=3, thumbnail=True))
    names = ["fold_3/last", "fold_1/last", "fold_2/last"]
    expected = [("", broken) if f == broken else (n, f) for f in files for n in names]
    assert [(p.adapter, p.path) for p in found] == list(dict.fromkeys(expected))
    for prediction in found:
        if prediction.error is None:
            single = alone[names.index(prediction.adapter)][files.index(prediction.path)]
            np.testing.assert_array_equal(prediction.timeline.probabilities, single.timeline.probabilities)
            assert (prediction.classes, prediction.events) == (single.classes, single.events)
            assert prediction.thumbnail is not None
            assert single.adapter == ""


def test_several_adapters_load_a_backbone_and_decode_a_file_once(
    adapters: list[Path], clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, opened = [], []
    load, sound_file = build.load_backbone, soundfile.SoundFile
    monkeypatch.setattr(build, "load_backbone", lambda source: loaded.append(source) or load(source))
    monkeypatch.setattr(soundfile, "SoundFile", lambda name: opened.append(name) or sound_file(name))
    assert len(list(predict(adapters, clips, device="cpu"))) == 3 * len(clips)
    assert (len(loaded), len(opened)) == (1, len(clips))


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["out/birds/fold_1/last"], [""]),
        (["birds", "out/frogs/"], ["birds", "frogs"]),
        (["out/a/fold_1/last", "out/a/fold_1/best"], ["last", "best"]),
        (["out/a/fold_1/last", "out/b/fold_1/last"], ["a/fold_1/last", "b/fold_1/last"]),
    ],
)
def test_adapters_are_called_by_what_tells_them_apart(folders: list[str], names: list[str]) -> None:
    assert adapter_names(folders) == names


def test_a_link_to_an_adapter_is_called_by_its_own_name(tmp_path: Path) -> None:
    for name in ("birds", "frogs"):
        (tmp_path / "runs" / name / "last").mkdir(parents=True)
        (tmp_path / name).symlink_to(tmp_path / "runs" / name / "last")
    assert adapter_names([tmp_path / "birds", tmp_path / "frogs"]) == ["birds", "frogs"]
    with pytest.raises(UserError, match="named 2 times"):
        adapter_names([tmp_path / "birds", tmp_path / "runs" / "birds" / "last"])


def test_adapters_that_cannot_hear_together(adapters: list[Path], clips: list[Path], tmp_path: Path) -> None:
    """Each message names both."""
    first, other, *_ = adapters
    with pytest.raises(UserError, match="no adapter is named"):
        list(predict([], clips, device="cpu"))
    with pytest.raises(UserError, match=f"{first} is named 2 times"):
        list(predict([first, other, first], clips, device="cpu"))
    shutil.copytree(other, tmp_path / "softer")
    config = tmp_path / "softer" / "adapter_config.json"
    edited = json.loads(config.read_text())
    edited["spectrogram"]["std"] = 9.5
    config.write_text(json.dumps(edited))
    with pytest.raises(
        UserError, match=rf"{first} and {tmp_path}/softer hear different .*: std .* and 9\.5\."
    ):
        list(predict([first, tmp_path / "softer"], clips, device="cpu"))
    edited["model"]["backbone_fingerprint"] = "0123"
    config.write_text(json.dumps(edited))
    with pytest.raises(UserError, match=r"softer was trained on .* 'last' stands on that one"):
        list(predict([first, tmp_path / "softer"], clips, device="cpu"))


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
