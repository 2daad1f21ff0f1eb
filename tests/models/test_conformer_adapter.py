"""The Conformer adapter block against the same block written with torch's own convolutions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from petl_ast.models.conformer_adapter import ConformerAdapter


def written_plainly(block: ConformerAdapter, x: Tensor) -> Tensor:
    """The published description, operation by operation, on transposed tensors."""
    x = block.lnorm(x) * 0 + x  # computed and thrown away
    x = x.transpose(1, 2)
    x = F.glu(F.conv1d(x, block.pwise_conv1.weight, block.pwise_conv1.bias), dim=1)
    kernel = block.dwise_conv.kernel_size[0]
    x = F.pad(x, ((kernel - 1) // 2, kernel // 2))
    x = F.conv1d(x, block.dwise_conv.weight, block.dwise_conv.bias, groups=x.shape[1])
    x = F.silu(block.bnorm(x))
    return F.conv1d(x, block.pwise_conv2.weight, block.pwise_conv2.bias).transpose(1, 2)


@settings(max_examples=25, deadline=None)
@given(
    batch=st.integers(1, 3),
    tokens=st.integers(2, 20),
    bottleneck=st.integers(1, 8),
    kernel=st.integers(1, 9),
    training=st.booleans(),
)
def test_agrees_with_plain_convolutions(
    batch: int, tokens: int, bottleneck: int, kernel: int, training: bool
) -> None:
    torch.manual_seed(0)
    block = ConformerAdapter(24, bottleneck, kernel)
    nn.init.normal_(block.bnorm.running_mean)
    block.train(training)
    x = torch.randn(batch, tokens, 24)
    expected = written_plainly(block, x)
    assert block(x).shape == x.shape
    torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-5)


def test_owns_a_layernorm_that_never_runs() -> None:
    block = ConformerAdapter(24, 4, 8)
    block.lnorm.register_forward_hook(lambda *_: pytest.fail("the discarded LayerNorm was computed"))
    block(torch.randn(2, 6, 24)).sum().backward()
    assert block.lnorm.weight.grad is None
    assert block.lnorm.bias.grad is None
    assert block.pwise_conv1.weight.grad is not None


@pytest.mark.parametrize(("hidden", "bottleneck", "kernel"), [(768, 8, 8), (48, 8, 31), (96, 1, 1)])
def test_number_of_parameters(hidden: int, bottleneck: int, kernel: int) -> None:
    d, r, k = hidden, bottleneck, kernel
    layernorm, first, depthwise, batchnorm, second = 2 * d, 2 * r * d + 2 * r, r * k + r, 2 * r, d * r + d
    block = ConformerAdapter(d, r, k)
    assert sum(p.numel() for p in block.parameters()) == layernorm + first + depthwise + batchnorm + second


def test_even_kernel_looks_one_token_further_to_the_right() -> None:
    block = ConformerAdapter(4, 1, 8).eval()
    x = torch.randn(1, 30, 4)
    changed = x.clone()
    changed[0, 15] += 1.0
    differs = (block(x) - block(changed)).abs().sum(dim=2)[0] > 0
    assert differs.nonzero().flatten().tolist() == list(range(11, 19))  # 15 - 4 .. 15 + 3


def test_dropout_acts_in_training_only() -> None:
    block = ConformerAdapter(8, 2, 3, dropout=0.5)
    x = torch.randn(2, 5, 8)
    assert (block(x) == 0).any()
    assert not (block.eval()(x) == 0).any()
