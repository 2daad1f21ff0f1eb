"""Loggers that are quiet for a while."""

from __future__ import annotations

import logging

import pytest

from petl_ast.sharing.quiet import quiet


@pytest.mark.parametrize("name", ["", "torch.onnx"])
def test_a_logger_is_afterwards_as_it_was(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # then logging.warning gives it one
    logger = logging.getLogger(name)
    level, warn = logger.level, logger.warning if name else logging.warning
    with pytest.raises(ZeroDivisionError), quiet(name):
        warn("advice")
        raise ZeroDivisionError
    assert logger.level == level
    assert logging.getLogger().handlers == []
    assert "advice" not in capsys.readouterr().err
