"""Pre-training as a user meets it: the command, its folder, stops and kills, and what is left of them."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean

import pytest
import torch
from transformers import ASTFeatureExtractor, ASTModel

from conftest import REPOSITORY
from petl_ast.cli import main
from petl_ast.config import SpectrogramConfig
from petl_ast.errors import UserError
from petl_ast.models.backbone import load_backbone
from petl_ast.pretraining import run
from petl_ast.pretraining.batches import ProceduralBatches
from petl_ast.pretraining.config import PretrainConfig

Capture = pytest.CaptureFixture[str]
STEPS = 6


def options(output: Path) -> list[str]:
    shape = "{hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 32}"
    return [
        "pretrain",
        f"--output={output}",
        f"--clips={4 * STEPS}",
        "--batch_size=4",
        "--workers=1",
        "--spectrogram.max_length=256",
        f"--shape={shape}",
        "--objective.kept_patches=20",
        "--checkpoint_steps=1",
    ]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("pretrain") / "run"
    assert main(options(output)) == 0
    return output


def test_the_backbone_loads_here_and_in_transformers(finished: Path) -> None:
    folder = finished / "backbone"
    ours = load_backbone(folder)
    theirs = ASTModel.from_pretrained(folder).eval()
    clips = torch.randn(2, 256, 128)
    with torch.no_grad():
        hidden = ours(clips).last_hidden_state
        torch.testing.assert_close(theirs(clips).last_hidden_state, hidden, atol=1e-5, rtol=1e-4)
    assert ours.config.max_length == 256
    assert hidden.std() > 0.1
    assert ASTFeatureExtractor.from_pretrained(folder).max_length == 256


def test_the_record_tells_how_it_was_made(finished: Path) -> None:
    record = json.loads((finished / "backbone" / "pretraining.json").read_text())
    weights = (finished / "backbone" / "model.safetensors").read_bytes()
    assert record["sha256"] == hashlib.sha256(weights).hexdigest()
    assert record["clips"] == 4 * STEPS
    assert record["config"]["objective"]["kept_patches"] == 20
    assert record["machines"][0]["versions"]["torch"] == torch.__version__
    assert (finished / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_finished_run_is_told_as_one(finished: Path, capsys: Capture) -> None:
    before = (finished / "backbone" / "model.safetensors").stat().st_mtime_ns
    assert main(options(finished)) == 0
    told = capsys.readouterr()
    assert "Finished already" in told.err
    assert told.out.strip() == str(finished / "backbone")
    assert (finished / "backbone" / "model.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_goes_on_to_the_same_bytes(finished: Path, tmp_path: Path, how: int) -> None:
    output = tmp_path / "run"
    command = [sys.executable, "-m", "petl_ast", *options(output)]
    checkpoint = output / "checkpoint.safetensors"
    process = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background ignores it
    )
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(how)
    _, told = process.communicate(timeout=60)
    assert process.returncode in (-how, 128 + how), told
    assert "Traceback" not in told
    assert checkpoint.exists()
    assert not (output / "backbone").exists()
    again = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=True)
    assert "Going on behind step" in again.stderr
    for name in ("metrics.csv", "backbone/model.safetensors"):
        assert (output / name).read_bytes() == (finished / name).read_bytes(), name
    assert len(json.loads((output / "environment.json").read_text())) == 2


def test_training_learns(tmp_path: Path) -> None:
    """Not to the bit what it did once, but each loss ends lower than it was."""
    more = [o for o in options(tmp_path / "run") if not o.startswith(("--clips", "--workers"))]
    assert main([*more, "--clips=800", "--learning_rate=0.005", "--workers=2"]) == 0
    with (tmp_path / "run" / "metrics.csv").open() as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert len(rows) == 100
    for name in ("family", "parameters", "statistics"):
        assert mean(row[name] for row in rows[-25:]) < mean(row[name] for row in rows[:25]), name


def test_the_rate_rises_and_falls_to_nothing() -> None:
    config = PretrainConfig(clips=3200, batch_size=32, warmup=0.1)
    factors = [run._schedule(step, config) for step in range(1, 101)]
    assert factors[9] == max(factors) == 1
    assert factors[:10] == sorted(factors[:10])
    assert factors[9:] == sorted(factors[9:], reverse=True)
    assert 0 < factors[-1] < 0.001


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--batch_size=8"], "another batch_size"),
        (["--resume=false"], "--overwrite"),
        (["--spectrogram.max_length=100"], "at least 256 frames"),
        (["--spectrogram.num_mel_bins=100"], "num_mel_bins"),
        (["--shape.num_attention_heads=5"], "shape.num_attention_heads"),
        (["--precision=fp16"], "precision"),
        (["--spectrogram.sampling_rate=8000"], "spectrogram.sampling_rate is 8000"),
    ],
)
def test_what_cannot_be_done_is_said(finished: Path, capsys: Capture, more: list[str], says: str) -> None:
    assert main([*options(finished), *more]) == 2
    told = capsys.readouterr().err
    assert says in told
    assert "Traceback" not in told
    assert (finished / "backbone" / "model.safetensors").is_file()


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    assert main([*options(tmp_path), "--overwrite=true"]) == 2
    assert "holds other things" in capsys.readouterr().err
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_a_run_of_training_is_left_alone(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "config.yaml").write_text("model: {backbone: ast-mini}\n")
    (tmp_path / "metrics.csv").write_text("mine")
    assert main([*options(tmp_path), "--overwrite=true"]) == 2
    assert "holds other things" in capsys.readouterr().err
    assert (tmp_path / "metrics.csv").read_text() == "mine"


def test_a_dead_worker_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("petl_ast.pretraining.batches.clip", lambda *_, **__: os._exit(9))
    batches = ProceduralBatches(0, 2, SpectrogramConfig(max_length=256))
    with pytest.raises(UserError, match="use fewer: --workers 1"):
        next(iter(batches.stream(0, 2, 1)))


def test_a_damaged_checkpoint_is_named(tmp_path: Path, capsys: Capture) -> None:
    config = [o for o in options(tmp_path / "run") if not o.startswith("--clips")]
    assert main([*config, "--clips=8"]) == 0
    (tmp_path / "run" / "backbone" / "model.safetensors").unlink()
    checkpoint = tmp_path / "run" / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[: os.path.getsize(checkpoint) // 2])
    assert main([*config, "--clips=8"]) == 2
    assert str(checkpoint) in capsys.readouterr().err
