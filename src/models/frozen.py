"""The frozen backbone's arithmetic on x86 processors: the same numbers, up to rounding, in half the time.

Training a few parameters leaves three things to save that a framework cannot know of. A frozen weight needs
no gradient, so its input need not be kept. The wide inside of a feed-forward network, and the probabilities
of an attention head, can be worked through in pieces that stay in the processor's cache. And every float32
product can go to oneDNN, which uses AVX-512 on any processor that has it; PyTorch asks MKL, which on AMD's
does not (docs/benchmarks.md has the figures).

`speed_up` gives sub-modules of a backbone a class with another `forward`; names, weights and results stay.
Whatever is not a float32 tensor on an x86 processor takes transformers' own path.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional as F
from transformers import ASTModel, AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.models.audio_spectrogram_transformer.modeling_audio_spectrogram_transformer import ASTMLP

ATTENTION = "petl_ast"  # the name under which transformers finds our attention
ROWS = 512  # tokens per piece of a feed-forward network: 6 MB inside at width 3072, within a usual L3 share
FEWEST_TOKENS = 256  # below this an attention head is so small that calling it costs more than computing it
AVAILABLE = "AVX" in torch.backends.cpu.get_cpu_capability() and hasattr(
    torch.ops.mkldnn, "_linear_pointwise"
)


def speed_up(backbone: ASTModel) -> None:
    """Let the frozen linear layers, feed-forward networks and attention of a backbone compute as above."""
    if not AVAILABLE:
        return
    for module in backbone.layers.modules():
        if type(module) is nn.Linear and not module.weight.requires_grad:
            module.__class__ = FrozenLinear
        elif type(module) is ASTMLP and module.config.hidden_act == "gelu":
            module.__class__ = FrozenMLP
    if backbone.config._attn_implementation == "sdpa":
        backbone.set_attn_implementation(ATTENTION)


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The product of x [M, K] and weight [N, K] transposed, plus bias [N]: [M, N], by oneDNN.

    Both are contiguous or the transpose of something contiguous; other strides are slow beyond use.
    """
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")  # type: ignore[no-any-return]


def _ours(*tensors: Tensor | None) -> bool:
    """Whether all are plain float32 on the processor, outside autocast and compilation."""
    return (
        all(t is None or (t.device.type == "cpu" and t.dtype == torch.float32) for t in tensors)
        and not torch.compiler.is_compiling()
        and not torch.is_autocast_enabled("cpu")
    )


class FrozenLinear(nn.Linear):
    """A linear layer whose weight is frozen; its bias may train."""

    def forward(self, x: Tensor) -> Tensor:
        """[..., K] -> [..., N]."""
        if self.weight.requires_grad or not _ours(x, self.weight, self.bias):
            return super().forward(x)
        return _Linear.apply(x, self.weight, self.bias)  # type: ignore[no-any-return, no-untyped-call]


class FrozenMLP(ASTMLP):  # type: ignore[misc]
    """A feed-forward network, worked through `ROWS` tokens at a time while all of it is frozen."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, d] -> [B, N, d]."""
        parameters = list(self.parameters())
        plain = type(self.fc1) is type(self.fc2) is FrozenLinear  # not wrapped by a method
        if not plain or any(p.requires_grad for p in parameters) or not _ours(x, *parameters):
            return super().forward(x)  # type: ignore[no-any-return]
        return _MLP.apply(x, *parameters)  # type: ignore[no-any-return, no-untyped-call]


class _Linear(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight)
        return product(x.reshape(-1, x.shape[-1]), weight, bias).view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, Tensor | None]:
        (weight,) = ctx.saved_tensors
        rows = grad.reshape(-1, grad.shape[-1])
        grad_x = product(rows, weight.t()).view(*grad.shape[:-1], -1) if ctx.needs_input_grad[0] else None
        return grad_x, None, rows.sum(0) if ctx.needs_input_grad[2] else None


class _MLP(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        out = torch.empty(len(rows), len(w2))
        wide = []
        for piece, into in zip(torch.split(rows, ROWS), torch.split(out, ROWS), strict=True):
            inside = product(piece, w1, b1)
            if ctx.needs_input_grad[0]:
                wide.append(inside)
                inside = F.gelu(inside)
            else:
                torch.ops.aten.gelu_(inside)
            into.copy_(product(inside, w2, b2))
        ctx.save_for_backward(w1, w2, *wide)
        return out.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        w1, w2, *wide = ctx.saved_tensors
        rows = grad.reshape(-1, grad.shape[-1])
        out = torch.empty(len(rows), w1.shape[1])
        for piece, inside, into in zip(torch.split(rows, ROWS), wide, torch.split(out, ROWS), strict=True):
            grad_inside = product(piece, w2.t())
            torch.ops.aten.gelu_backward.grad_input(grad_inside, inside, grad_input=grad_inside)
            into.copy_(product(grad_inside, w1.t()))
        return out.view_as(grad), None, None, None, None


class _Attention(Function):
    """Softmax attention, one head at a time, so that its N x N probabilities stay in the cache.

    They are computed again in the backward pass, as in FlashAttention (Dao et al., 2022).
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        batch, heads, tokens, width = query.shape
        q = torch.empty(query.shape)
        torch.mul(query, scaling, out=q)
        k, v = key.contiguous(), value.contiguous()
        out = torch.empty(batch, tokens, heads, width)
        for b in range(batch):
            for h in range(heads):
                out[b, :, h] = product(product(q[b, h], k[b, h]).softmax(-1), v[b, h].t())
        ctx.save_for_backward(q, k, v)
        ctx.scaling = scaling
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        q, k, v = ctx.saved_tensors
        grad = grad.transpose(1, 2).contiguous()
        # In the layout that the projections gave: [B, N, H, width] seen as [B, H, N, width].
        grads = [torch.empty_like(t.transpose(1, 2)).transpose(1, 2) for t in (q, k, v)]
        grad_q, grad_k, grad_v = grads
        for b in range(q.shape[0]):
            for h in range(q.shape[1]):
                probabilities = product(q[b, h], k[b, h]).softmax(-1)
                grad_scores = torch.ops.aten._softmax_backward_data(
                    product(grad[b, h], v[b, h]), probabilities, -1, torch.float32
                )
                torch.mul(product(grad_scores, k[b, h].t()), ctx.scaling, out=grad_q[b, h])
                grad_k[b, h] = product(q[b, h].t().contiguous(), grad_scores.t()).t()
                grad_v[b, h] = product(grad[b, h].t().contiguous(), probabilities.t()).t()
        return grad_q, grad_k, grad_v, None


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """Softmax attention as transformers calls it: [B, H, N, width] each -> [B, N, H, width]."""
    plain = attention_mask is None and not dropout and scaling is not None
    if plain and query.shape[2] >= FEWEST_TOKENS and _ours(query, key, value):
        return _Attention.apply(query, key, value, scaling), None  # type: ignore[no-untyped-call]
    return sdpa_attention_forward(  # type: ignore[no-any-return]
        module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **more
    )


def no_mask(*_: Any, **__: Any) -> None:
    """AST's clips have no padding to hide; transformers, while traced, would make a mask all the same."""


AttentionInterface.register(ATTENTION, attention)
AttentionMaskInterface.register(ATTENTION, no_mask)
