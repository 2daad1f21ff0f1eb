"""The method "soft_moa": a soft mixture of adapters (Cappellazzo et al., Interspeech 2024, arXiv 2402.00828).

As in Soft MoE (Puigcerver et al., ICLR 2024): with logits x phi, every slot is a mean of all tokens weighted
by a softmax over tokens, each expert turns its own slots, and every token is a mean of all slots weighted by
a softmax over slots. The mixture stands in parallel with the attention or with the feed-forward network of
every layer; the LayerNorm in front of that, and the final one, train too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import ASTModel

from ..errors import UserError
from .bottleneck_adapter import BottleneckAdapter
from .dense_moa import EXPERT_NAMES, Location, install_mixtures
from .method import Method, Trained, bottleneck_width, register


@dataclass(frozen=True)
class SoftMoAOptions:
    """Options of the method "soft_moa".

    Attributes:
        reduction_rate: Hidden size divided by this is an adapter's width (the paper's value).
        num_experts: Adapters E in a mixture (our choice).
        num_slots: Slots p of each expert (our choice).
        location: Beside the attention ("mhsa") or the feed-forward network ("ffn").
        normalize: Whether tokens and phi are scaled to length 1 before their product, as Soft MoE proposes
            for wide models (its learned scale left at 1).
    """

    reduction_rate: int = 128
    num_experts: int = 4
    num_slots: int = 1
    location: Location = "ffn"
    normalize: bool = False

    def __post_init__(self) -> None:
        if self.num_experts < 1 or self.num_slots < 1:
            raise UserError(
                f"method_options: num_experts ({self.num_experts}) and num_slots ({self.num_slots}) "
                "must be at least 1."
            )


class SoftMixture(nn.Module):
    """E adapters, and phi [d, E, p], which tokens and slots are matched by."""

    def __init__(self, hidden_size: int, bottleneck: int, options: SoftMoAOptions) -> None:
        super().__init__()
        experts, slots = options.num_experts, options.num_slots
        self.experts = nn.ModuleList(BottleneckAdapter(hidden_size, bottleneck) for _ in range(experts))
        self.slot_params = nn.Parameter(torch.empty(hidden_size, experts, slots))
        nn.init.xavier_normal_(self.slot_params)
        self._normalize = options.normalize

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, d] -> [B, N, d]."""
        tokens: Tensor = x
        phi: Tensor = self.slot_params
        if self._normalize:
            tokens, phi = F.normalize(tokens, dim=-1), F.normalize(phi, dim=0)
        logits = torch.einsum("bnd,dep->bnep", tokens, phi)
        dispatch = logits.softmax(dim=1)  # over tokens
        combine = logits.flatten(2).softmax(dim=-1).view_as(logits)  # over all slots of all experts
        slots = torch.einsum("bnd,bnep->ebpd", x, dispatch.to(x.dtype))
        outputs = torch.stack(
            [expert(own) for expert, own in zip(self.experts, slots, strict=True)]
        )  # [E, B, p, d]
        return torch.einsum("ebpd,bnep->bnd", outputs, combine.to(outputs.dtype))


def install(backbone: ASTModel, options: SoftMoAOptions) -> Trained:
    """Put a mixture into every layer.

    Raises:
        UserError: if the reduction rate leaves no width.
    """
    hidden_size = backbone.config.hidden_size
    bottleneck = bottleneck_width(hidden_size, options.reduction_rate)
    return install_mixtures(
        backbone, [SoftMixture(hidden_size, bottleneck, options) for _ in backbone.layers], options.location
    )


register(
    "soft_moa",
    Method(
        SoftMoAOptions,
        install,
        reference_names=(
            (
                r"^layers\.(\d+)\.(?:attention|mlp)\.adapter\.slot_params$",
                r"model.encoder.layer.\1.moa.slot_params",
            ),
            EXPERT_NAMES,
        ),
    ),
)
