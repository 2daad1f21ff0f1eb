"""Every shipped YAML file: it parses, its method takes its options, the paper's values stay locked."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import ASTConfig, ASTModel

from conftest import REPOSITORY
from petl_ast import build_model
from petl_ast.cli import main
from petl_ast.config import RunConfig, load_run_config
from petl_ast.models.adapter import AdapterOptions

CONFIGS = sorted(
    path for path in (REPOSITORY / "configs").glob("*.yaml") if path.name != "pretrain_synthetic.yaml"
)  # of training; tests/pretraining looks after the other
PAPER = REPOSITORY / "configs" / "esc50_conformer.yaml"

# The protocol, value by value. A change here is a change of what is reproduced.
LOCKED = {
    "output": "outputs/esc50_conformer",
    "data": {
        "root": "data/ESC-50",
        "format": "esc50",
        "subset": "all",
        "number_of_folds": 5,
        "split_seed": 0,
        "fit_length": False,
        "long_clips": "cut",
        "shots": None,
        "shots_order": "random",
        "shots_seed": 0,
        "folds": [5, 1, 2, 3, 4],
        "cache": "data/cache",
        "on_error": "stop",
    },
    "spectrogram": {
        "sampling_rate": 16000,
        "num_mel_bins": 128,
        "max_length": 500,
        "mean": -4.2677393,
        "std": 4.5689974,
    },
    "augment": {"frequency_mask": 24, "time_mask": 80},
    "model": {
        "backbone": "MIT/ast-finetuned-audioset-10-10-0.4593",
        "method": "adapter",
        "method_options": {
            "block": "conformer",
            "placement": "pfeiffer",
            "insertion": "parallel",
            "reduction_rate": 96,
            "kernel_size": 8,
            "residual": False,
            "dropout": 0.0,
        },
        "position_embeddings": "zeros",
        "pooling": "mean",
    },
    "train": {
        "epochs": 50,
        "batch_size": 32,
        "learning_rate": 0.005,
        "betas": (0.9, 0.98),
        "eps": 1e-6,
        "weight_decay": 0.1,
        "class_weights": "none",
        "seed": 10,
        "device": "auto",
        "precision": "fp32",
        "compile": False,
        "micro_batch_size": None,
        "gradient_checkpointing": False,
        "checkpoint_steps": None,
        "on_nonfinite": "stop",
        "tensorboard": False,
    },
}
# Method, its options and learning rate, as the papers and docs/methods.md have them.
METHODS = {
    "bitfit": ("bitfit", {}, 5e-3),
    "bottleneck": ("adapter", {"block": "bottleneck", "reduction_rate": 96}, 5e-3),
    "dense_moa": ("dense_moa", {"reduction_rate": 128, "num_experts": 4, "location": "ffn"}, 5e-3),
    "dora": ("peft", {"r": 12, "lora_alpha": 12, "use_dora": True}, 5e-3),
    "full_ft": ("full_ft", {}, 5e-5),
    "linear": ("linear", {}, 1e-3),
    "lora": ("lora", {"reduction_rate": 64, "alpha": 8}, 5e-3),
    "prefix_tuning": ("prefix_tuning", {"num_tokens": 24}, 1e-2),
    "prompt_tuning": ("prompt_tuning", {"num_tokens": 25, "deep": True}, 1e-2),
    "soft_moa": (
        "soft_moa",
        {"reduction_rate": 128, "num_experts": 4, "num_slots": 1, "location": "ffn"},
        5e-3,
    ),
}


def leaves(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one: {"train.epochs": 50, ...}."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        inside = isinstance(value, dict) and value
        flat |= leaves(value, f"{prefix}{key}.") if inside else {prefix + key: value}
    return flat


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_file_is_a_configuration(path: Path) -> None:
    config = load_run_config(path)
    given = yaml.safe_load(path.read_text())
    resolved = leaves(dataclasses.asdict(config))
    for key, value in leaves(given).items():
        assert resolved[key] == (tuple(value) if key == "train.betas" else value)
    assert config.output == f"outputs/{path.stem}"  # two configurations never write to one folder


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_method_takes_its_options(path: Path) -> None:
    """On one layer of the real size, which is all that an option depends on."""
    config = load_run_config(path)
    tiny = "synthetic" in config.model.backbone
    shape = {"hidden_size": 96, "num_attention_heads": 4} if tiny else {}
    ast = ASTModel(ASTConfig(num_hidden_layers=1, **shape))
    values = {**vars(config.model), "backbone": ast}
    model = build_model(num_classes=10, max_length=config.spectrogram.max_length, **values)
    for name, value in config.model.method_options.items():
        assert model.settings["method_options"][name] == value
    assert model.parameter_counts()["trainable"] > 0


def test_the_papers_values_are_locked() -> None:
    config = dataclasses.asdict(load_run_config(PAPER))
    assert config.pop("overwrite") is False
    assert config.pop("resume") == "auto"
    assert config == LOCKED


def test_the_papers_file_spells_every_option_out() -> None:
    expected = leaves(dataclasses.asdict(RunConfig()))
    for name in ("overwrite", "resume", "model.method_options"):
        del expected[name]
    options = {f"model.method_options.{field.name}" for field in dataclasses.fields(AdapterOptions)}
    assert set(leaves(yaml.safe_load(PAPER.read_text()))) == set(expected) | options


def unsourced(text: str) -> tuple[int, list[str]]:
    """How many values a file gives, and the keys of those that no [source] stands beside or right above."""
    number, without, above = 0, [], ""
    for line in text.splitlines():
        content, _, comment = line.partition("#")
        if not content.strip():
            above = f"{above} {comment}" if comment else ""
            continue
        key, _, value = content.partition(":")
        if value.strip():
            number += 1
            if not re.search(r"\[(paper|code|plan)\]", above + comment):
                without.append(key.strip())
        above = ""
    return number, without


def test_every_value_of_the_paper_has_its_source() -> None:
    text = PAPER.read_text()
    number, without = unsourced(text)
    assert number == len(leaves(yaml.safe_load(text)))
    assert without == []


def test_the_search_for_sources_sees_a_missing_one() -> None:
    text = "a:\n  b: 1  # [paper]\n  c: 2  # because\n  # [code] as it is\n  # there\n  d: 3\n  e: 4\n"
    assert unsourced(text) == (4, ["c", "e"])


@pytest.mark.parametrize("name", METHODS)
def test_the_other_methods_values(name: str) -> None:
    """What they do not name is as in the paper's file, but for the position embeddings."""
    method, options, learning_rate = METHODS[name]
    config = dataclasses.asdict(load_run_config(REPOSITORY / "configs" / f"esc50_{name}.yaml"))
    assert config["model"]["method"] == method
    assert config["model"]["method_options"] == options
    assert config["train"]["learning_rate"] == learning_rate
    assert config["model"]["position_embeddings"] == "crop"
    for section in ("spectrogram", "augment"):
        assert config[section] == LOCKED[section]
    for key in ("epochs", "batch_size", "betas", "eps", "weight_decay", "seed"):
        assert config["train"][key] == LOCKED["train"][key]


