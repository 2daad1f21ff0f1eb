"""What the benchmarks share: results say which command made them."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


def test_results_are_kept_with_the_command_that_was_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the results are called."""
    spec = importlib.util.spec_from_file_location("common", REPOSITORY / "benchmarks" / "common.py")
    assert spec is not None and spec.loader is not None
    common = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(common)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys, "argv", ["/somewhere/benchmarks/recordings.py", "detection", "--data", "my clips"]
    )
    common.keep("recordings_detection", {"events": 1})
    kept = json.loads((tmp_path / "outputs" / "benchmarks" / "recordings_detection.json").read_text())
    assert kept["command"] == "python -m benchmarks.recordings detection --data 'my clips'"
    assert kept["results"] == {"events": 1}
