"""What many tests share: a backbone in the hub's format, a small data set, and a finished run on it."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

GOLDEN = Path(__file__).parent / "data" / "golden"
REPOSITORY = Path(__file__).parent.parent
SAMPLING_RATE = 16000
CLASS_NAMES = ["low_tone", "noise", "high_tone"]  # in the order of their targets, which leave gaps
TARGETS = [2, 10, 41]

Rows = list[dict[str, str]]


@pytest.fixture
def golden() -> Path:
    """Records of the paper's reference code, and the tiny backbone they were made with."""
    return GOLDEN


@pytest.fixture
def backbone() -> str:
    """A tiny AST in the hub's format, old key names: d = 48, 3 layers, position table for 256 frames."""
    return str(GOLDEN / "backbone")


@pytest.fixture
def esc10_root() -> Path:
    """Real clips: the folder named by ESC10_ROOT, or a skip."""
    root = os.environ.get("ESC10_ROOT", "")
    if not root:
        pytest.skip("ESC10_ROOT is not set: no real clips here")
    return Path(root)


def write_miniature(root: Path, clips_per_fold: int = 2, folds: int = 5, seconds: float = 0.5) -> Rows:
    """Write a data set of three easy classes in ESC-50's layout; returns the csv's rows."""
    rng = np.random.default_rng(0)
    time = np.arange(int(seconds * SAMPLING_RATE)) / SAMPLING_RATE
    (root / "audio").mkdir(parents=True)
    rows = []
    for fold in range(1, folds + 1):
        for label, (target, name) in enumerate(zip(TARGETS, CLASS_NAMES, strict=True)):
            for take in range(clips_per_fold):
                frequency = rng.uniform(200, 400) * 10 ** (label / 2)
                noise = rng.standard_normal(len(time))
                wave = 0.2 * noise if name == "noise" else np.sin(2 * np.pi * frequency * time) + 0.01 * noise
                filename = f"{fold}-{100 * fold + take}-A-{target}.wav"
                soundfile.write(root / "audio" / filename, 0.5 * wave / np.abs(wave).max(), SAMPLING_RATE)
                rows.append({"filename": filename, "fold": str(fold), "target": str(target)})
                rows[-1] |= {"category": name, "esc10": str(label < 2), "src_file": "0", "take": "A"}
    write_rows(root, rows)
    return rows


def write_rows(root: Path, rows: Rows) -> None:
    """Write meta/esc50.csv."""
    (root / "meta").mkdir(exist_ok=True)
    with (root / "meta" / "esc50.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def miniature(tmp_path: Path) -> Path:
    """A data set of its own for one test: 3 classes, 5 folds, 2 clips each, half a second."""
    root = tmp_path / "miniature"
    write_miniature(root)
    return root


@pytest.fixture(scope="session")
def shared_miniature(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same data set for tests that do not change it."""
    root = tmp_path_factory.mktemp("shared") / "miniature"
    write_miniature(root)
    return root


Command = Callable[..., "subprocess.CompletedProcess[str]"]


def run_command(*arguments: object, cwd: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    """Run `petl-ast` with these arguments as a process of its own."""
    return run_python("-m", "petl_ast", *arguments, cwd=cwd)


def run_python(*arguments: object, cwd: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    """Run Python as a process of its own."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def training_options(data: Path, output: Path) -> list[str]:
    """Options of `petl-ast train` for a run of seconds on the miniature data set."""
    return [
        f"--data.root={data}",
        f"--data.cache={output.parent / 'cache'}",
        f"--output={output}",
        f"--model.backbone={GOLDEN / 'backbone'}",
        "--model.method_options={reduction_rate: 6, kernel_size: 8}",
        "--spectrogram.max_length=48",
        "--augment.frequency_mask=8",
        "--augment.time_mask=8",
        "--train.epochs=2",
        "--train.batch_size=8",
        "--train.device=cpu",
    ]


@pytest.fixture(scope="session")
def finished_run(shared_miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that the command line finished: five folds of two epochs. Not to be changed."""
    output = tmp_path_factory.mktemp("run") / "outputs" / "mini"
    done = run_command("train", *training_options(shared_miniature, output))
    assert done.returncode == 0, done.stderr
    return output
