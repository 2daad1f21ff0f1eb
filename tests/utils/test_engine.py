"""One epoch of training and evaluation, on a model small enough to check by hand."""

from __future__ import annotations

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional as F

from petl_ast.utils.engine import average_windows, eval_one_epoch, train_one_epoch
from petl_ast.utils.environment import make_accelerator

Batches = list[tuple[Tensor, Tensor]]


class Flat(nn.Module):
    """A linear classifier of spectrograms, with dropout to see which mode it is in."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.linear = nn.Linear(12, 3)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.dropout(x.flatten(1)))


@pytest.fixture
def batches() -> Batches:
    generator = torch.Generator().manual_seed(0)
    return [(torch.randn(n, 4, 3, generator=generator), torch.arange(n) % 3) for n in (4, 4, 2)]


@pytest.fixture
def accelerator() -> Accelerator:
    return make_accelerator("cpu")


def test_training_is_plain_gradient_descent_with_a_schedule_per_step(
    batches: Batches, accelerator: Accelerator
) -> None:
    torch.manual_seed(0)
    model, by_hand = Flat(), Flat()
    by_hand.load_state_dict(model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=3)
    result = train_one_epoch(model, batches, accelerator.prepare(optimizer), schedule, accelerator)

    losses, correct, norms = [], 0, []
    for step, (x, y) in enumerate(batches):
        logits = by_hand(x)
        loss = F.cross_entropy(logits, y)
        gradients = torch.autograd.grad(loss, list(by_hand.parameters()))
        rate = 0.1 * (1 + torch.cos(torch.tensor(torch.pi * step / 3))) / 2
        with torch.no_grad():
            for parameter, gradient in zip(by_hand.parameters(), gradients, strict=True):
                parameter -= rate * gradient
        losses += [loss.item()] * len(y)
        correct += int((logits.argmax(1) == y).sum())
        norms.append(torch.cat([g.flatten() for g in gradients]).norm().item())
    torch.testing.assert_close(model.linear.weight, by_hand.linear.weight)
    assert result.loss == pytest.approx(sum(losses) / 10, rel=1e-5)
    assert result.accuracy == correct / 10
    assert result.gradient_norm == pytest.approx(sum(norms) / 3, rel=1e-5)
    assert schedule.get_last_lr()[0] == pytest.approx(0.0, abs=1e-9)


def test_augmentation_sees_every_training_batch_once(batches: Batches, accelerator: Accelerator) -> None:
    model = Flat()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer)
    seen, ticks = [], []

    def augment(x: Tensor) -> Tensor:
        seen.append(x)
        return torch.zeros_like(x)

    result = train_one_epoch(
        model,
        batches,
        accelerator.prepare(optimizer),
        schedule,
        accelerator,
        augment,
        lambda: ticks.append(1),
    )
    assert [len(x) for x in seen] == [4, 4, 2]
    assert len(ticks) == 3
    labels = torch.cat([y for _, y in batches])
    silent = F.cross_entropy(model.linear.bias.detach().expand(10, 3), labels)
    assert result.loss == pytest.approx(silent.item(), rel=1e-5)


def test_evaluation_reports_all_clips_in_order_and_changes_nothing(
    batches: Batches, accelerator: Accelerator
) -> None:
    model = Flat(dropout=0.9)
    before = [p.clone() for p in model.parameters()]
    result = eval_one_epoch(model, batches, accelerator)
    x, y = torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches])
    with torch.no_grad():
        logits = model.eval()(x)
    torch.testing.assert_close(result.logits, logits)
    assert torch.equal(result.labels, y)
    assert result.accuracy == (logits.argmax(1) == y).double().mean()
    assert result.loss == pytest.approx(F.cross_entropy(logits, y).item(), rel=1e-5)
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))


def test_training_uses_dropout(batches: Batches, accelerator: Accelerator) -> None:
    model = Flat(dropout=0.999999)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer)
    before = model.linear.weight.clone()
    train_one_epoch(model, batches, accelerator.prepare(optimizer), schedule, accelerator)
    assert torch.equal(model.linear.weight, before), "all inputs were dropped, so no weight can have moved"


@pytest.mark.parametrize("seed", range(3))
def test_windows_of_a_clip_are_averaged_as_probabilities(seed: int) -> None:
    logits = 5 * torch.randn(6, 4, generator=torch.Generator().manual_seed(seed))
    found = average_windows(logits, [2, 1, 3])
    probabilities = logits.softmax(1)
    expected = torch.stack([probabilities[:2].mean(0), probabilities[2], probabilities[3:].mean(0)])
    torch.testing.assert_close(found.softmax(1), expected)
    assert torch.equal(found[1], logits[2])
    assert torch.equal(average_windows(logits, [1] * 6), logits)


def test_evaluation_scores_a_clip_of_several_windows_once(accelerator: Accelerator) -> None:
    model, x = Flat(), torch.randn(5, 4, 3, generator=torch.Generator().manual_seed(0))
    labels, clip_of = torch.tensor([0, 0, 2, 1, 1]), torch.tensor([4, 4, 0, 9, 9])
    result = eval_one_epoch(model, [(x[:3], labels[:3]), (x[3:], labels[3:])], accelerator, clip_of=clip_of)
    assert result.labels.tolist() == [0, 2, 1]
    with torch.no_grad():
        expected = average_windows(model(x), [2, 1, 2])
    torch.testing.assert_close(result.logits, expected)
    assert result.loss == pytest.approx(F.cross_entropy(expected, result.labels).item(), rel=1e-5)
