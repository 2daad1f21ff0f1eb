"""Steps whose loss or gradient is not finite: found, told, left out, and harmless."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from petl_ast.utils.engine import train_one_epoch
from petl_ast.utils.environment import make_accelerator
from petl_ast.utils.epoch_sums import EpochSums, NonFiniteError, TrainResult

Batches = list[tuple[Tensor, Tensor]]


class Normed(nn.Module):
    """A classifier with BatchNorm, whose statistics a bad batch would spoil."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.linear = nn.BatchNorm1d(4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.norm(x))


def batches(bad: tuple[int, ...] = (), without: tuple[int, ...] = ()) -> Batches:
    generator = torch.Generator().manual_seed(1)
    made = [(torch.randn(6, 4, generator=generator), torch.arange(6) % 3) for _ in range(5)]
    for i in bad:
        made[i][0][2, 1] = math.nan
    return [pair for i, pair in enumerate(made) if i not in without]


def train(data: Batches, fused: bool, **more: object) -> tuple[nn.Module, TrainResult, EpochSums]:
    model, accelerator = Normed(), make_accelerator("cpu")
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, fused=fused)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    sums = EpochSums(accelerator.device)
    result = train_one_epoch(
        model, data, accelerator.prepare(optimizer), schedule, accelerator, sums=sums, **more
    )
    return model, result, sums


@pytest.mark.parametrize("fused", [False, True], ids=["plain", "fused"])
@pytest.mark.parametrize("bad", [(0,), (2,), (1, 4), (2, 3)])
def test_a_skipped_step_leaves_no_trace(bad: tuple[int, ...], fused: bool) -> None:
    """As if the batch had never been there: weights, moments' effect, BatchNorm's statistics, means."""
    model, result, sums = train(batches(bad), fused, on_nonfinite="skip")
    other, expected, _ = train(batches(without=bad), fused)
    for name, tensor in other.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name
    assert (result.loss, result.accuracy) == (expected.loss, expected.accuracy)
    assert result.gradient_norm == expected.gradient_norm
    assert (result.skipped_steps, expected.skipped_steps, sums.steps) == (len(bad), 0, 5)


@pytest.mark.parametrize("fused", [False, True], ids=["plain", "fused"])
def test_stopping_tells_the_step_and_those_before(fused: bool) -> None:
    with pytest.raises(NonFiniteError, match="step 4: loss nan") as caught:
        train(batches((3,)), fused)
    assert caught.value.step == 4
    assert [math.isfinite(loss) for _, loss, _ in caught.value.recent] == [True, True, True, False]
    lines = caught.value.last_steps()
    assert lines[-1].startswith("step 4: learning rate 0.01, loss nan")
    assert lines[0].startswith("step 1: learning rate 0.01, loss 1.")


def test_a_gradient_alone_can_be_bad() -> None:
    model = Normed()
    model.linear.weight.register_hook(lambda gradient: gradient * math.inf)
    accelerator, optimizer = make_accelerator("cpu"), torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    before = model.linear.weight.clone()
    with pytest.raises(NonFiniteError) as caught:
        train_one_epoch(model, batches(), accelerator.prepare(optimizer), schedule, accelerator)
    assert caught.value.what == "gradient norm"
    assert not math.isfinite(caught.value.value)
    assert torch.equal(model.linear.weight, before)


def test_an_epoch_without_a_finite_step_is_an_error_even_when_skipping() -> None:
    with pytest.raises(NonFiniteError):
        train(batches((0, 1, 2, 3, 4)), fused=False, on_nonfinite="skip")


def test_an_epoch_goes_on_from_its_sums() -> None:
    whole = train(batches(), fused=False)[1]
    model, accelerator = Normed(), make_accelerator("cpu")
    optimizer = accelerator.prepare(torch.optim.AdamW(model.parameters(), lr=0.01))
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    first = EpochSums(accelerator.device)
    train_one_epoch(model, batches()[:2], optimizer, schedule, accelerator, sums=first)
    second = EpochSums(accelerator.device, first.steps, first.values.tolist())
    rest = train_one_epoch(model, batches()[2:], optimizer, schedule, accelerator, sums=second)
    assert rest == whole


def test_checking_looks_at_new_steps_only() -> None:
    sums = EpochSums(torch.device("cpu"))
    bad, good = torch.tensor(False), torch.tensor(True)
    sums.add(torch.tensor([math.nan, 0.0], dtype=torch.float64), torch.tensor(1.0), 4, bad, 0.1)
    with pytest.raises(NonFiniteError, match="step 1"):
        sums.check()
    sums.add(torch.tensor([2.0, 1.0], dtype=torch.float64), torch.tensor(1.0), 4, good, 0.1)
    sums.check()
    assert sums.result() == TrainResult(0.5, 0.25, 1.0, 1)
