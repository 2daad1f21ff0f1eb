"""The fast paths of the frozen backbone give transformers' own numbers, gradients included."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import ASTConfig, ASTModel
from transformers.models.audio_spectrogram_transformer.modeling_audio_spectrogram_transformer import (
    ASTMLP,
)

from petl_ast import build_model
from petl_ast.models import frozen
from petl_ast.models.frozen import FrozenLinear, FrozenMLP, attention, product, speed_up

pytestmark = pytest.mark.skipif(not frozen.AVAILABLE, reason="no oneDNN for x86 here")


def small(**changes: int | str) -> ASTConfig:
    return ASTConfig(
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=96,
        max_length=320,
        num_mel_bins=128,
        **changes,
    )


def gradients(f: Callable[..., Tensor], *inputs: Tensor) -> list[Tensor]:
    """The output, and the gradients of a fixed weighting of it."""
    inputs = tuple(x.detach().requires_grad_() for x in inputs)
    out = f(*inputs)
    weights = torch.linspace(-1, 1, out.numel()).view_as(out)
    return [out.detach(), *torch.autograd.grad((out * weights).sum(), inputs)]


def assert_same(ours: list[Tensor], theirs: list[Tensor]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6 + 1e-5 * float(b.abs().max()))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(1, 70), st.integers(1, 70), st.booleans(), st.booleans())
def test_product_of_any_shape(rows: int, inside: int, out: int, flipped: bool, biased: bool) -> None:
    torch.manual_seed(rows)
    x, bias = torch.randn(rows, inside), torch.randn(out) if biased else None
    weight = torch.randn(inside, out).t() if flipped else torch.randn(out, inside)
    torch.testing.assert_close(
        product(x, weight, bias), nn.functional.linear(x, weight, bias), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("bias_trains", [False, True])
def test_frozen_linear(bias_trains: bool) -> None:
    torch.manual_seed(0)
    ours, x = FrozenLinear(20, 12), torch.randn(2, 7, 20)
    ours.weight.requires_grad_(False)
    ours.bias.requires_grad_(bias_trains)
    assert_same(gradients(ours, x), gradients(lambda t: nn.functional.linear(t, ours.weight, ours.bias), x))
    if bias_trains:
        ours(x).sum().backward()
        torch.testing.assert_close(ours.bias.grad, torch.full((12,), 14.0))
    assert ours.weight.grad is None


@pytest.mark.parametrize("tokens", [1, 511, 512, 513, 1100])
def test_frozen_mlp_at_the_edges_of_its_pieces(tokens: int) -> None:
    torch.manual_seed(0)
    mlp, x = ASTMLP(small()).requires_grad_(False), torch.randn(1, tokens, 48)
    theirs = gradients(mlp, x)
    mlp.__class__ = FrozenMLP
    mlp.fc1.__class__ = mlp.fc2.__class__ = FrozenLinear
    assert_same(gradients(mlp, x), theirs)
    with torch.inference_mode():
        torch.testing.assert_close(mlp(x), theirs[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("tokens", "others"), [(300, 300), (256, 270), (300, 5)])
def test_attention_of_many_tokens(tokens: int, others: int) -> None:
    torch.manual_seed(0)
    query = torch.randn(2, tokens, 3, 16).transpose(1, 2)  # heads lie as transformers' projections put them
    key, value = torch.randn(2, 2, others, 3, 16).transpose(2, 3)

    def ours(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attention(nn.Module(), q, k, v, None, scaling=0.3)[0]

    def theirs(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return (((q @ k.transpose(2, 3)) * 0.3).softmax(-1) @ v).transpose(1, 2)

    assert "_Attention" in type(ours(query.requires_grad_(), key, value).grad_fn).__name__
    assert_same(gradients(ours, query, key, value), gradients(theirs, query, key, value))


def test_attention_follows_a_mask_and_dropout() -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 1, 2, 300, 8)
    mask = torch.ones(1, 1, 300, 300, dtype=torch.bool)
    mask[..., 150:] = False
    masked = attention(nn.Module(), query, key, value, mask, scaling=0.3)[0]
    alone = attention(nn.Module(), query, key[:, :, :150], value[:, :, :150], None, scaling=0.3)[0]
    torch.testing.assert_close(masked, alone, rtol=1e-5, atol=1e-6)
    module = nn.Module().train()
    dropped = attention(module, query, key, value, None, dropout=0.5, scaling=0.3)[0]
    assert not torch.allclose(dropped, attention(module, query, key, value, None, scaling=0.3)[0])


@pytest.mark.parametrize("frames", [100, 320])  # 108 tokens (transformers' attention) and 372 (ours)
@pytest.mark.parametrize("method", ["adapter", "bitfit", "lora", "prefix_tuning", "full_ft", "soft_moa"])
def test_a_model_gives_the_same_losses_and_gradients(
    method: str, frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"reduction_rate": 6} if method in ("adapter", "lora", "soft_moa") else {}
    x, y = torch.randn(3, frames, 128), torch.tensor([0, 1, 2])

    def run(fast: bool) -> list[Tensor]:
        torch.manual_seed(0)
        with monkeypatch.context() as patch:
            patch.setattr(frozen, "AVAILABLE", fast)
            model = build_model(ASTModel(small()), 3, frames, method, options)
        fast_parts = {type(m) for m in model.modules()} & {FrozenLinear}
        assert bool(fast_parts) == (fast and method != "full_ft")
        model.train()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        return [loss.detach(), *(p.grad for p in model.trainable_parameters() if p.grad is not None)]

    assert_same(run(fast=True), run(fast=False))


def test_names_and_weights_stay() -> None:
    model = ASTModel(small()).requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    speed_up(model)
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_thawed_weight_gets_its_gradient() -> None:
    model = build_model(ASTModel(small()), 3, 100, "linear")
    layer = model.backbone.layers[0]
    for weight in (layer.mlp.fc1.weight, layer.attention.q_proj.weight):
        weight.requires_grad_(True)
        model(torch.randn(1, 100, 128)).sum().backward()
        assert weight.grad is not None
        assert weight.grad.abs().sum() > 0


def test_other_activations_and_precisions_take_their_own_path() -> None:
    torch.manual_seed(0)
    model = ASTModel(small(hidden_act="relu")).eval().requires_grad_(False)
    x = torch.randn(1, 320, 128)
    expected = model(x).last_hidden_state
    speed_up(model)
    torch.testing.assert_close(model(x).last_hidden_state, expected, rtol=1e-5, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert model.layers[0].attention.q_proj(torch.randn(2, 48)).dtype == torch.bfloat16
    assert model.double()(x.double()).last_hidden_state.dtype == torch.float64
