"""What training minimises: class weights as scikit-learn has them, whatever else lies in the batch."""

from __future__ import annotations

import pytest
import torch
from sklearn.utils.class_weight import compute_sample_weight
from torch.nn import functional as F

from petl_ast.utils.engine import train_one_epoch
from petl_ast.utils.environment import make_accelerator
from petl_ast.utils.loss import balanced_weights, weighted_cross_entropy
from petl_ast.utils.micro_batches import MicroBatches


def drawn_labels(seed: int, classes: int) -> torch.Tensor:
    """Labels of very uneven classes, each with one clip at least."""
    generator = torch.Generator().manual_seed(seed)
    more = torch.multinomial(10.0 ** -torch.arange(classes), 40, True, generator=generator)
    return torch.cat((torch.arange(classes), more))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("classes", [2, 5])
def test_balanced_weights_make_all_classes_weigh_the_same(seed: int, classes: int) -> None:
    labels = drawn_labels(seed, classes)
    weights = balanced_weights(labels.tolist(), classes)
    together = weights.double() * torch.bincount(labels)
    torch.testing.assert_close(together, together.mean().expand(classes), rtol=1e-6, atol=0)
    torch.testing.assert_close(weights[labels].mean(), torch.tensor(1.0))
    expected = torch.from_numpy(compute_sample_weight("balanced", labels.numpy())).float()
    torch.testing.assert_close(weights[labels], expected)


def test_classes_of_one_size_weigh_nothing_else() -> None:
    labels = torch.arange(12) % 3
    logits = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
    weighted = weighted_cross_entropy(balanced_weights(labels.tolist(), 3))
    torch.testing.assert_close(weighted(logits, labels), F.cross_entropy(logits, labels))


@pytest.mark.parametrize("at_once", [1, 3, 9])
def test_a_batch_in_parts_takes_the_step_of_the_whole_weighted_batch(at_once: int) -> None:
    labels = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 2])
    x = torch.randn(9, 4, generator=torch.Generator().manual_seed(1))
    weights = balanced_weights(labels.tolist(), 3)
    model, accelerator = torch.nn.Linear(4, 3), make_accelerator("cpu")
    logits = model(x)
    expected = (F.cross_entropy(logits, labels, reduction="none") * weights[labels]).sum() / 9
    gradient = torch.autograd.grad(expected, model.weight)[0]
    before = model.weight.detach().clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    result = train_one_epoch(
        model,
        [(x, labels)],
        accelerator.prepare(optimizer),
        torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0),
        accelerator,
        micro_batches=MicroBatches(at_once),
        loss=weighted_cross_entropy(weights),
    )
    torch.testing.assert_close(model.weight.detach(), before - 0.5 * gradient)
    assert result.loss == pytest.approx(expected.item(), rel=1e-5)
