"""A fold stopped at any batch goes on to the same bits; files that are none are refused with their name."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from conftest import training_options
from petl_ast.cli import main
from petl_ast.models.ast_with_adapter import ASTWithAdapter
from petl_ast.utils import cross_validation
from petl_ast.utils.checkpoint import Cadence

Capture = pytest.CaptureFixture[str]

EPOCHS, STEPS, VALIDATION, TEST = 2, 3, 1, 1  # of a fold of the small run
BATCHES = EPOCHS * (STEPS + VALIDATION) + 2 * TEST
COMPARED = ("metrics.csv", "predictions.csv", *(f"{k}/adapter_model.safetensors" for k in ("last", "best")))

CONFORMER = "--model.method_options={reduction_rate: 6, kernel_size: 8, dropout: 0.3}"
METHODS = {
    "conformer": [CONFORMER],
    "in micro-batches": [CONFORMER, "--train.micro_batch_size=3"],
    "checkpointing": [CONFORMER, "--train.gradient_checkpointing=true"],
    "bf16": [CONFORMER, "--train.precision=bf16"],
    "full_ft": ["--model.method=full_ft"],
    "dense_moa": ["--model.method=dense_moa", "--model.method_options={reduction_rate: 12}"],
    "lora": ["--model.method=lora", "--model.method_options={reduction_rate: 12}"],
    "soft_moa": ["--model.method=soft_moa", "--model.method_options={reduction_rate: 12}"],
    "probe": ["--model.method=linear", "--augment={frequency_mask: 0, time_mask: 0}"],
}


def options(data: Path, output: Path, method: str) -> list[str]:
    plain = [o for o in training_options(data, output) if "method_options" not in o]
    return ["train", *plain, "--data.folds=[2]", *METHODS[method]]


def stop_behind(batch: int, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Send this process a signal when so many batches are done."""
    seen = 0
    advance = cross_validation._FoldProgress.on_batch

    def count(self: cross_validation._FoldProgress) -> None:
        nonlocal seen
        seen += 1
        advance(self)
        if seen == batch:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(cross_validation._FoldProgress, "on_batch", count)


def kept(output: Path) -> dict[str, bytes]:
    return {name: (output / "fold_2" / name).read_bytes() for name in COMPARED}


@pytest.fixture(autouse=True, scope="module")
def no_pictures() -> Iterator[None]:
    """They take longer than these runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cross_validation, "_draw", lambda output, dataset: None)
        yield


@pytest.fixture(scope="module")
def in_peace(shared_miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """What each method leaves when nothing disturbs it."""
    found = {}
    for method in METHODS:
        output = tmp_path_factory.mktemp("peace") / method
        assert main(options(shared_miniature, output, method)) == 0
        found[method] = kept(output)
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(
    ("method", "batch"),
    [("conformer", batch) for batch in range(1, BATCHES + 1)]
    + [(method, batch) for method in METHODS for batch in (6,) if method != "conformer"],
)
def test_stopped_behind_any_batch_it_goes_on_to_the_same_bits(
    method: str,
    batch: int,
    in_peace: dict[str, dict[str, bytes]],
    shared_miniature: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    output = tmp_path / "run"
    arguments = options(shared_miniature, output, method)
    with monkeypatch.context() as patch:
        stop_behind(batch, patch, signal.SIGTERM)
        assert main(arguments) == 128 + signal.SIGTERM
    said = capsys.readouterr().err
    assert "SIGTERM in fold 2" in said
    assert f"petl-ast train --resume {output}" in said
    assert (output / "fold_2" / "checkpoint.safetensors").is_file()
    assert main(arguments) == 0
    steps = min(batch, BATCHES - 2 * TEST)  # an evaluation is begun again
    steps -= steps in (STEPS + VALIDATION, EPOCHS * (STEPS + VALIDATION)) and batch <= BATCHES - 2 * TEST
    assert f"goes on behind batch {steps} of {BATCHES}" in capsys.readouterr().err
    assert kept(output) == in_peace[method]
    assert not (output / "fold_2" / "checkpoint.safetensors").exists()


@pytest.fixture
def stopped(shared_miniature: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was stopped in its second epoch."""
    output = tmp_path / "run"
    with monkeypatch.context() as patch:
        stop_behind(6, patch, signal.SIGTERM)
        assert main(options(shared_miniature, output, "conformer")) == 128 + signal.SIGTERM
    return output


