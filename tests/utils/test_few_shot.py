"""The few-shot grid: a run for each number of clips and each seed, and what they come to together."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest

from conftest import REPOSITORY, training_options
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
    assert main(grid(shared_miniature, done, "--shots", "1,4", "--seeds", "3,5,6")) == 0
    shown = capsys.readouterr()
    assert shown.err.count("Finished already: fold 1") == 4
    assert "±" in shown.out and "clips a class" in shown.out
    assert [row for row in found(done)["runs"] if row["seed"] != 6] == before
    assert adapter.stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--shots", "0"], "shots is [0]"),
        (["--shots", "1,1"], "each number once"),
        (["--seeds", "[]"], "seeds is []"),
        (["--seeds", "[-1]"], "seeds is [-1]"),
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
