"""The method "prefix_tuning" (Li and Liang, 2021): learned keys and values that every token can attend to.

Half of the tokens are joined to the keys and half to the values of every layer, behind the K and V
projections, at position 1, right after CLS. Besides, the final LayerNorm trains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import ASTModel, AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from ..errors import UserError
from .frozen import attention, no_mask
from .method import Method, Trained, parameters_of, register, uniform_tokens

ATTENTION = "petl_ast_prefix"  # the name under which transformers finds `attend_with_prefix`


@dataclass(frozen=True)
class PrefixTuningOptions:
    """Options of the method "prefix_tuning"; the default is the paper's.

    Attributes:
        num_tokens: Learned vectors a layer, keys and values together; an even number.
    """

    num_tokens: int = 24

    def __post_init__(self) -> None:
        if self.num_tokens < 2 or self.num_tokens % 2:
            raise UserError(
                f"method_options.num_tokens is {self.num_tokens}; it must be even and at least 2."
            )


class Prefix(nn.Module):
    """One layer's learned keys and values, [1, num_tokens / 2, d] each."""

    def __init__(self, backbone: ASTModel, num_tokens: int) -> None:
        super().__init__()
        self.key_tokens = uniform_tokens(backbone, 1, num_tokens // 2)
        self.value_tokens = uniform_tokens(backbone, 1, num_tokens // 2)


def attend_with_prefix(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *rest: Any, **more: Any
) -> tuple[Tensor, Any]:
    """Scaled-dot-product attention in which `module.prefix` stands between CLS and the other keys and values.

    Args:
        module: transformers' attention module.
        query: [B, heads, N, d / heads], like `key` and `value`.
        key: As `query`.
        value: As `query`.
        *rest: Passed on.
        **more: Passed on.
    """
    prefix: Any = module.prefix

    def join(tokens: Tensor, projected: Tensor) -> Tensor:
        batch, heads, _, width = projected.shape
        tokens = tokens.view(1, -1, heads, width).transpose(1, 2).expand(batch, -1, -1, -1)
        return torch.cat((projected[:, :, :1], tokens.to(projected.dtype), projected[:, :, 1:]), dim=2)

    key, value = join(prefix.key_tokens, key), join(prefix.value_tokens, value)
    return attention(module, query, key, value, *rest, **more)


def install(backbone: ASTModel, options: PrefixTuningOptions) -> Trained:
    """Give every attention module its prefix and make the backbone attend to them."""
    prefixes = []
    for layer in backbone.layers:
        layer.attention.prefix = Prefix(backbone, options.num_tokens)
        prefixes.append(layer.attention.prefix)
    backbone.set_attn_implementation(ATTENTION)
    return Trained({"method": parameters_of(*prefixes), "layernorm": parameters_of(backbone.layernorm)})


AttentionInterface.register(ATTENTION, attend_with_prefix)
AttentionMaskInterface.register(ATTENTION, no_mask)
register(
    "prefix_tuning",
    Method(
        PrefixTuningOptions,
        install,
        reference_names=(
            (r"^layers\.(\d+)\.attention\.prefix\.", r"model.encoder.layer.\1.attention.attention."),
        ),
    ),
)
