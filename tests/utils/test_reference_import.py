"""Adapter folders out of the reference code's state dicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from petl_ast import load_adapter
from petl_ast.cli import main

OPTIONS = [
    "--model.method_options={reduction_rate: 6}",
    "--model.position_embeddings=zeros",
    "--spectrogram.max_length=128",
]


@pytest.fixture
def saved(golden: Path, tmp_path: Path) -> Path:
    """The golden record's final weights as the reference code would have saved them."""
    with np.load(golden / "adapter_conformer_pfeiffer_parallel.npz") as record:
        state = {
            name.removeprefix("final/"): torch.from_numpy(np.array(record[name]))
            for name in record.files
            if name.startswith("final/")
        }
    torch.save(state, tmp_path / "best.pth")
    return tmp_path / "best.pth"


def test_an_imported_adapter_gives_the_references_logits(
    saved: Path, backbone: str, golden: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "imported"
    arguments = ["import-reference", str(saved), str(folder), f"--model.backbone={backbone}", *OPTIONS]
    assert main([*arguments, "--labels=[dog, rain, sea, baby, clock]"]) == 0
    model = load_adapter(folder)
    assert model.metadata["labels"] == ["dog", "rain", "sea", "baby", "clock"]
    with (
        np.load(golden / "batches.npz") as batches,
        np.load(golden / "adapter_conformer_pfeiffer_parallel.npz") as record,
        torch.no_grad(),
    ):
        logits = model(torch.from_numpy(batches["x_eval"])).numpy()
        assert np.abs(logits - record["eval_logits_final"]).max() <= 1e-6
    assert main(arguments) == 0
    assert load_adapter(folder).metadata["labels"][4] == "class 4"


class Payload:
    """Would write a file if it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.write_text, (self.path, "run")


@pytest.mark.parametrize("wrong", ["code", "text", "list", "no_head", "labels", "missing", "option"])
def test_wrong_files_are_told_and_never_run(
    saved: Path, backbone: str, tmp_path: Path, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    more, named = [], "best.pth"
    if wrong == "code":
        torch.save({"classification_head.weight": Payload(tmp_path / "evidence")}, saved)
    elif wrong == "text":
        saved.write_text("no torch file")
    elif wrong == "list":
        torch.save([torch.zeros(1)], saved)
    elif wrong == "no_head":
        torch.save({"model.layernorm.weight": torch.zeros(48)}, saved)
    elif wrong == "labels":
        more, named = ["--labels=[one, two]"], "5 classes"
    elif wrong == "missing":
        saved.unlink()
    else:
        more, named = ["--model.method=linear", "--model.method_options={}"], "adapter_module_FFN"
    arguments = ["import-reference", str(saved), str(tmp_path / "imported"), f"--model.backbone={backbone}"]
    assert main([*arguments, *OPTIONS, *more]) == 2
    assert named in capsys.readouterr().err
    assert not (tmp_path / "evidence").exists()
    assert not (tmp_path / "imported").exists()
