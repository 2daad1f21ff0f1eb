"""Which run is gone on with, and which is refused: with what changed, and what to do."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from safetensors.torch import load_file, save_file

from conftest import GOLDEN, REPOSITORY, SAMPLING_RATE, training_options
from petl_ast.cli import main
from petl_ast.utils import cross_validation

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take longer than these runs."""
    monkeypatch.setattr(cross_validation, "_draw", lambda output, dataset: None)


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, of which fold 4 is not finished."""
    copy = Path(shutil.copytree(finished_run, tmp_path / "run"))
    (copy / "fold_4" / "result.json").unlink()
    return copy


@pytest.fixture
def data(shared_miniature: Path, tmp_path: Path) -> Path:
    """The same clips in another place."""
    return Path(shutil.copytree(shared_miniature, tmp_path / "data"))


def refused(capsys: Capture, arguments: list[str], *words: str) -> None:
    assert main(["train", *arguments]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert [word for word in words if word not in said] == [], said


def test_finished_folds_are_not_trained_again(run: Path, finished_run: Path, shared_miniature: Path) -> None:
    folds = (1, 2, 3, 5)
    before = {p: p.stat().st_mtime_ns for n in folds for p in (run / f"fold_{n}").rglob("*")}
    assert main(["train", *training_options(shared_miniature, run)]) == 0
    assert {p: p.stat().st_mtime_ns for n in folds for p in (run / f"fold_{n}").rglob("*")} == before
    for name in ("summary.csv", "fold_4/metrics.csv", "fold_4/best/adapter_model.safetensors"):
        assert (run / name).read_bytes() == (finished_run / name).read_bytes()
    assert len(json.loads((run / "environment.json").read_text())["resumed"]) == 1


def test_a_finished_run_is_told_again_and_left_alone(
    finished_run: Path, shared_miniature: Path, tmp_path: Path, capsys: Capture
) -> None:
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    assert main(["train", *training_options(shared_miniature, run)]) == 0
    out, err = capsys.readouterr()
    assert "Finished already: fold 1, 2, 3, 4, 5." in err
    mean = json.loads((finished_run / "summary.json").read_text())["last"]["mean"]
    assert f"{mean:.2%}" in out
    assert (run / "summary.json").read_bytes() == (finished_run / "summary.json").read_bytes()


def test_every_difference_is_shown_at_once(run: Path, shared_miniature: Path, capsys: Capture) -> None:
    changed = ["--train.learning_rate=0.1", "--data.folds=[1]", "--model.method_options.kernel_size=4"]
    refused(
        capsys,
        [*training_options(shared_miniature, run), *changed],
        "train.learning_rate: 0.005 there, 0.1 here",
        "data.folds: null there, [1] here",
        "model.method_options.kernel_size: 8 there, 4 here",
        f"petl-ast train --resume {run}",
        "--overwrite",
    )
    assert not (run / "fold_4" / "result.json").exists()


def test_moved_clips_and_backbone_are_the_same_run(run: Path, data: Path, tmp_path: Path) -> None:
    backbone = shutil.copytree(GOLDEN / "backbone", tmp_path / "backbone")
    options = [*training_options(data, run), f"--model.backbone={backbone}", "--train.checkpoint_steps=2"]
    assert main(["train", *options]) == 0


def test_other_clips_are_another_run(run: Path, data: Path, capsys: Capture) -> None:
    clip = next((data / "audio").iterdir())
    before = clip.stat().st_size
    soundfile.write(clip, np.random.default_rng(0).uniform(-1, 1, SAMPLING_RATE // 2), SAMPLING_RATE)
    assert clip.stat().st_size == before
    refused(capsys, training_options(data, run), "other clips", str(run), "--overwrite")


def test_another_backbone_is_another_run(
    run: Path, shared_miniature: Path, tmp_path: Path, capsys: Capture
) -> None:
    backbone = Path(shutil.copytree(GOLDEN / "backbone", tmp_path / "backbone"))
    weights = load_file(backbone / "model.safetensors")
    weights["audio_spectrogram_transformer.layernorm.weight"] *= 2
    save_file(weights, backbone / "model.safetensors", {"format": "pt"})
    options = [*training_options(shared_miniature, run), f"--model.backbone={backbone}"]
    refused(capsys, options, "other backbone", str(run))


def test_a_run_of_another_version_is_refused(run: Path, shared_miniature: Path, capsys: Capture) -> None:
    path = run / "environment.json"
    environment = json.loads(path.read_text())
    del environment["material"]
    path.write_text(json.dumps(environment))
    refused(capsys, training_options(shared_miniature, run), str(path), "another version", "--overwrite")


def test_a_folder_without_a_run_cannot_be_gone_on_with(tmp_path: Path, capsys: Capture) -> None:
    refused(capsys, [f"--resume={tmp_path}"], str(tmp_path), "no run in that folder")
    refused(capsys, ["--resume=outputs/nowhere"], "outputs/nowhere", "no run in that folder")


def test_going_on_and_replacing_exclude_each_other(run: Path, capsys: Capture) -> None:
    refused(capsys, [f"--resume={run}", "--overwrite=true"], "one of them")


def test_a_damaged_result_is_named(run: Path, shared_miniature: Path, capsys: Capture) -> None:
    (run / "fold_2" / "result.json").write_text("{}")
    refused(capsys, training_options(shared_miniature, run), str(run / "fold_2" / "result.json"), "Delete it")


def test_what_a_killed_process_left_is_tidied_up(run: Path, shared_miniature: Path) -> None:
    litter = [run / ".lock", run / ".summary.json.123.tmp.json", run / "fold_4" / ".metrics.csv.9.tmp.csv"]
    theirs = run / ".notes.tmpl"
    for path in (*litter, theirs, run / "fold_1" / "checkpoint.safetensors"):
        path.write_text("half")
    assert main(["train", *training_options(shared_miniature, run)]) == 0
    assert [path for path in litter if path.exists()] == []
    assert theirs.exists()
    assert not (run / "fold_1" / "checkpoint.safetensors").exists()


def test_a_folder_with_nothing_but_litter_is_empty(shared_miniature: Path, tmp_path: Path) -> None:
    output = tmp_path / "new"
    output.mkdir()
    (output / ".config.yaml.123.tmp.yaml").write_text("half")
    assert main(["train", *training_options(shared_miniature, output), "--data.folds=[2]"]) == 0
    assert [path.name for path in output.iterdir() if path.name.startswith(".")] == []


def test_a_configuration_written_by_hand_is_no_run(
    shared_miniature: Path, tmp_path: Path, capsys: Capture
) -> None:
    """Beside it may lie what nobody wants to lose."""
    output = tmp_path / "experiment"
    (output / "plots").mkdir(parents=True)
    config = output / "config.yaml"
    config.write_text("# what I want to try\ntrain: {epochs: 2}\n")
    (output / "plots" / "mine.png").write_text("a picture")
    options = ["--config", str(config), *training_options(shared_miniature, output)]
    for more in ([], ["--overwrite=true"]):
        refused(capsys, [*options, *more], "holds other things than a run", str(output))
    assert (output / "plots" / "mine.png").exists()
    assert config.read_text().startswith("# what I want")


def test_another_version_is_told(run: Path, shared_miniature: Path, capsys: Capture) -> None:
    path = run / "environment.json"
    environment = json.loads(path.read_text())
    environment["versions"]["torch"] = "1.0"
    path.write_text(json.dumps(environment))
    assert main(["train", *training_options(shared_miniature, run)]) == 0
    assert "versions: {" in capsys.readouterr().err


def test_two_runs_into_one_folder_do_not_mix(shared_miniature: Path, tmp_path: Path, capsys: Capture) -> None:
    output = tmp_path / "run"
    options = training_options(shared_miniature, output)
    first = subprocess.Popen(
        [sys.executable, "-m", "petl_ast", "train", *options, "--train.epochs=100000"],
        cwd=REPOSITORY,
        stderr=subprocess.DEVNULL,
    )
    try:
        patience = time.monotonic() + 120
        while not (output / "fold_1" / "metrics.csv").exists() and time.monotonic() < patience:
            assert first.poll() is None
            time.sleep(0.05)
        for more in ([], ["--overwrite=true"]):
            refused(capsys, [*options, *more], "Another process is training into", str(output))
    finally:
        first.kill()
        first.wait()
    # A killed owner holds nothing.
    assert main(["train", *options, "--overwrite=true", "--data.folds=[2]"]) == 0


def test_divergence_names_the_clips_and_can_be_skipped(
    shared_miniature: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One clip of which the spectrogram holds NaN, as a bad memory might make it."""
    import torch

    from petl_ast import ESC50Dataset

    tensors = ESC50Dataset.tensors
    clip = next(c for c in ESC50Dataset(shared_miniature).clips if c.fold == 4)

    def spoilt(self: ESC50Dataset) -> tuple[torch.Tensor, torch.Tensor]:
        spectrograms, labels = tensors(self)
        spectrograms = spectrograms.clone()
        spectrograms[[c.path.name for c in self.clips].index(clip.path.name), 3, 5] = torch.nan
        return spectrograms, labels

    monkeypatch.setattr(ESC50Dataset, "tensors", spoilt)
    output = tmp_path / "run"
    options = [*training_options(shared_miniature, output), "--data.folds=[2]", "--augment.time_mask=0"]
    options += ["--augment.frequency_mask=0", "--train.checkpoint_steps=1"]
    refused(
        capsys,
        options,
        "the training loss of fold 2 is nan in epoch 1, step",
        clip.path.name,
        "learning rate 0.00",
        "gradient norm nan",
        "--train.on_nonfinite skip",
    )
    assert main(["train", *options, "--train.on_nonfinite=skip"]) == 0
    rows = (output / "fold_2" / "metrics.csv").read_text().splitlines()
    assert rows[0].endswith(",skipped_steps")
    assert [row.split(",")[-1] for row in rows[1:]] == ["1", "1"]
