"""Scoring an adapter again, from Python."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from conftest import CLASS_NAMES, training_options
from petl_ast.cli import main
from petl_ast.errors import UserError
from petl_ast.utils import console as screen
from petl_ast.utils.evaluation import Evaluation, confusion_text, evaluate, report_table


@pytest.fixture(scope="module")
def torn_run(tmp_path_factory: pytest.TempPathFactory, shared_miniature: Path) -> Path:
    """A fold whose best epoch is surely not its last.

    In the validation fold every clip is called by the next class's name, so learning makes validation worse.
    """
    folder = tmp_path_factory.mktemp("torn")
    shutil.copytree(shared_miniature, folder / "data")
    table = folder / "data" / "meta" / "esc50.csv"
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    named = {row["category"]: row["target"] for row in rows}
    for row in rows:
        if row["fold"] == "5":
            row["category"] = CLASS_NAMES[(CLASS_NAMES.index(row["category"]) + 1) % 3]
            row["target"] = named[row["category"]]
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    options = training_options(folder / "data", folder / "run")
    assert main(["train", *options, "--data.folds=[1]", "--train.epochs=8"]) == 0
    return folder / "run"


def cache_of(run: Path) -> str:
    return str(run.parent / "cache")


def predictions(run: Path, fold: int) -> list[dict[str, str]]:
    with (run / f"fold_{fold}" / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_last_and_best_are_two_adapters(torn_run: Path) -> None:
    result = json.loads((torn_run / "fold_1" / "result.json").read_text())
    assert result["best"]["epoch"] < result["last"]["epoch"] == 8
    found = {}
    for kind in ("last", "best"):
        found[kind] = evaluate(torn_run / "fold_1" / kind, cache=cache_of(torn_run), device="cpu")
        assert found[kind].accuracy == found[kind].reported == result[kind]["test_accuracy"]
        assert found[kind].loss == pytest.approx(result[kind]["test_loss"], rel=1e-6)
    assert found["last"].loss != found["best"].loss


def test_matrix_and_report_are_those_of_the_predictions(torn_run: Path, finished_run: Path) -> None:
    for run, fold in ((torn_run, 1), (finished_run, 2), (finished_run, 5)):
        for kind in ("last", "best"):
            found = evaluate(run / f"fold_{fold}" / kind, cache=cache_of(run), device="cpu")
            expected = np.zeros((3, 3), dtype=int)
            for row in predictions(run, fold):
                expected[CLASS_NAMES.index(row["class"]), CLASS_NAMES.index(row[kind])] += 1
            assert found.class_names == CLASS_NAMES
            np.testing.assert_array_equal(found.matrix, expected)
            assert found.clips == expected.sum() == 6
            assert found.accuracy == np.trace(expected) / expected.sum()
            for i, name in enumerate(CLASS_NAMES):
                assert found.report[name]["recall"] == expected[i, i] / expected[i].sum()
                taken = expected[:, i].sum()
                precision = expected[i, i] / taken if taken else 0.0
                assert found.report[name]["precision"] == pytest.approx(precision)
                assert found.report[name]["support"] == 2


def test_another_fold_has_no_reported_accuracy(finished_run: Path) -> None:
    adapter = finished_run / "fold_1" / "last"
    found = evaluate(adapter, fold=5, cache=cache_of(finished_run), device="cpu")
    assert found.fold == 5
    assert found.reported is None
    # Fold 5 validated this adapter: training wrote down what it scored there.
    metrics = json.loads((adapter / "adapter_config.json").read_text())["metrics"]
    assert found.accuracy == metrics["validation_accuracy"]
    assert found.loss == pytest.approx(metrics["validation_loss"], rel=1e-6)


def test_moved_data_and_moved_backbone(
    finished_run: Path, shared_miniature: Path, backbone: str, tmp_path: Path
) -> None:
    """An adapter folder is all that one takes along."""
    shutil.copytree(finished_run / "fold_4" / "best", tmp_path / "adapter")
    shutil.copytree(shared_miniature, tmp_path / "data")
    shutil.copytree(backbone, tmp_path / "backbone")
    config = tmp_path / "adapter" / "adapter_config.json"
    text = config.read_text()
    assert str(shared_miniature) in text and backbone in text
    config.write_text(text.replace(str(shared_miniature), "/gone/data").replace(backbone, "/gone/backbone"))
    with pytest.raises(UserError, match="/gone/backbone"):
        evaluate(tmp_path / "adapter", device="cpu")
    found = evaluate(
        tmp_path / "adapter",
        data_root=str(tmp_path / "data"),
        backbone=str(tmp_path / "backbone"),
        cache=str(tmp_path / "cache"),
        device="cpu",
    )
    assert found.accuracy == found.reported


def test_a_clip_that_was_moved_out_of_the_training_folds_is_told(
    finished_run: Path, shared_miniature: Path, tmp_path: Path
) -> None:
    """Folds that the data set gives are anybody's to edit."""
    shutil.copytree(shared_miniature, tmp_path / "data")
    adapter, table = finished_run / "fold_1" / "last", tmp_path / "data" / "meta" / "esc50.csv"
    whole = {"data_root": str(tmp_path / "data"), "cache": str(tmp_path / "cache"), "device": "cpu"}
    assert evaluate(adapter, **whole).seen == ""
    first, *lines = table.read_text().splitlines()
    moved = next(line for line in lines if line.split(",")[1] == "3")
    name, _, rest = moved.split(",", 2)
    table.write_text("\n".join([first, *(line if line != moved else f"{name},1,{rest}" for line in lines)]))
    found = evaluate(adapter, **whole)
    assert "Fold 1 holds other clips now" in found.seen
    assert found.reported is None


