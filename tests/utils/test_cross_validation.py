"""Whole runs, looked at from outside: what is kept, what is scored when, what repeats."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from sklearn.metrics import balanced_accuracy_score, f1_score

from conftest import write_rows
from petl_ast import ESC50Dataset, load_adapter
from petl_ast.config import AugmentConfig, RunConfig, load_run_config, to_yaml
from petl_ast.data.batches import Batches
from petl_ast.errors import UserError
from petl_ast.models.ast_with_adapter import ASTWithAdapter
from petl_ast.utils import fold_setup
from petl_ast.utils.cross_validation import cross_validate, summarise, summary_rows
from petl_ast.utils.engine import EvalResult, eval_one_epoch
from petl_ast.utils.environment import make_accelerator


@pytest.fixture
def config(finished_run: Path, tmp_path: Path) -> RunConfig:
    """The finished run's configuration, for fold 2 alone, into another folder."""
    values = yaml.safe_load((finished_run / "config.yaml").read_text())
    values["output"] = str(tmp_path / "run")
    values["data"]["folds"] = [2]
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(values))
    return load_run_config(path)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_best_is_the_epoch_with_the_highest_validation_accuracy(finished_run: Path) -> None:
    for folder in sorted(finished_run.glob("fold_*")):
        result, epochs = json.loads((folder / "result.json").read_text()), rows(folder / "metrics.csv")
        accuracies = [(float(e["validation_accuracy"]), -float(e["validation_loss"])) for e in epochs]
        assert result["best"]["epoch"] == 1 + accuracies.index(max(accuracies))
        assert result["last"]["epoch"] == len(epochs)


def test_kept_adapters_score_what_was_reported(finished_run: Path) -> None:
    accelerator = make_accelerator("cpu")
    config = load_run_config(finished_run / "config.yaml")
    dataset = ESC50Dataset(config.data.root, "all", config.spectrogram, config.data.cache)
    folder = finished_run / "fold_4"
    result = json.loads((folder / "result.json").read_text())
    for kind in ("last", "best"):
        model = load_adapter(folder / kind)
        for fold, key in ((4, "test"), (3, "validation")):
            size, device = config.train.batch_size, torch.device("cpu")
            batches = Batches(*dataset.tensors(), dataset.indices([fold]), size, device)
            again = eval_one_epoch(model, batches, accelerator)
            assert again.accuracy == result[kind][f"{key}_accuracy"]
            assert again.loss == pytest.approx(result[kind][f"{key}_loss"], rel=1e-6)


