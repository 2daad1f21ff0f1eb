"""Clips with several labels, or none, from the csv to the command line's answers."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from conftest import SAMPLING_RATE, training_options
from petl_ast.cli import main
from petl_ast.config import DataConfig, RunConfig, SpectrogramConfig, TrainConfig
from petl_ast.costs.cost import work_of
from petl_ast.data.dataset import AudioDataset
from petl_ast.data.formats import open_dataset
from petl_ast.errors import UserError
from petl_ast.utils import cross_validation
from petl_ast.utils.engine import EvalResult, OnBatch
from petl_ast.utils.evaluation import evaluate
from petl_ast.utils.fold_setup import Fold
from petl_ast.utils.outcome import outcome
from petl_ast.utils.report import write_report

Capture = pytest.CaptureFixture[str]
TONES = {"high": 3000, "low": 300, "middle": 1000}
FOLDS, CLIPS = 5, 4


def write(root: Path, rows: list[dict[str, str]]) -> Path:
    """A csv of such rows and the clips it lists: each label is a tone."""
    root.mkdir(parents=True, exist_ok=True)
    rng, time = np.random.default_rng(0), np.arange(SAMPLING_RATE // 2) / SAMPLING_RATE
    for row in rows:
        tones = [TONES[name.strip()] for name in row["labels"].split(";") if name.strip() in TONES]
        wave = 0.02 * rng.standard_normal(len(time)) + sum(0.2 * np.sin(2 * np.pi * f * time) for f in tones)
        soundfile.write(root / row["path"], wave, SAMPLING_RATE)
    with (root / "clips.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return root


def rows_of_folds() -> list[dict[str, str]]:
    """Of every fold two clips of two labels, one of one, one of none."""
    labels = ["low; high", "middle;low", "high", ""]
    return [
        {"path": f"{fold}_{n}.wav", "labels": labels[n], "fold": str(fold)}
        for fold in range(1, FOLDS + 1)
        for n in range(CLIPS)
    ]


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("sounds"), rows_of_folds())


def opened(root: Path, cache: Path, **data: object) -> AudioDataset:
    spectrogram = SpectrogramConfig(num_mel_bins=32, max_length=16)
    config = DataConfig(root=str(root), cache=str(cache), **data)  # type: ignore[arg-type]
    return open_dataset(RunConfig(data=config, spectrogram=spectrogram))[0]


def options(root: Path, output: Path) -> list[str]:
    return ["train", *training_options(root, output), "--data.folds=[2]", "--train.learning_rate=0.02"]


@pytest.fixture(scope="module")
def run(sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("outputs") / "several"
    assert main([*options(sounds, output), "--train.epochs=6"]) == 0
    return output


# ---- the data


def test_labels_are_read_as_they_are_separated(sounds: Path, tmp_path: Path) -> None:
    dataset = opened(sounds, tmp_path)
    assert dataset.multi_label
    assert dataset.class_names == ["high", "low", "middle"]
    _, labels = dataset.tensors()
    assert labels[:4].tolist() == [[1, 1, 0], [0, 1, 1], [1, 0, 0], [0, 0, 0]]
    assert dataset[1][1].tolist() == [0, 1, 1]
    assert dataset.split(1).train == (2, 3, 4)


def test_a_column_of_one_label_wins(sounds: Path, tmp_path: Path) -> None:
    rows = [{**row, "label": "ab"[n % 2]} for n, row in enumerate(rows_of_folds())]
    dataset = opened(write(tmp_path / "both", rows), tmp_path)
    assert not dataset.multi_label
    assert dataset.class_names == ["a", "b"]


def test_folds_are_drawn_with_groups_whole_and_labels_spread(tmp_path: Path) -> None:
    rows = [
        {"path": f"{n}.wav", "labels": ["low;high", "middle", "", "high"][n % 4], "group": f"g{n // 2}"}
        for n in range(40)
    ]
    root = write(tmp_path / "sounds", rows)
    folds = {clip.name: clip.fold for clip in opened(root, tmp_path).clips}
    assert sorted(set(folds.values())) == [1, 2, 3, 4, 5]
    assert all(folds[f"{2 * n}.wav"] == folds[f"{2 * n + 1}.wav"] for n in range(20))
    for label, total in (("low", 10), ("middle", 10), ("high", 20)):
        counts = np.bincount([folds[row["path"]] for row in rows if label in row["labels"]], minlength=6)[1:]
        assert counts.sum() == total
        assert counts.max() - counts.min() <= 2
    write(tmp_path / "sounds", rows[::-1])
    assert {clip.name: clip.fold for clip in opened(root, tmp_path).clips} == folds


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"data": {"shots": 2}}, "data.shots"),
        ({"train": {"class_weights": "balanced"}}, "train.class_weights"),
    ],
)
def test_options_for_one_label_are_refused(sounds: Path, config: dict, named: str) -> None:
    data = DataConfig(root=str(sounds), **config.get("data", {}))
    with pytest.raises(UserError, match=named):
        open_dataset(RunConfig(data=data, train=TrainConfig(**config.get("train", {}))))


def test_no_label_anywhere_is_told(tmp_path: Path) -> None:
    rows = [{**row, "labels": ""} for row in rows_of_folds()]
    with pytest.raises(UserError, match="gives no clip a label"):
        opened(write(tmp_path / "sounds", rows), tmp_path)


def test_one_class_alone_is_refused(tmp_path: Path) -> None:
    rows = [{**row, "labels": "low" if "low" in row["labels"] else ""} for row in rows_of_folds()]
    with pytest.raises(UserError, match="holds a single class, low"):
        opened(write(tmp_path / "sounds", rows), tmp_path)


@pytest.mark.parametrize("damage", ["missing", "no sound"])
def test_a_class_that_is_lost_with_unusable_clips_stops_the_run(tmp_path: Path, damage: str) -> None:
    rows = rows_of_folds()
    rows[1]["labels"] = "middle;rare"
    root = write(tmp_path / "sounds", rows)
    assert "rare" in opened(root, tmp_path, on_error="skip").class_names
    if damage == "missing":
        (root / rows[1]["path"]).unlink()
    else:
        (root / rows[1]["path"]).write_text("no sound")
    with pytest.raises(UserError, match="nothing is left of: class rare"):
        opened(root, tmp_path, on_error="skip").tensors()


# ---- the run


def test_a_run_reports_average_precision(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    (result,) = summary["folds"]
    for kind in ("last", "best"):
        precisions = result[kind]["test_average_precision"]
        assert list(precisions) == ["high", "low", "middle"]
        assert result[kind]["test_map"] == pytest.approx(np.mean(list(precisions.values())))
        assert summary[kind]["mean"] == result[kind]["test_map"]
    assert (run / "plots" / "average_precision.png").is_file()
    assert not (run / "plots" / "confusion_matrix.png").exists()
    with (run / "fold_2" / "predictions.csv").open() as file:
        truth = [row["class"] for row in csv.DictReader(file)]
    assert truth == ["high;low", "low;middle", "high", ""]
    with (run / "fold_2" / "metrics.csv").open() as file:
        best = max(
            csv.DictReader(file), key=lambda r: (float(r["validation_map"]), -float(r["validation_loss"]))
        )
    assert result["best"]["epoch"] == int(best["epoch"])


def test_the_passes_that_choose_thresholds_are_counted(sounds: Path) -> None:
    work = work_of(RunConfig(data=DataConfig(root=str(sounds), folds=[2]), train=TrainConfig(epochs=3)))
    assert (work.training, work.evaluation) == (3 * 3 * CLIPS, (3 + 2 + 2) * CLIPS)


def test_the_card_tells_average_precisions_and_thresholds(run: Path) -> None:
    adapter = run / "fold_2" / "last"
    config = json.loads((adapter / "adapter_config.json").read_text())
    card, metrics = (adapter / "README.md").read_text(), config["metrics"]
    assert f"| test | {metrics['test_map']:.2%} | {metrics['test_loss']:.4f} |" in card
    for name, threshold in zip(config["labels"], config["thresholds"], strict=True):
        precision = metrics["test_average_precision"][name]
        assert f"| `{name}` | {precision:.1%} | {threshold:.1%} |" in card
    assert "mean_average_precision" in card.split("---")[1]
    assert f"Measured on {CLIPS} clips that it was not trained on." in card
    assert "sounds can be given some of them too, or none" in card and "get one of them" not in card
    assert not (adapter / "confusion_matrix.png").exists()


def test_evaluate_finds_the_same_again(run: Path, capsys: Capture) -> None:
    adapter = [str(run / "fold_2" / "last"), f"--cache={run.parent / 'cache'}"]
    assert main(["evaluate", *adapter, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["mean_average_precision"] == found["reported"]
    assert found["matrix"] is None
    assert main(["evaluate", *adapter]) == 0
    printed = capsys.readouterr().out
    assert f"mean average precision {found['reported']:.2%}" in printed
    assert "the same" in printed
    assert "Confusion" not in printed


def test_predict_names_every_label_over_its_threshold(run: Path, sounds: Path, capsys: Capture) -> None:
    adapter = run / "fold_2" / "last"
    config = json.loads((adapter / "adapter_config.json").read_text())
    clips = [str(sounds / f"2_{n}.wav") for n in range(CLIPS)]
    assert main(["predict", str(adapter), *clips, "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    thresholds = dict(zip(config["labels"], config["thresholds"], strict=True))
    with (run / "fold_2" / "predictions.csv").open() as file:
        kept = [row["last"] for row in csv.DictReader(file)]
    for line, last in zip(lines, kept, strict=True):
        over = {c["class"] for c in line["classes"] if c["probability"] >= thresholds[c["class"]]}
        assert {e["class"] for e in line["events"]} == over == set(filter(None, last.split(";")))
    assert main(["predict", str(adapter), *clips, "--format", "csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["class"] for row in rows] == [e["class"] for line in lines for e in line["events"]]
    assert main(["predict", str(adapter), *clips, "--threshold", "1"]) == 0
    assert capsys.readouterr().out.count("no label; likeliest") == CLIPS


@pytest.mark.parametrize("damage", [[0.5], [0.5, 2.0, 0.1], [0.5, "high", 0.1], 0.5])
def test_thresholds_that_are_none_are_refused(
    damage: object, run: Path, sounds: Path, tmp_path: Path, capsys: Capture
) -> None:
    adapter = Path(shutil.copytree(run / "fold_2" / "last", tmp_path / "adapter"))
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "thresholds": damage}))
    for command in (["predict", str(adapter), str(sounds / "2_0.wav")], ["evaluate", str(adapter)]):
        assert main(command) == 2
        said = capsys.readouterr().err
        assert f"{adapter}: thresholds is" in said
        assert "Traceback" not in said


def test_the_outcome_and_the_report_speak_of_average_precision(
    run: Path, sounds: Path, tmp_path: Path
) -> None:
    dataset = opened(sounds, tmp_path)
    mean = json.loads((run / "summary.json").read_text())["last"]["mean"]
    told = outcome(run, dataset)
    assert f"Mean average precision on clips that it was not trained on: {mean:.1%}." in told
    assert all(f"  {name}: " in told for name in dataset.class_names)
    write_report(run, tmp_path / "report")
    assert (
        "Test mean average precision in cross-validation" in (tmp_path / "report" / "results.tex").read_text()
    )
    assert (tmp_path / "report" / "average_precision.png").is_file()


def test_interrupted_it_goes_on_to_the_same_bits(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cross_validation, "_draw", lambda output, dataset: None)
    files = ("metrics.csv", "predictions.csv", "last/adapter_model.safetensors", "last/adapter_config.json")
    kept, advance = {}, cross_validation._FoldProgress.on_batch
    for batch in (0, 2, 5, 7):  # not at all; in the first and in the second epoch; when thresholds are chosen
        output, seen = tmp_path / str(batch), 0

        def count(self: cross_validation._FoldProgress, batch: int = batch) -> None:
            nonlocal seen
            seen += 1
            advance(self)
            if seen == batch:
                os.kill(os.getpid(), signal.SIGTERM)

        with monkeypatch.context() as patch:
            patch.setattr(cross_validation._FoldProgress, "on_batch", count)
            assert main(options(sounds, output)) == (128 + signal.SIGTERM if batch else 0)
        assert main(options(sounds, output)) == 0
        kept[batch] = [(output / "fold_2" / name).read_bytes() for name in files]
    assert all(found == kept[0] for found in kept.values())


def test_a_class_without_a_clip_in_a_part_is_told_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(cross_validation, "_draw", lambda output, dataset: None)
    rows = [
        {**row, "labels": row["labels"].replace("middle", "high") if row["fold"] in "12" else row["labels"]}
        for row in rows_of_folds()
    ]
    output = tmp_path / "run"
    assert main([*options(write(tmp_path / "sounds", rows), output), "--train.epochs=1"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "no clip for validation has: middle. So their threshold is 0.5" in said
    assert "no clip for test has: middle. So their average precision is not defined" in said
    result = json.loads((output / "fold_2" / "result.json").read_text())
    assert result["last"]["test_average_precision"]["middle"] is None
    config = json.loads((output / "fold_2" / "last" / "adapter_config.json").read_text())
    assert config["thresholds"][2] == 0.5
    found = evaluate(output / "fold_2" / "last", cache=str(output.parent / "cache"), device="cpu")
    assert found.macro_f1 == pytest.approx(result["last"]["test_macro_f1"])
    assert found.report["macro avg"]["f1-score"] == pytest.approx(found.macro_f1)


def test_logits_that_are_no_numbers_are_refused(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    evaluated = Fold.evaluate

    def spoilt(self: Fold, part: str, on_batch: OnBatch) -> EvalResult:
        result = evaluated(self, part, on_batch)
        return replace(result, logits=result.logits / 0) if part == "test" else result

    monkeypatch.setattr(Fold, "evaluate", spoilt)
    assert main([*options(sounds, tmp_path / "run"), "--train.epochs=1"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "fold 2, last epoch, tried on its test clips, computes values that are not finite" in said
    assert "Traceback" not in said
