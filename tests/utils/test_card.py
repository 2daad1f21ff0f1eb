"""The model card: what the hub reads from it, what it says, and what it must not say."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

from conftest import CLASS_NAMES, training_options
from petl_ast import build_model, load_adapter
from petl_ast.cli import main
from petl_ast.utils.card import card_text, write_cards
from petl_ast.utils.metrics import share_interval


def header_of(card: str) -> dict[str, Any]:
    header: dict[str, Any] = yaml.safe_load(card.split("---\n")[1])
    return header


@pytest.mark.parametrize("kind", ["last", "best"])
def test_the_card_tells_what_the_run_measured(finished_run: Path, kind: str) -> None:
    fold = finished_run / "fold_2"
    card, result = (fold / kind / "README.md").read_text(), json.loads((fold / "result.json").read_text())
    header = header_of(card)
    assert header["license"] == "unknown"
    assert (header["library_name"], header["pipeline_tag"]) == ("petl-ast", "audio-classification")
    assert "base_model" not in header  # a local folder is no model on the hub
    (measured,) = header["model-index"][0]["results"]
    assert measured["metrics"][0]["value"] == result[kind]["test_accuracy"]
    with (fold / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    hits = sum(row["class"] == row[kind] for row in rows)
    low, high = share_interval(hits, len(rows))
    assert f"95 % interval {low:.1%} to {high:.1%}" in card
    assert f"Right about {hits} of 6 clips" in card
    assert "tested on fold 2" in card and "seed 10" in card and "2 epochs" in card
    assert "masks on the training clips: one of fewer than 8 mel bins and one of fewer than 8 frames" in card
    assert "rare classes" not in card and "drawn anew" not in card  # it was trained without either
    assert "sounds get one of them too, sometimes" in card
    assert all(f"| `{name}` | 2 |" in card for name in CLASS_NAMES)
    assert (fold / kind / "confusion_matrix.png").read_bytes().startswith(b"\x89PNG")


def test_the_hubs_own_reader_reads_it(finished_run: Path) -> None:
    data = ModelCard.load(finished_run / "fold_1" / "last" / "README.md").data
    assert data.license == "unknown"
    assert data.eval_results[0].metric_type == "accuracy"


def test_no_path_of_this_machine_is_in_it(finished_run: Path, shared_miniature: Path, backbone: str) -> None:
    for card in finished_run.glob("fold_*/*/README.md"):
        text = card.read_text()
        for place in (finished_run.parent, shared_miniature.parent, Path(backbone).parent, Path.home()):
            assert str(place) not in text
        assert "`miniature`" in text


def test_a_card_that_is_there_is_left_alone_and_an_older_run_gets_its_cards(
    finished_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    mine, older = run / "fold_1" / "last" / "README.md", run / "fold_3" / "best"
    mine.write_text("my own words")
    for name in ("README.md", "confusion_matrix.png"):
        (older / name).unlink()
    load_adapter(older)  # a folder without a card is an adapter as it always was
    write_cards(run)
    assert mine.read_text() == "my own words"
    for name in ("README.md", "confusion_matrix.png"):
        assert (older / name).read_bytes() == (finished_run / "fold_3" / "best" / name).read_bytes()


def test_ids_of_the_hub_are_base_models(backbone: str, tmp_path: Path) -> None:
    model = build_model(backbone, 2, max_length=48, method="linear")
    for saved, base in (("MIT/ast", "MIT/ast"), ("ast-mini", None), ("data/x/backbone", None)):
        model.settings["backbone"] = saved
        model.save_adapter(tmp_path, labels=["a|b", "`c`"])
        card = card_text(tmp_path)
        assert header_of(card).get("base_model") == base
        assert ("--backbone" in card) is (saved == "data/x/backbone")
        assert "`a/b`, `'c'`" in card


def test_a_settings_file_that_was_edited_makes_a_card_all_the_same(backbone: str, tmp_path: Path) -> None:
    model = build_model(backbone, 2, max_length=48, method="linear")
    odd = {
        "data": {"root": 3, "train": "all"},
        "metrics": {"test_accuracy": "high"},
        "versions": [],
        "labels": 1,
    }
    model.save_adapter(tmp_path, **odd)
    assert "model-index" not in header_of(card_text(tmp_path))


def test_the_subset_is_named(miniature: Path, tmp_path: Path) -> None:
    options = [*training_options(miniature, tmp_path / "run"), "--data.subset=esc10", "--data.folds=[1]"]
    assert main(["train", *options, "--train.epochs=1"]) == 0
    card = (tmp_path / "run" / "fold_1" / "best" / "README.md").read_text()
    assert header_of(card)["model-index"][0]["name"] == "miniature-esc10-adapter-fold-1"
    assert "The mean over" not in card  # of one fold there is none


def test_what_else_was_done_in_training_is_told(miniature: Path, tmp_path: Path) -> None:
    options = [*training_options(miniature, tmp_path / "run"), "--data.folds=[1]", "--train.epochs=1"]
    options += ["--data.long_clips=crop", "--data.shots=2", "--train.class_weights=balanced"]
    options += ["--augment.frequency_mask=0", "--augment.time_mask=0"]
    assert main(["train", *options]) == 0
    card = (tmp_path / "run" / "fold_1" / "last" / "README.md").read_text()
    for part in ("a stretch drawn anew every epoch", "rare classes weigh more", "no more than 2 clips"):
        assert part in card
    assert "masks" not in card


@pytest.mark.parametrize(
    ("root", "name"),
    [
        ("/sounds/t.csv", "t"),
        ("/sounds/T.CSV", "T"),
        ("/sounds/v1.2", "v1.2"),
        ("..", "data"),
        (".", "data"),
        ("a/..", "data"),
        ("C:\\sounds\\birds", "birds"),
    ],
)
def test_the_data_set_is_called_after_its_place(root: str, name: str, backbone: str, tmp_path: Path) -> None:
    model = build_model(backbone, 2, max_length=48, method="linear")
    model.save_adapter(tmp_path, data={"root": root, "test": 1})
    card = card_text(tmp_path)
    assert f"# {name}-linear-fold-1\n" in card and f"- Data set: `{name}`\n" in card


def test_a_backbone_of_an_ids_form_that_lies_around_the_adapter_is_no_base_model(
    backbone: str, tmp_path: Path
) -> None:
    shutil.copytree(backbone, tmp_path / "models" / "ast")
    adapter = tmp_path / "outputs" / "adapter"
    model = build_model(backbone, 2, max_length=48, method="linear")
    model.settings["backbone"] = "models/ast"
    model.save_adapter(adapter)
    card = card_text(adapter)
    assert "base_model" not in header_of(card) and "--backbone" in card
    shutil.rmtree(tmp_path / "models")
    assert header_of(card_text(adapter))["base_model"] == "models/ast"
