"""Memory that runs out halves what goes through the model at once, and nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from petl_ast.errors import UserError
from petl_ast.utils.engine import eval_one_epoch, train_one_epoch
from petl_ast.utils.environment import make_accelerator
from petl_ast.utils.micro_batches import MicroBatches


class Small(nn.Module):
    """A classifier with BatchNorm on a machine whose memory holds `room` clips."""

    def __init__(self, room: int, norm: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm = nn.BatchNorm1d(4) if norm else nn.Identity()
        self.linear = nn.Linear(4, 3)
        self.room = room

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)  # its statistics have moved when memory runs out
        if len(x) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
        return self.linear(x)


def train(model: nn.Module, micro_batches: MicroBatches | None) -> dict[str, Tensor]:
    accelerator = make_accelerator("cpu")
    generator = torch.Generator().manual_seed(1)
    batches = [(torch.randn(n, 4, generator=generator), torch.arange(n) % 3) for n in (8, 8, 6)]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    result = train_one_epoch(
        model, batches, accelerator.prepare(optimizer), schedule, accelerator, micro_batches=micro_batches
    )
    evaluated = eval_one_epoch(model, batches, accelerator, micro_batches=micro_batches)
    figures = [result.loss, result.accuracy, result.gradient_norm, evaluated.loss, evaluated.accuracy]
    return {**model.state_dict(), "figures": torch.tensor(figures), "logits": evaluated.logits}


def test_gradients_of_the_parts_add_up_to_those_of_the_batch() -> None:
    whole, parts = (train(Small(99, norm=False), MicroBatches(size)) for size in (None, 3))
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name], rtol=1e-5, atol=1e-6)


def test_running_out_of_memory_is_starting_with_less() -> None:
    said: list[int] = []
    halved = train(Small(room=3), MicroBatches(on_halved=said.append))
    started = train(Small(room=99), MicroBatches(2))
    assert said == [4, 2]
    for name in started:
        assert torch.equal(halved[name], started[name]), name


def test_no_room_for_one_clip_is_told() -> None:
    with pytest.raises(UserError, match=r"one clip.*\n.*gradient_checkpointing"):
        train(Small(room=0, norm=False), None)


def test_other_errors_pass() -> None:
    def broken(size: int) -> None:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes"):
        MicroBatches().fit(broken, 8)