def test_clips_that_training_may_have_seen_are_no_unseen_clips(sounds_run: Path) -> None:
    """One clip more in a folder deals all clips out to other folds."""
    adapter, sounds = sounds_run / "fold_1" / "last", sounds_run.parent / "sounds"
    found = evaluate(adapter, cache=cache_of(sounds_run), device="cpu")
    assert (found.seen, found.reported) == ("", found.accuracy)
    trained = evaluate(adapter, fold=3, cache=cache_of(sounds_run), device="cpu")
    assert trained.seen.startswith("The adapter was trained on this fold")
    first = min((sounds / CLASS_NAMES[0]).iterdir())
    shutil.copy(first, first.with_name("new.wav"))
    with first.with_name("new.wav").open("ab") as file:
        file.write(b"another recording")
    found = evaluate(adapter, cache=cache_of(sounds_run), device="cpu")
    assert found.seen.startswith("The folds 2, 3, 4 that it was trained on hold other clips now, or clips of")
    assert found.reported is None
    config = json.loads((adapter / "adapter_config.json").read_text())
    config["data"]["train"] = [3]
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    found = evaluate(adapter, cache=cache_of(sounds_run), device="cpu")
    assert found.seen.startswith("The fold 3 that it was trained on holds other clips now, or clips of")


def test_given_folds_may_gain_a_clip(finished_run: Path, miniature: Path, tmp_path: Path) -> None:
    """The clips that are tested stay those that were kept for it."""
    table = miniature / "meta" / "esc50.csv"
    with table.open(newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["fold"] == "3")
    shutil.copy(miniature / "audio" / row["filename"], miniature / "audio" / "new.wav")
    with table.open("a", newline="") as file:
        csv.DictWriter(file, list(row)).writerow(row | {"filename": "new.wav"})
    adapter, cache = finished_run / "fold_1" / "last", str(tmp_path / "cache")
    trained_on = json.loads((adapter / "adapter_config.json").read_text())["data"]["train"]
    assert 3 in trained_on
    found = evaluate(adapter, data_root=str(miniature), cache=cache, device="cpu")
    assert (found.seen, found.reported) == ("", found.accuracy)


@pytest.fixture
def sounds_run(tmp_path: Path, shared_miniature: Path) -> Path:
    """One fold on clips in a sub-folder a class."""
    with (shared_miniature / "meta" / "esc50.csv").open(newline="") as file:
        for i, row in enumerate(csv.DictReader(file)):
            place = tmp_path / "sounds" / row["category"]
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(shared_miniature / "audio" / row["filename"], place / f"{i}.wav")
    options = training_options(tmp_path / "sounds", tmp_path / "run")
    assert main(["train", *options, "--data.folds=[1]", "--train.epochs=1"]) == 0
    return tmp_path / "run"


