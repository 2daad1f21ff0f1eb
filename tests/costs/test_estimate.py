"""`petl-ast params --cost`, as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import ASTConfig

from petl_ast.cli import main
from petl_ast.costs import machines
from petl_ast.models.backbone import random_backbone
from petl_ast.models.method import method_names


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure for a moment only."""
    monkeypatch.setattr(machines, "COPIED", 2**20)
    monkeypatch.setattr(machines, "SECONDS", 0.0)


@pytest.fixture
def options(backbone: str, tmp_path: Path) -> list[str]:
    return [
        *("params", "--cost", "--model.backbone", backbone, "--spectrogram.max_length=128"),
        *("--model.method=linear", "--train.device=cpu", f"--data.root={tmp_path}"),
    ]


def test_measured_rates_are_rates(backbone: str) -> None:
    found = machines.measure(random_backbone(backbone).config, "cpu")
    assert [machine.precision for machine in found] == ["fp32", "bf16"]
    for machine in found:
        assert min(machine.products, machine.attention, machine.bandwidth) > 1e6


def test_json_holds_every_machine_and_part(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*options, "--json", "--train.epochs=10"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["run"]["training"] == 60_000
    (cost,) = found["methods"].values()
    assert cost["flops_per_clip"]["training"] >= cost["flops_per_clip"]["evaluation"] > 1e6
    assert cost["bytes"]["adapter"] < cost["bytes"]["parameters"] < cost["bytes"]["memory"]
    machines_of = [(row["machine"], row["precision"]) for row in cost["seconds"]]
    assert machines_of == [(m["name"], m["precision"]) for m in found["machines"]]
    assert {name for name, _ in machines_of} == {"this machine", "T4", "A100", "H100", "H200"}
    for row in cost["seconds"]:
        run = 60_000 * row["training_per_clip"] + found["run"]["evaluation"] * row["evaluation_per_clip"]
        assert row["run"] == pytest.approx(run)


def test_the_table_tells_what_it_assumes(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(options) == 0
    printed = capsys.readouterr().out
    for text in ("linear", "this machine", "T4", "tf32", "H200", "no data set in", "60% are assumed"):
        assert text in printed


def test_all_methods_side_by_side(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shape = {"hidden_size": 192, "num_attention_heads": 3, "num_hidden_layers": 1, "max_length": 128}
    ASTConfig(**shape).save_pretrained(tmp_path / "shape")  # wide enough for every method's defaults
    no_masks = ["--augment.frequency_mask=0", "--augment.time_mask=0"]
    assert main([*options, "--all_methods", f"--model.backbone={tmp_path / 'shape'}", *no_masks]) == 0
    printed = capsys.readouterr().out
    for name in method_names():
        assert printed.count(name) >= 2  # a row of costs and one of times
    assert "features" in printed


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_a_users_mistake(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*options, "--train.device=cuda"]) == 2
    assert "'cuda', but this machine offers" in capsys.readouterr().err
