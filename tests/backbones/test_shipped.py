"""The backbone that comes with the package: found by its name, wherever the package lies."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import ASTFeatureExtractor, ASTModel

from conftest import REPOSITORY
from petl_ast import build_model, load_adapter
from petl_ast.backbones import NAMES, shipped
from petl_ast.config import SpectrogramConfig
from petl_ast.models.backbone import load_backbone

MINI = shipped("ast-mini")
assert MINI is not None


def test_only_shipped_names_are_found() -> None:
    assert MINI.is_dir()
    assert [shipped(name) for name in ("./ast-mini", "AST-mini", "", "..")] == [None] * 4


@pytest.mark.parametrize("name", NAMES)
def test_it_is_whole_small_and_what_its_record_says(name: str) -> None:
    folder = shipped(name)
    assert folder is not None
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 6_000_000
    record = json.loads((folder / "pretraining.json").read_text())
    assert record["sha256"] == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert record["clips"] > 100_000
    with safe_open(folder / "model.safetensors", "pt") as file:
        assert {file.get_slice(key).get_dtype() for key in file.keys()} == {"F16"}  # noqa: SIM118
    assert (folder / "README.md").is_file()


def test_it_is_the_hubs_format() -> None:
    ours, theirs = load_backbone("ast-mini"), ASTModel.from_pretrained(MINI).eval()
    clips = torch.randn(1, 500, 128)
    with torch.no_grad():
        expected = theirs(clips).last_hidden_state
        torch.testing.assert_close(ours(clips).last_hidden_state, expected, atol=1e-4, rtol=1e-4)
    extractor, ours_too = ASTFeatureExtractor.from_pretrained(MINI), SpectrogramConfig()
    for name in ("sampling_rate", "num_mel_bins", "max_length", "mean", "std"):
        assert getattr(extractor, name) == getattr(ours_too, name), name


def test_an_adapter_on_it_names_it_and_loads_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_model("ast-mini", num_classes=3, max_length=200, method="linear")
    model.save_adapter(tmp_path / "adapter")
    assert (
        json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["model"]["backbone"]
        == "ast-mini"
    )
    monkeypatch.chdir(tmp_path)
    clips = torch.randn(2, 200, 128)
    with torch.no_grad():
        torch.testing.assert_close(load_adapter("adapter")(clips), model(clips))


def test_a_wheel_brings_it(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    shutil.copytree(REPOSITORY / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__"))
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(tmp_path),
        str(source),
    ]
    subprocess.run(command, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    code = (
        "import petl_ast, sys; assert petl_ast.__file__.startswith(sys.argv[1]), petl_ast.__file__; "
        "from petl_ast.models.backbone import load_backbone; "
        "print(load_backbone('ast-mini').config.hidden_size)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "installed")]
    environment = {"PYTHONPATH": str(tmp_path / "installed"), "PATH": ""}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "192"
