"""Writes that the operating system refuses: one clear message, and the run goes on afterwards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from reliability.processes import finish, what_a_run_left, what_differs
from reliability.refusals import refuse_one_after_the_other

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a fork server")


def test_a_disk_that_is_full_in_the_middle_of_a_file(small_run: list[str], tmp_path: Path) -> None:
    """By the operating system itself, which also refuses what safetensors writes from within."""
    import resource

    options = [*small_run, "--data.folds=[2]", f"--data.cache={tmp_path / 'cache'}"]
    finish(["train", *options, f"--output={tmp_path / 'whole'}"], tmp_path / "log")
    done = subprocess.run(
        [sys.executable, "-m", "petl_ast", "train", *options, f"--output={tmp_path / 'cut'}"],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "Cannot write" in done.stderr
    assert "checkpoint.safetensors" in done.stderr
    finish(["train", *options, f"--output={tmp_path / 'cut'}"], tmp_path / "log")
    assert what_differs(what_a_run_left(tmp_path / "whole"), tmp_path / "cut") == []


def test_a_refused_write_is_told_and_nothing_is_lost(small_run: list[str], tmp_path: Path) -> None:
    """A sample of all writes, here; `make soak` goes through every one of them."""
    options = [*small_run, "--data.folds=[2]", "--train.checkpoint_steps=1"]
    found = refuse_one_after_the_other(tmp_path, options, range(1, 10_000, 13))
    assert found.unclear == []
    assert found.different == []
    assert found.corrupt == []
    assert found.refused >= 8
    assert found.told >= 5
