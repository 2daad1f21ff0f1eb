"""The few-shot grid: a run for each number of clips and each seed, and what they come to together."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest

from conftest import REPOSITORY, training_options, write_miniature
from petl_ast.cli import main
from petl_ast.config import load_run_config


def grid(data: Path, output: Path, *more: str) -> list[str]:
    return ["few-shot", *training_options(data, output), "--data.folds", "1", "--train.epochs=1", *more]


@pytest.fixture(scope="module")
def done(shared_miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two numbers of clips, two seeds."""
    output = tmp_path_factory.mktemp("few") / "grid"
    assert main(grid(shared_miniature, output, "--shots", "4,1", "--seeds", "3,5")) == 0
    return output


def found(output: Path) -> Any:
    return json.loads((output / "few_shot.json").read_text())


def test_every_number_and_seed_is_a_run(done: Path) -> None:
    rows = found(done)["runs"]
    assert [(row["shots"], row["seed"]) for row in rows] == [(1, 3), (1, 5), (4, 3), (4, 5)]
    for row in rows:
        run = done / f"shots_{row['shots']}" / f"seed_{row['seed']}"
        config = load_run_config(run / "config.yaml")
        assert (config.data.shots, config.data.shots_seed, config.train.seed) == (
            row["shots"],
            row["seed"],
            row["seed"],
        )
        summary = json.loads((run / "summary.json").read_text())
        assert row["last"] == summary["last"]["mean"]
        assert summary["folds"][0]["clips"] == {"train": 3 * row["shots"], "validation": 6, "test": 6}
        assert row["training_clips"] == 3 * row["shots"]
        assert (run / "fold_1" / "last" / "adapter_model.safetensors").is_file()
    with (done / "few_shot.csv").open(newline="") as file:
        assert [int(row["shots"]) for row in csv.DictReader(file)] == [1, 1, 4, 4]
    assert (done / "few_shot.png").stat().st_size > 10_000


def test_mean_and_deviation_are_over_the_seeds(done: Path) -> None:
    of_one = [row["last"] for row in found(done)["runs"] if row["shots"] == 1]
    first = found(done)["over_seeds"][0]
    assert first["shots"] == 1 and first["seeds"] == 2
    assert first["last"]["mean"] == pytest.approx(mean(of_one))
    assert first["last"]["standard_deviation"] == pytest.approx(stdev(of_one))


def test_the_same_command_goes_on_and_another_adds_to_it(
    done: Path, shared_miniature: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = found(done)["runs"]
    adapter = done / "shots_4" / "seed_5" / "fold_1" / "last" / "adapter_model.safetensors"
    written = adapter.stat().st_mtime_ns
    assert main(grid(shared_miniature, done, "--shots", "1,4", "--seeds", "3,5")) == 0
    assert capsys.readouterr().err.count("Finished already: fold 1") == 4
    assert found(done)["runs"] == before
    assert main(grid(shared_miniature, done, "--shots", "2", "--seeds", "6")) == 0
    shown = capsys.readouterr().out
    assert "±" in shown and "clips a class" in shown
    rows = found(done)["runs"]
    assert [(row["shots"], row["seed"]) for row in rows] == [(1, 3), (1, 5), (2, 6), (4, 3), (4, 5)]
    assert [row for row in rows if row["seed"] != 6] == before
    assert adapter.stat().st_mtime_ns == written


def test_runs_that_would_not_compare_are_refused_before_any_training(
    done: Path, shared_miniature: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = found(done)
    assert main(grid(shared_miniature, done, "--shots", "3", "--train.learning_rate=0.5")) == 2
    said = capsys.readouterr().err
    assert "train.learning_rate: 0.005 there, 0.5 here" in said and "shots_1/seed_3" in said
    assert not (done / "shots_3").exists()
    assert found(done) == before


def test_other_clips_would_not_compare_either(
    shared_miniature: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(shared_miniature, tmp_path / "data")
    words = ("--shots=1", "--seeds=0")
    assert main(grid(tmp_path / "data", tmp_path / "grid", *words)) == 0
    table = tmp_path / "data" / "meta" / "esc50.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]))
    capsys.readouterr()
    assert main(grid(tmp_path / "data", tmp_path / "grid", "--shots=2", "--seeds=0")) == 2
    assert "shots_1/seed_0 was begun with other clips" in capsys.readouterr().err
    assert not (tmp_path / "grid" / "shots_2").exists()


def test_more_clips_than_there_are_is_said(
    shared_miniature: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(grid(shared_miniature, tmp_path / "grid", "--shots=6,7", "--seeds=0")) == 0
    said = capsys.readouterr().err
    assert "no class has more than 6 clips to train on, so with 7 of each class all of them train" in said


def test_a_dry_run_says_what_is_there_and_trains_nothing(
    shared_miniature: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(grid(shared_miniature, tmp_path / "grid", "--dry_run")) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "30 clips in 3 classes" in shown and "the largest of 12 runs" in shown
    assert not (tmp_path / "grid").exists()
    assert main(grid(shared_miniature, tmp_path / "grid", "--dry_run", "--shots=0")) == 2
    (tmp_path / "grid").touch()
    assert main(grid(shared_miniature, tmp_path / "grid", "--dry_run")) == 2
    refused = capsys.readouterr()
    assert (
        refused.out == "" and "shots is [0]" in refused.err and "A file is where a folder is" in refused.err
    )


def test_clips_with_several_labels_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_miniature(tmp_path)
    names = sorted(path.name for path in (tmp_path / "audio").iterdir())
    lines = [f"audio/{name},{'a;b' if number % 2 else 'a'}" for number, name in enumerate(names)]
    (tmp_path / "clips.csv").write_text("\n".join(["path,labels", *lines, ""]))
    assert main(["few-shot", str(tmp_path / "clips.csv"), f"--output={tmp_path / 'grid'}"]) == 2
    assert "one class each" in capsys.readouterr().err
    assert not (tmp_path / "grid").exists()


def test_a_signal_says_that_the_same_command_goes_on(shared_miniature: Path, tmp_path: Path) -> None:
    words = grid(shared_miniature, tmp_path / "grid", "--shots=1", "--seeds=0", "--train.epochs=2000")
    command = [sys.executable, "-m", "petl_ast", *words]
    with subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "epoch 1/" in line:
                process.send_signal(signal.SIGTERM)
                break
        assert "The same command again goes on." in process.stderr.read()
    assert process.returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--shots", "0"], "shots is [0]"),
        (["--shots", "1,1"], "each number once"),
        (["--seeds", "[]"], "seeds is []"),
        (["--seeds", "[-1]"], "seeds is [-1]"),
        (["--seeds", "9223372036854775808"], "64 bits"),
        (["--data.shots", "3"], "data.shots is 3"),
        (["--resume", str(REPOSITORY)], "same command again"),
    ],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path, shared_miniature: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    assert main(grid(shared_miniature, tmp_path / "grid", *more)) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "grid").exists()


def test_a_folder_with_other_things_is_left_alone(
    tmp_path: Path, shared_miniature: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "grid").mkdir()
    (tmp_path / "grid" / "mine.txt").touch()
    assert main(grid(shared_miniature, tmp_path / "grid")) == 2
    assert "other things than a few-shot grid" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "grid").iterdir()] == ["mine.txt"]