def test_every_method_has_a_file() -> None:
    assert {path.stem.removeprefix("esc50_") for path in CONFIGS} == {
        *METHODS,
        *("conformer", "demo", "esc10_tiny", "esc10_ast_mini"),
    }


@pytest.mark.parametrize("name", METHODS)
def test_a_methods_file_can_be_laid_over_the_papers(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    over = str(REPOSITORY / "configs" / f"esc50_{name}.yaml")
    with pytest.raises(SystemExit) as stop:
        main(["train", "--config", str(PAPER), "--config", over, "--print_config"])
    assert stop.value.code == 0
    config = yaml.safe_load(capsys.readouterr().out)
    method, options, learning_rate = METHODS[name]
    assert config["model"]["method"] == method
    assert config["model"]["method_options"] == options
    assert config["train"]["learning_rate"] == learning_rate
    assert config["model"]["position_embeddings"] == "zeros"


def test_what_needs_no_download_needs_none() -> None:
    demo, mini, tiny = (
        load_run_config(REPOSITORY / "configs" / f"{name}.yaml")
        for name in ("demo", "esc10_ast_mini", "esc10_tiny")
    )
    assert demo.model.backbone == mini.model.backbone == "ast-mini"
    assert tiny.model.backbone == "data/synthetic/backbone"
    assert demo.data.root == "data/synthetic"
    assert tiny.data.subset == mini.data.subset == "esc10"
