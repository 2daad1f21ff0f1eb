"""A short run of the fuzzers; `python -m tests.fuzz.driver` makes a long one."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from petl_ast.errors import UserError
from tests.fuzz.driver import BYTES, FAILED, RIGHT, judge, run
from tests.fuzz.readers import NAMES

INPUTS, LEAST = 250, 50


@pytest.mark.skipif(sys.platform != "linux", reason="memory is watched through /proc")
def test_spoilt_inputs_end_in_a_clean_error_or_a_right_answer(tmp_path: Path) -> None:
    result = run(dict.fromkeys(NAMES, INPUTS), seed=10, workers=2, kept=tmp_path / "failures", seconds=50)
    assert result.failures == []
    for name, counts in result.counts.items():
        assert counts.total() >= LEAST, name
        assert counts[RIGHT], name


class Bad:
    """A reader that does what no reader may do."""

    def make(self, rng: random.Random, case: Path) -> None:
        (case / "input").write_text("spoilt")

    def judge(self, rng: random.Random, case: Path) -> None:
        kind = rng.choice(("crash", "memory", "wrong", "asks"))
        if kind == "crash":
            raise KeyError("a bug")
        if kind == "memory":
            assert b"x" * (BYTES + 2**26)
            return
        if kind == "asks":
            raise UserError("DefaultCPUAllocator: can't allocate memory")
        raise AssertionError("a wrong answer")


@pytest.mark.skipif(sys.platform != "linux", reason="memory is watched through /proc")
def test_the_driver_sees_failures_and_keeps_their_inputs(tmp_path: Path) -> None:
    details = []
    for index in range(12):
        outcome, detail = judge(Bad(), "bad", 1, index, tmp_path)
        assert outcome == FAILED
        assert (tmp_path / f"bad-1-{index}" / "input").read_text() == "spoilt"
        details.append(detail)
    text = "\n".join(details)
    for word in ("KeyError: 'a bug'", "memory: ", "a wrong answer", "allocate"):
        assert word in text
