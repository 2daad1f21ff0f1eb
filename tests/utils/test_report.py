"""A run as LaTeX: the numbers are the run's, and LaTeX accepts them."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from conftest import REPOSITORY
from petl_ast.errors import UserError
from petl_ast.utils.report import escape, results_table, setup_table, write_report
from petl_ast.utils.run_folder import Run, read_run

PICTURES = ("class_accuracy.png", "confusion_matrix.png", "curves.png", "spectrograms.png")
NASTY = "a_b & 50% of #1 $x^2$ ~ {c}"  # what a folder may be called, LaTeX's special characters and all


def cells(table: str) -> list[list[str]]:
    """The cells of a LaTeX table, row by row, without its rules and its heading."""
    body = table.split("\\midrule\n", 1)[1].split("\\bottomrule")[0]
    lines = [line for line in body.splitlines() if not line.startswith("\\midrule")]
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)&", line.removesuffix("\\\\").strip())] for line in lines
    ]


def test_the_results_are_the_runs(finished_run: Path) -> None:
    summary = json.loads((finished_run / "summary.json").read_text())
    *folds, mean, deviation, interval = cells(results_table(read_run(finished_run)))
    assert len(folds) == 5
    for row, result in zip(folds, summary["folds"], strict=True):
        assert [int(row[0]), int(row[1]), int(row[4])] == [result["test"], 6, result["best"]["epoch"]]
        assert float(row[2]) == pytest.approx(100 * result["last"]["test_accuracy"], abs=0.005)
        assert float(row[3]) == pytest.approx(100 * result["best"]["test_accuracy"], abs=0.005)
    for column, kind in ((2, "last"), (3, "best")):
        assert float(mean[column]) == pytest.approx(100 * summary[kind]["mean"], abs=0.005)
        expected = 100 * summary[kind]["standard_deviation"]
        assert float(deviation[column]) == pytest.approx(expected, abs=0.005)
        low, high = map(float, interval[column].split(" to "))
        assert low == pytest.approx(100 * summary[kind]["low"], abs=0.005)
        assert high == pytest.approx(100 * summary[kind]["high"], abs=0.005)


def test_one_fold_has_a_mean_and_no_deviation(finished_run: Path) -> None:
    run = read_run(finished_run)
    nothing = dict.fromkeys(("standard_deviation", "low", "high"))
    alone = {kind: {"mean": 0.25, **nothing} for kind in ("last", "best")}
    one = dataclasses.replace(run, summary={"folds": run.summary["folds"][:1], **alone})
    rows = cells(results_table(one))
    assert [row[0] for row in rows] == ["1", "Mean"]
    assert rows[1][2:4] == ["25.00", "25.00"]


def test_an_unfinished_run_says_so(finished_run: Path) -> None:
    run = read_run(finished_run)
    assert "Not finished" not in results_table(run)
    half = dataclasses.replace(run, summary={**run.summary, "unfinished": [4, 5]})
    assert "Not finished: fold 4, 5 is missing." in results_table(half)


def test_the_setup_is_the_runs(finished_run: Path) -> None:
    config = yaml.safe_load((finished_run / "config.yaml").read_text())
    setup = dict(cells(setup_table(read_run(finished_run))))
    assert setup["Backbone"] == escape(config["model"]["backbone"])
    assert setup["Method options"] == r"reduction\_rate = 6, kernel\_size = 8"
    assert setup["Position embeddings"] == "crop"
    assert setup["Frames"] == "48"
    assert setup["Epochs, batch size"] == "2, 8"
    assert setup["Seed"] == "10"
    assert setup["SpecAugment limits"] == "8 mel bins, 8 frames"
    for number in (config["train"]["learning_rate"], config["train"]["weight_decay"]):
        assert str(number) in setup["Optimiser"]
    assert setup["Device, precision"].startswith("cpu")
    assert setup["Device, precision"].endswith("fp32")


@pytest.mark.parametrize("character", "&%$#_{}")
def test_special_characters_are_escaped(character: str) -> None:
    assert escape(f"a{character}b") == f"a\\{character}b"


@pytest.mark.parametrize(
    ("character", "name"), [("\\", "backslash"), ("~", "asciitilde"), ("^", "asciicircum")]
)
def test_characters_without_a_short_escape(character: str, name: str) -> None:
    assert escape(f"a{character}b") == f"a\\text{name}{{}}b"


def test_plain_text_stays() -> None:
    assert escape("cpu: x86-64, 0.005 (two)") == "cpu: x86-64, 0.005 (two)"


def test_everything_the_report_takes_in_is_written(finished_run: Path, tmp_path: Path) -> None:
    run, output = tmp_path / "run", tmp_path / "generated"
    shutil.copytree(finished_run, run)
    written = write_report(run, output)
    assert {path.name for path in written} == {"results.tex", "setup.tex", *PICTURES}
    assert set(written) == set(output.iterdir())
    for picture in PICTURES:
        assert (output / picture).read_bytes() == (run / "plots" / picture).read_bytes()
    before = {path.name: path.read_bytes() for path in written}
    write_report(run, output)  # again, over what is there
    assert {path.name: path.read_bytes() for path in output.iterdir()} == before


def test_no_run_no_report(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run with a finished fold"):
        write_report(tmp_path, tmp_path / "generated")
    assert not (tmp_path / "generated").exists()


def test_a_run_given_as_a_dot_has_its_name(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "named"
    shutil.copytree(finished_run, run)
    monkeypatch.chdir(run)
    write_report(Path("."), tmp_path / "generated")
    assert "named" in (tmp_path / "generated" / "results.tex").read_text()


# ---- LaTeX -------------------------------------------------------------------------------------------------

needs_latex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A copy of the report's folder as it is in a fresh clone."""
    folder = tmp_path / "report"
    folder.mkdir()
    shutil.copy(REPOSITORY / "docs" / "report" / "main.tex", folder)
    return folder


def compiled(folder: Path) -> str:
    """Compile twice, as main.tex says; returns LaTeX's log as one line."""
    for _ in range(2):
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    assert (folder / "main.pdf").read_bytes().startswith(b"%PDF")
    log = (folder / "main.log").read_text(encoding="utf-8", errors="replace")
    assert "undefined references" not in log
    assert "multiply defined" not in log
    return log.replace("\n", "")


@needs_latex
def test_the_report_compiles_before_there_is_a_run(report: Path) -> None:
    log = compiled(report)
    assert "generated/" not in log


@needs_latex
def test_the_report_compiles_with_a_run(finished_run: Path, report: Path, tmp_path: Path) -> None:
    run = tmp_path / NASTY
    shutil.copytree(finished_run, run)
    config = (run / "config.yaml").read_text()
    assert "position_embeddings: crop" in config
    backbone = re.search(r"backbone: .*", config)
    assert backbone is not None
    (run / "config.yaml").write_text(config.replace(backbone[0], f"backbone: '/models/{NASTY}\\ast'"))
    write_report(run, report / "generated")
    log = compiled(report)
    for file in ("results.tex", "setup.tex", *PICTURES):
        assert re.search(f"generated/+{file}", log), file


@needs_latex
def test_the_report_compiles_with_one_fold(finished_run: Path, report: Path) -> None:
    run = read_run(finished_run)
    nothing = dict.fromkeys(("standard_deviation", "low", "high"))
    alone = {kind: {"mean": 1.0, **nothing} for kind in ("last", "best")}
    one: Run = dataclasses.replace(run, summary={"folds": run.summary["folds"][:1], **alone})
    (report / "generated").mkdir()
    (report / "generated" / "results.tex").write_text(results_table(one))
    assert "generated/results.tex" in compiled(report)
