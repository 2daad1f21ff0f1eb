"""Writes that the operating system refuses: one clear message, and the run goes on afterwards."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from reliability.refusals import refuse_one_after_the_other

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a fork server")


def test_a_refused_write_is_told_and_nothing_is_lost(small_run: list[str], tmp_path: Path) -> None:
    """A sample of all writes, here; `make soak` goes through every one of them."""
    options = [*small_run, "--data.folds=[2]", "--train.checkpoint_steps=1"]
    found = refuse_one_after_the_other(tmp_path, options, range(1, 10_000, 13))
    assert found.unclear == []
    assert found.different == []
    assert found.corrupt == []
    assert found.refused >= 8
    assert found.told >= 5
