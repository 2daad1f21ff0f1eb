"""`petl-ast train FOLDER`: from recordings and no code to an adapter, and what somebody sees on the way."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import CLASS_NAMES, GOLDEN, run_command, write_miniature
from petl_ast.cli import main
from petl_ast.config import load_run_config
from petl_ast.own_sounds import DEFAULTS, defaults, split_folder

QUICK = (
    f"--model.backbone={GOLDEN / 'backbone'}",
    "--model.method_options={reduction_rate: 6, kernel_size: 8}",
    "--train.epochs=2",
    "--train.device=cpu",
)


def write_sounds(root: Path) -> Path:
    """The miniature's clips, ten a class, in a sub-folder a class."""
    rows = write_miniature(root.parent / f"{root.name}_esc")
    for row in rows:
        (root / row["category"]).mkdir(parents=True, exist_ok=True)
        shutil.copy(root.parent / f"{root.name}_esc" / "audio" / row["filename"], root / row["category"])
    return root


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One run as a process of its own, two of five folds."""
    place = tmp_path_factory.mktemp("own")
    write_sounds(place / "my sounds")
    return place, run_command("train", "my sounds", *QUICK, "--data.folds", "[1,2]", cwd=place)


def test_a_folder_is_all_it_takes(done: Any) -> None:
    place, process = done
    assert process.returncode == 0, process.stderr
    words = " ".join(process.stdout.split())
    for said in (
        "30 clips in 3 classes in my sounds, a sub-folder a class",
        "high_tone 10, low_tone 10, noise 10",
        "0.5 to 0.5 s",
        "48 frames",
        "16,000 Hz (30); mono (30)",
        "18 train, 6 validate, 6 test",
        "2 epochs in batches of 32",
        "of memory",
        "outputs/my sounds",
        "of 12 clips that it was not trained on",
        "petl-ast predict 'outputs/my sounds/fold_1/last' FILE",
    ):
        assert said in words, said
    config = load_run_config(place / "outputs" / "my sounds" / "config.yaml")
    assert config.data.root == "my sounds"
    assert config.data.format == "folder"
    assert config.spectrogram.max_length == 48
    assert config.train.epochs == 2
    assert config.augment.time_mask == 20


def test_confused_clips_are_named_by_their_paths(done: Any) -> None:
    """Two epochs on random weights surely confuse some of 12 clips."""
    place, process = done
    named = [line.strip() for line in process.stdout.splitlines() if line.startswith("    my sounds/")]
    assert named and "taken for" in process.stdout
    assert all((place / path).is_file() for path in named)


def test_the_command_it_names_works(done: Any, capsys: pytest.CaptureFixture[str]) -> None:
    place, _ = done
    adapter = place / "outputs" / "my sounds" / "fold_1" / "last"
    clip = next((place / "my sounds" / "noise").iterdir())
    assert main(["predict", str(adapter), str(clip), "--device=cpu"]) == 0
    assert any(name in capsys.readouterr().out for name in CLASS_NAMES)


def test_evaluate_finds_the_same_test_clips(
    done: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place, _ = done
    monkeypatch.chdir(place)
    assert main(["evaluate", "outputs/my sounds/fold_2/best", "--device=cpu"]) == 0
    assert "the same." in capsys.readouterr().out


def test_the_same_command_again_shows_the_result(
    done: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place, process = done
    monkeypatch.chdir(place)
    assert main(["train", "my sounds", *QUICK, "--data.folds", "[1,2]"]) == 0
    again = capsys.readouterr()
    assert "Finished already: fold 1, 2" in again.err
    last = process.stdout.split("Right about")[1]
    assert again.out.split("Right about")[1] == last


def test_a_dry_run_trains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sounds, output = write_sounds(tmp_path / "sounds"), tmp_path / "run"
    cache = f"--data.cache={tmp_path / 'cache'}"
    options = ("--dry_run", "true", f"--output={output}", cache)
    assert main(["train", *QUICK, *options, str(sounds)]) == 0
    assert "30 clips in 3 classes" in " ".join(capsys.readouterr().out.split())
    assert not output.exists()
    output.mkdir()
    (output / "thesis.tex").touch()
    assert main(["train", *QUICK, "--dry_run", f"--output={output}", cache, str(sounds)]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and "holds other things than a run" in printed.err


# ---- what is laid under everything -------------------------------------------------------------------------


def test_every_default_is_an_option_with_a_reason() -> None:
    config = dataclasses.asdict(load_run_config(DEFAULTS))
    for section, values in yaml.safe_load(DEFAULTS.read_text()).items():
        for name, value in values.items():
            assert config[section][name] == value
    assert config["data"]["fit_length"] is True


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    with pytest.raises(SystemExit):
        main(["train", *arguments, "--print_config"])
    return yaml.safe_load(capsys.readouterr().out)


def test_files_and_options_win_over_the_defaults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("output: elsewhere\ntrain: {epochs: 3}\ndata: {fit_length: false}\n")
    config = printed(capsys, "--train.learning_rate", "0.1", str(tmp_path), "--config", str(own))
    assert config["output"] == "elsewhere"
    assert config["train"]["epochs"] == 3
    assert config["train"]["learning_rate"] == 0.1
    assert config["data"]["fit_length"] is False
    assert config["data"]["root"] == str(tmp_path)
    assert config["model"]["backbone"] == "ast-mini"


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ((), {"reduction_rate": 24, "kernel_size": 8}),
        (("--model.method=linear",), {}),
        (
            ("--model.backbone=ast-mini", "--model.method", "adapter"),
            {"reduction_rate": 24, "kernel_size": 8},
        ),
        (("--model.backbone", "MIT/ast-finetuned-audioset-10-10-0.4593"), {}),
        (("--model.method", "lora", "--model.method_options={reduction_rate: 8}"), {"reduction_rate": 8}),
    ],
)
def test_options_of_the_default_method_are_for_that_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: tuple[str, ...], options: dict[str, int]
) -> None:
    assert printed(capsys, str(tmp_path), *given)["model"]["method_options"] == options


def test_a_folder_alone_is_a_whole_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As README prints it."""
    refused_alone = main(["train", str(tmp_path)])
    assert refused_alone == 2
    assert "sub-folder" in capsys.readouterr().err