def test_a_fold_in_which_a_class_is_missing(finished_run: Path, miniature: Path, tmp_path: Path) -> None:
    table = miniature / "meta" / "esc50.csv"
    lines = [line for line in table.read_text().splitlines() if not (line[0] == "3" and "noise" in line)]
    table.write_text("\n".join(lines) + "\n")
    found = evaluate(
        finished_run / "fold_3" / "last",
        data_root=str(miniature),
        cache=str(tmp_path / "cache"),
        device="cpu",
    )
    assert found.clips == 4
    assert found.matrix[1].sum() == 0
    assert found.report["noise"]["support"] == 0
    assert json.dumps(found.report, allow_nan=False)
    named = [row for name, row in found.report.items() if name in CLASS_NAMES and row["support"]]
    if not found.matrix[:, 1].any():  # a class that has no clip and was not named is in no mean
        assert found.macro_f1 == pytest.approx(np.mean([row["f1-score"] for row in named]))
    assert found.report["macro avg"]["f1-score"] == pytest.approx(found.macro_f1)


def test_an_adapter_of_another_precision_in_one_process(finished_run: Path, tmp_path: Path) -> None:
    """As in a notebook that compares two runs."""
    shutil.copytree(finished_run / "fold_1" / "last", tmp_path / "adapter")
    config = tmp_path / "adapter" / "adapter_config.json"
    config.write_text(config.read_text().replace('"precision": "fp32"', '"precision": "bf16"'))
    cache = cache_of(finished_run)
    full = evaluate(finished_run / "fold_1" / "last", cache=cache, device="cpu")
    half = evaluate(tmp_path / "adapter", cache=cache, device="cpu")
    again = evaluate(finished_run / "fold_1" / "last", cache=cache, device="cpu")
    assert half.loss == pytest.approx(full.loss, rel=0.05)
    assert half.loss != full.loss
    assert again.loss == full.loss


@pytest.fixture
def evaluation() -> Evaluation:
    """Of known content: 21 clips, three classes, one of them never predicted."""
    row = {"precision": 0.5, "recall": 0.25, "f1-score": 1 / 3, "support": 7.0}
    return Evaluation(
        fold=2,
        clips=21,
        accuracy=12 / 21,
        loss=0.5,
        reported=None,
        class_names=["dog", "a_long_name", "cat"],
        matrix=np.array([[0, 7, 0], [0, 12, 1], [0, 1, 0]]),
        report=dict.fromkeys(("dog", "a_long_name", "cat", "macro avg"), row),
        balanced_accuracy=0.5,
        macro_f1=1 / 3,
    )


def test_the_matrix_in_characters(evaluation: Evaluation) -> None:
    title, heading, *lines = confusion_text(evaluation).splitlines()
    assert "rows are true" in title
    assert heading.split() == ["0", "1", "2"]
    assert [line.split() for line in lines] == [
        ["0", "dog", ".", "7", "."],
        ["1", "a_long_name", ".", "12", "1"],
        ["2", "cat", ".", "1", "."],
    ]
    assert len({len(line) for line in [heading, *lines]}) == 1  # columns stand below each other


def test_the_report_as_a_table(evaluation: Evaluation) -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(report_table(evaluation))
    printed = console.export_text()
    lines = [line for line in printed.splitlines() if "50.0%" in line]
    assert [line.split()[1] for line in lines] == ["dog", "a_long_name", "cat", "macro"]
    assert all("25.0%" in line and "33.3%" in line and "7" in line for line in lines)


def test_class_names_are_no_markup(evaluation: Evaluation, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["dog [bark]", "bold[/b]", "[red]cat"]
    for old, new in zip(evaluation.class_names, names, strict=True):
        evaluation.report[new] = evaluation.report[old]
    evaluation.class_names[:] = names
    screen.output().print(report_table(evaluation))
    printed = capsys.readouterr().out
    assert [name for name in names if name not in printed] == []
