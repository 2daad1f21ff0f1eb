"""SIGKILL at random moments of a whole small cross-validation: nothing is lost, nothing is different."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from reliability.kills import kill_again_and_again

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and a fork server")


def test_killed_runs_end_as_the_one_left_in_peace(small_run: list[str], tmp_path: Path) -> None:
    found = kill_again_and_again(tmp_path, small_run, kills=15, seed=1, longest=0.6)
    assert found.failures == []
    assert found.different == []
    assert found.corrupt == []
    assert found.kills >= 15
    assert found.runs >= 1
    assert found.gone_on >= 3  # else runs were merely begun again, which ends in the same bits
