"""The method "dense_moa": a dense mixture of adapters (Cappellazzo et al., Interspeech 2024, arXiv
2402.00828).

A router weights the outputs of all bottleneck adapters token by token: sum over e of softmax(router(x))_e
adapter_e(x). The mixture stands in parallel with the attention or with the feed-forward network of every
layer; the LayerNorm in front of that, and the final one, train too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from transformers import ASTModel

from ..errors import UserError
from .bottleneck_adapter import BottleneckAdapter
from .insertion import adapt_ffn, adapt_mhsa
from .method import Method, Trained, bottleneck_width, init_like_paper, parameters_of, register

Location = Literal["mhsa", "ffn"]
EXPERT_NAMES = (
    r"^layers\.(\d+)\.(?:attention|mlp)\.adapter\.experts\.(\d+)\.",
    r"model.encoder.layer.\1.moa.moa.\2.",
)


@dataclass(frozen=True)
class DenseMoAOptions:
    """Options of the method "dense_moa".

    Attributes:
        reduction_rate: Hidden size divided by this is an adapter's width (the paper's value).
        num_experts: Adapters E in a mixture (our choice).
        location: Beside the attention ("mhsa") or the feed-forward network ("ffn").
    """

    reduction_rate: int = 128
    num_experts: int = 4
    location: Location = "ffn"

    def __post_init__(self) -> None:
        if self.num_experts < 1:
            raise UserError(f"method_options.num_experts is {self.num_experts}; it must be at least 1.")


class DenseMixture(nn.Module):
    """E adapters and their router."""

    def __init__(self, hidden_size: int, bottleneck: int, num_experts: int) -> None:
        super().__init__()
        self.experts = nn.ModuleList(BottleneckAdapter(hidden_size, bottleneck) for _ in range(num_experts))
        self.router = nn.Linear(hidden_size, num_experts)
        init_like_paper(self.router)

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, d] -> [B, N, d]."""
        weights = self.router(x).softmax(dim=-1)  # [B, N, E]
        outputs = torch.stack([expert(x) for expert in self.experts], dim=-1)  # [B, N, d, E]
        return torch.einsum("bnde,bne->bnd", outputs, weights.to(outputs.dtype))


def install(backbone: ASTModel, options: DenseMoAOptions) -> Trained:
    """Put a mixture into every layer.

    Raises:
        UserError: if the reduction rate leaves no width.
    """
    hidden_size = backbone.config.hidden_size
    bottleneck = bottleneck_width(hidden_size, options.reduction_rate)
    return install_mixtures(
        backbone,
        [DenseMixture(hidden_size, bottleneck, options.num_experts) for _ in backbone.layers],
        options.location,
    )


def install_mixtures(backbone: ASTModel, mixtures: list[nn.Module], location: Location) -> Trained:
    """Put one mixture into each layer, in parallel, and declare it with the LayerNorm in front of it."""
    layernorms = [backbone.layernorm]
    for layer, mixture in zip(backbone.layers, mixtures, strict=True):
        if location == "mhsa":
            adapt_mhsa(layer, mixture)
            layernorms.append(layer.layernorm_before)
        else:
            adapt_ffn(layer, mixture)
            layernorms.append(layer.layernorm_after)
    return Trained({"method": parameters_of(*mixtures), "layernorm": parameters_of(*layernorms)})


register(
    "dense_moa",
    Method(
        DenseMoAOptions,
        install,
        reference_names=(
            (r"^layers\.(\d+)\.(?:attention|mlp)\.adapter\.router\.", r"model.encoder.layer.\1.router.ff."),
            EXPERT_NAMES,
        ),
    ),
)