def test_a_run_goes_on_by_its_folder_alone(
    stopped: Path, in_peace: dict[str, dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moved to another place, and started from another one."""
    moved = tmp_path / "moved"
    stopped.rename(moved)
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--resume", "moved"]) == 0
    assert kept(moved) == in_peace["conformer"]
    assert not stopped.exists()


def test_another_kind_of_device_goes_on_too(stopped: Path, shared_miniature: Path) -> None:
    """As on a rented machine that has lost its GPU; the state of its generator means nothing here."""
    path = stopped / "fold_2" / "checkpoint.safetensors"
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    values = {**json.loads(metadata["values"]), "device": "cuda"}
    tensors = load_file(path)
    tensors |= {"random/draws": torch.zeros(16, dtype=torch.uint8)}
    tensors |= {"random/device": torch.zeros(16, dtype=torch.uint8)}
    save_file(tensors, path, {**metadata, "values": json.dumps(values)})
    assert main(options(shared_miniature, stopped, "conformer")) == 0
    assert len((stopped / "fold_2" / "metrics.csv").read_text().splitlines()) == 1 + EPOCHS


def test_memory_that_ran_out_in_one_fold_says_nothing_of_the_next(
    shared_miniature: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that goes on with the second fold alone must do what the one that did the first would."""
    forward = ASTWithAdapter.forward

    def short_of_memory(self: ASTWithAdapter, x: torch.Tensor) -> torch.Tensor:
        if len(x) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
        return forward(self, x)

    monkeypatch.setattr(ASTWithAdapter, "forward", short_of_memory)
    both, parts = tmp_path / "both", tmp_path / "parts"
    arguments = [*options(shared_miniature, both, "conformer"), "--data.folds=[1,2]"]
    assert main(arguments) == 0
    shutil.copytree(both, parts)
    shutil.rmtree(parts / "fold_2")
    assert main(["train", "--resume", str(parts)]) == 0
    assert kept(parts) == kept(both)


def test_a_damaged_checkpoint_is_named_and_can_be_deleted(
    stopped: Path, in_peace: dict[str, dict[str, bytes]], shared_miniature: Path, capsys: Capture
) -> None:
    path = stopped / "fold_2" / "checkpoint.safetensors"
    whole = path.read_bytes()
    tensors = load_file(path)
    del tensors["model/classification_head.bias"]
    damages = [b"", whole[: len(whole) // 2], b"{" + whole, whole[:100] + b"?" * 50 + whole[150:]]
    for damage in damages:
        path.write_bytes(damage)
        capsys.readouterr()
        assert main(options(shared_miniature, stopped, "conformer")) == 2
        said = capsys.readouterr().err
        assert str(path) in said and "Delete it" in said and "Traceback" not in said
    save_file(tensors, path)
    assert main(options(shared_miniature, stopped, "conformer")) == 2
    assert str(path) in capsys.readouterr().err
    save_file(tensors, path, {"format": "1", "values": "{}"})
    assert main(options(shared_miniature, stopped, "conformer")) == 2
    assert "classification_head.bias" in capsys.readouterr().err
    path.unlink()
    assert main(options(shared_miniature, stopped, "conformer")) == 0
    assert kept(stopped) == in_peace["conformer"]


def test_a_checkpoint_of_another_fold_is_no_bomb(
    stopped: Path, shared_miniature: Path, capsys: Capture
) -> None:
    """A file with other shapes is refused before it is used."""
    path = stopped / "fold_2" / "checkpoint.safetensors"
    tensors = load_file(path)
    name = next(n for n in tensors if n.endswith("exp_avg_sq"))
    tensors[name] = tensors[name].flatten()[:1]
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    save_file(tensors, path, metadata)
    assert main(options(shared_miniature, stopped, "conformer")) == 2
    assert "exp_avg_sq" in capsys.readouterr().err


def test_saving_by_steps_or_by_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    every_third = Cadence(3)
    assert [step for step in range(1, 10) if every_third.due(step)] == [3, 6, 9]
    clock = [0.0]
    monkeypatch.setattr("petl_ast.utils.checkpoint.time.monotonic", lambda: clock[0])

    class SlowToSave:
        def save(self, path: Path) -> None:
            clock[0] += 0.5

    by_cost = Cadence(None)
    assert by_cost.due(1)
    by_cost.save(SlowToSave(), Path("unused"))  # type: ignore[arg-type]
    clock[0] += 49.0
    assert not by_cost.due(2)
    clock[0] += 1.5
    assert by_cost.due(3)


def test_a_copy_of_a_run_goes_on_by_itself(stopped: Path, shared_miniature: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(stopped, tmp_path / "copy"))
    assert main(["train", "--resume", str(copy)]) == 0
    assert main(options(shared_miniature, stopped, "conformer")) == 0
    assert kept(copy) == kept(stopped)


def long_clips(data: Path, output: Path, frames: int = 20, how: str = "crop") -> list[str]:
    """Spectrograms of 20 frames, of clips that have 48."""
    extra = [f"--spectrogram.max_length={frames}", f"--data.long_clips={how}"]
    return [*options(data, output, "conformer"), *extra]


def test_long_clips_go_on_with_the_same_stretches(
    shared_miniature: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    peace = tmp_path / "peace"
    assert main(long_clips(shared_miniature, peace)) == 0
    for batch in (2, STEPS, STEPS + 2, STEPS + 5):  # in training, behind it, in validation, in the next epoch
        output = tmp_path / str(batch)
        with monkeypatch.context() as patch:
            stop_behind(batch, patch, signal.SIGTERM)
            assert main(long_clips(shared_miniature, output)) == 128 + signal.SIGTERM
        assert main(long_clips(shared_miniature, output)) == 0
        assert kept(output) == kept(peace)
    assert main(long_clips(shared_miniature, tmp_path / "cut", how="cut")) == 0
    assert kept(tmp_path / "cut") != kept(peace)

    capsys.readouterr()
    assert main(["evaluate", str(peace / "fold_2" / "last"), "--json", f"--cache={tmp_path / 'cache'}"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["accuracy"] == found["reported"]
    assert found["clips"] == 6
    result = json.loads((peace / "fold_2" / "result.json").read_text())
    assert found["loss"] == pytest.approx(result["last"]["test_loss"], rel=1e-6)


def test_clips_that_fit_train_to_the_same_bits_whatever_is_done_with_long_ones(
    shared_miniature: Path, tmp_path: Path
) -> None:
    for how in ("cut", "crop"):
        assert main(long_clips(shared_miniature, tmp_path / how, 48, how)) == 0
    assert kept(tmp_path / "cut") == kept(tmp_path / "crop")
