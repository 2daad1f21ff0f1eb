"""Devices, precision and the record of what was used."""

from __future__ import annotations

import pytest
import torch

from petl_ast.errors import UserError
from petl_ast.utils.environment import describe, make_accelerator


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="'cuda', but this machine offers: cpu"):
        make_accelerator("cuda")


def test_fp16_needs_a_gpu_and_bf16_does_not() -> None:
    with pytest.raises(UserError, match="fp16 needs a GPU"):
        make_accelerator("cpu", "fp16")
    with make_accelerator("cpu", "bf16").autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


def test_several_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="one process"):
        make_accelerator("cpu")


def test_record_names_seed_device_and_versions() -> None:
    record = describe(7, torch.device("cpu"))
    assert record["seed"] == 7
    assert record["device"].startswith("cpu")
    assert record["versions"]["torch"] == torch.__version__