def test_the_test_fold_is_scored_only_after_training_and_once_a_kind(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored = []

    clips = ESC50Dataset(config.data.root).clips

    def spy(model: torch.nn.Module, batches: Batches, *rest: object) -> EvalResult:
        scored.append({clips[i].fold for i in batches.indices})
        return eval_one_epoch(model, batches, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(fold_setup, "eval_one_epoch", spy)
    cross_validate(config)
    assert scored == [{1}, {1}, {2}, {2}]


def test_nothing_is_trained_when_the_run_cannot_be_kept(config: RunConfig) -> None:
    Path(config.output).write_text("a file where the folder should be")
    with pytest.raises(UserError, match="Cannot write"):
        cross_validate(config)


def test_divergence_is_told_and_leaves_no_result(config: RunConfig, tmp_path: Path) -> None:
    path = tmp_path / "wild.yaml"
    path.write_text(to_yaml(config).replace("learning_rate: 0.005", "learning_rate: 1.0e+30"))
    wild = load_run_config(path)
    with pytest.raises(UserError, match=r"diverged: the training loss of fold 2 .*learning_rate"):
        cross_validate(wild)
    assert not (Path(wild.output) / "fold_2" / "result.json").exists()


def test_divergence_that_only_validation_sees_is_told(config: RunConfig, tmp_path: Path) -> None:
    path = tmp_path / "wild.yaml"
    text = to_yaml(config).replace("learning_rate: 0.005", "learning_rate: 1.0e+30")
    path.write_text(text.replace("epochs: 2", "epochs: 1").replace("batch_size: 8", "batch_size: 64"))
    wild = load_run_config(path)
    with pytest.raises(UserError, match="diverged: the validation loss of fold 2"):
        cross_validate(wild)
    assert not list(Path(wild.output).rglob("adapter_model.safetensors"))


def test_an_earlier_run_goes_only_when_the_new_one_can_start(
    config: RunConfig, shared_miniature: Path, tmp_path: Path
) -> None:
    cross_validate(config)
    before = {p: p.read_bytes() for p in Path(config.output).rglob("*") if p.is_file()}
    root = Path(shutil.copytree(shared_miniature, tmp_path / "data"))
    next((root / "audio").iterdir()).write_bytes(b"no sound")
    damaged = dataclasses.replace(config.data, root=str(root))
    with pytest.raises(UserError, match="1 of 30 clips cannot be used"):
        cross_validate(dataclasses.replace(config, overwrite=True, data=damaged))
    assert {p: p.read_bytes() for p in Path(config.output).rglob("*") if p.is_file()} == before


def test_tensorboard_is_missed_before_training(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("petl_ast.utils.cross_validation.find_spec", lambda name: None)
    board = dataclasses.replace(config, train=dataclasses.replace(config.train, tensorboard=True))
    with pytest.raises(UserError, match="pip install tensorboard"):
        cross_validate(board)
    assert not Path(board.output).exists()


def test_tensorboard_on_request(config: RunConfig, tmp_path: Path) -> None:
    path = tmp_path / "board.yaml"
    path.write_text(to_yaml(config).replace("tensorboard: false", "tensorboard: true"))
    cross_validate(load_run_config(path))
    assert list(Path(config.output).glob("fold_2/tensorboard/events*"))


def test_summary_of_known_folds() -> None:
    folds = [
        {"test": fold, "last": {"test_accuracy": last}, "best": {"test_accuracy": best, "epoch": 3}}
        for fold, last, best in ((1, 0.5, 0.6), (2, 0.7, 0.8))
    ]
    summary = summarise(folds)
    assert summary["last"]["mean"] == pytest.approx(0.6)
    assert summary["best"]["mean"] == pytest.approx(0.7)
    table = summary_rows(summary)
    assert [row["fold"] for row in table] == [1, 2, "mean", "standard_deviation", "low", "high"]
    assert table[0] == {"fold": 1, "last": 0.5, "best": 0.6, "best_epoch": 3}


def test_class_weights_change_the_training_and_no_score(
    config: RunConfig, miniature: Path, tmp_path: Path
) -> None:
    table = miniature / "meta" / "esc50.csv"
    kept = [
        row for row in rows(table) if row["category"] != "noise" or row["filename"].split("-")[1][-1] == "0"
    ]
    write_rows(miniature, kept)  # one clip of noise a fold, two of the others
    losses = {}
    for weights in ("none", "balanced"):
        train = dataclasses.replace(config.train, class_weights=weights, learning_rate=1e-12, epochs=1)
        data = dataclasses.replace(config.data, root=str(miniature))
        output = tmp_path / weights
        summary = cross_validate(dataclasses.replace(config, train=train, data=data, output=str(output)))
        assert load_run_config(output / "config.yaml").train.class_weights == weights
        (epoch,) = rows(output / "fold_2" / "metrics.csv")
        losses[weights] = epoch["train_loss"], epoch["validation_loss"]
        (result,) = summary["folds"]
        predictions = rows(output / "fold_2" / "predictions.csv")
        truth, named = ([row[column] for row in predictions] for column in ("class", "last"))
        assert result["last"]["test_balanced_accuracy"] == pytest.approx(
            balanced_accuracy_score(truth, named)
        )
        expected = f1_score(truth, named, average="macro")
        assert (
            result["last"]["test_macro_f1"] == summary["macro_f1"]["last"]["mean"] == pytest.approx(expected)
        )
    assert losses["none"][0] != losses["balanced"][0]
    assert float(losses["none"][1]) == pytest.approx(float(losses["balanced"][1]), rel=1e-5)


def test_fixed_features_are_computed_once_and_change_no_result(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    linear = dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, method="linear", method_options={}),
        augment=AugmentConfig(frequency_mask=0, time_mask=0),
    )
    calls = []
    summary = ASTWithAdapter.summary
    monkeypatch.setattr(
        ASTWithAdapter, "summary", lambda self, x: (calls.append(len(x)), summary(self, x))[1]
    )
    linear = dataclasses.replace(linear, data=dataclasses.replace(config.data, folds=[1, 2]))
    once = cross_validate(linear)
    assert sum(calls) == len(ESC50Dataset(config.data.root))  # once for all folds and epochs

    monkeypatch.setattr(ASTWithAdapter, "fixed_features", False)
    every_time = cross_validate(dataclasses.replace(linear, output=str(tmp_path / "every_time")))
    for a, b in zip(once["folds"], every_time["folds"], strict=True):
        for kind in ("last", "best"):
            assert a[kind]["epoch"] == b[kind]["epoch"]
            assert a[kind]["test_accuracy"] == b[kind]["test_accuracy"]
            assert a[kind]["test_loss"] == pytest.approx(b[kind]["test_loss"], rel=1e-5)


def test_augmentation_keeps_a_linear_probe_from_fixed_features(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ASTWithAdapter, "summary", None)  # would fail if it were called
    cross_validate(
        dataclasses.replace(
            config, model=dataclasses.replace(config.model, method="linear", method_options={})
        )
    )


def test_memory_that_runs_out_is_told_and_the_run_goes_on(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forward = ASTWithAdapter.forward

    def short_of_memory(self: ASTWithAdapter, x: torch.Tensor) -> torch.Tensor:
        if len(x) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
        return forward(self, x)

    monkeypatch.setattr(ASTWithAdapter, "forward", short_of_memory)
    summary = cross_validate(config)
    assert len(summary["folds"]) == 1
    assert "Memory ran out: 1 clips go through the model at once" in capsys.readouterr().err


def test_less_memory_at_once_gives_the_same_run(config: RunConfig, tmp_path: Path) -> None:
    plain = cross_validate(config)
    for option, value in (("gradient_checkpointing", True), ("micro_batch_size", config.train.batch_size)):
        train = dataclasses.replace(config.train, **{option: value})
        other = cross_validate(dataclasses.replace(config, train=train, output=str(tmp_path / option)))
        losses = [r["folds"][0]["last"]["test_loss"] for r in (plain, other)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