def test_a_file_that_names_a_method_brings_its_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("model: {method: bitfit}\n")
    assert printed(capsys, str(tmp_path), "--config", str(own))["model"]["method_options"] == {}


def test_the_folder_wins_over_the_data_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("data: {root: elsewhere, format: esc50, on_error: skip}\n")
    data = printed(capsys, str(tmp_path), "--config", str(own))["data"]
    assert (data["root"], data["format"], data["on_error"]) == (str(tmp_path), "auto", "skip")
    assert printed(capsys, str(tmp_path), "--data.format=csv")["data"]["format"] == "csv"
    assert main(["train", str(tmp_path), "--data.root", "elsewhere"]) == 2
    assert "give one of them" in capsys.readouterr().err


def test_without_a_folder_nothing_is_laid_under(capsys: pytest.CaptureFixture[str]) -> None:
    config = printed(capsys)
    assert config["data"]["fit_length"] is False
    assert config["output"] == "outputs/run"


def test_the_output_is_called_after_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my sounds.v2").mkdir()
    (tmp_path / "clips.csv").touch()
    monkeypatch.chdir(tmp_path / "my sounds.v2")
    for folder in (".", f"{tmp_path}/my sounds.v2/"):
        assert defaults(folder, "outputs/{name}")["output"] == "outputs/my sounds.v2"
    assert defaults("../clips.csv", "outputs/{name}")["output"] == "outputs/clips"
    assert defaults("/", "outputs/{name}")["output"] == "outputs/run"


@pytest.mark.parametrize(
    ("words", "folder"),
    [
        (["sounds"], "sounds"),
        (["--train.epochs", "2", "sounds"], "sounds"),
        (["--train.epochs=2", "sounds", "--overwrite", "true"], "sounds"),
        (["--print_config", "sounds"], "sounds"),
        (["--dry_run=true", "sounds"], "sounds"),
        (["--spectrogram.mean", "-4.2", "sounds"], "sounds"),
        (["--train.epochs", "2"], None),
        ([], None),
    ],
)
def test_the_folder_is_found_between_options(words: list[str], folder: str | None) -> None:
    assert split_folder(words) == ([word for word in words if word != folder], folder)


def test_behind_two_dashes_nothing_is_an_option() -> None:
    assert split_folder(["--train.epochs=2", "--", "--sounds"]) == (["--train.epochs=2"], "--sounds")


# ---- what cannot work --------------------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> None:
    output = folder.parent / "run"
    assert main(["train", str(folder), *QUICK, f"--output={output}"]) == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message
    for word in words:
        assert word in message, message
    assert not output.exists()


def test_a_folder_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, tmp_path / "gone", "gone", "no such folder")


def test_an_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    refused(capsys, tmp_path / "empty", "empty", "sub-folder")


def test_one_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sounds = write_sounds(tmp_path / "sounds")
    for name in CLASS_NAMES[1:]:
        shutil.rmtree(sounds / name)
    refused(capsys, sounds, "single class, low_tone")


def test_classes_that_differ_by_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sounds = write_sounds(tmp_path / "sounds")
    (sounds / "noise").rename(sounds / "Low_Tone")
    refused(capsys, sounds, "Low_Tone and low_tone", "case")


def test_files_that_are_no_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sounds = write_sounds(tmp_path / "sounds")
    for path in sorted((sounds / "noise").iterdir())[:2]:
        path.write_text(f"no sound {path}")
    refused(capsys, sounds, "2 of 30 clips", "cannot be decoded", "--data.on_error skip")
