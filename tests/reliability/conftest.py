"""The small cross-validation that these tests disturb."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import training_options


@pytest.fixture
def small_run(shared_miniature: Path, tmp_path: Path) -> list[str]:
    """Options of a run with dropout and several steps an epoch, but for output and cache."""
    options = training_options(shared_miniature, tmp_path / "unused")
    return [
        *(option for option in options if not option.startswith(("--output", "--data.cache"))),
        "--model.method_options={reduction_rate: 6, kernel_size: 8, dropout: 0.2}",
    ]
