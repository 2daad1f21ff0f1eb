"""The method "soft_moa": a soft mixture of adapters (Cappellazzo et al., Interspeech 2024, arXiv 2402.00828).

As in Soft MoE (Puigcerver et al., ICLR 2024): with logits x phi, every slot is a mean of all tokens weighted
by a softmax over tokens, each expert turns its own slots, and every token is a mean of all slots weighted by
a softmax over slots. Where it stands and what else trains is in `mixture.py`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import ASTModel

from .bottleneck_adapter import BottleneckAdapter
from .method import Method, Trained, bottleneck_width, register
from .mixture import EXPERT_NAMES, MixtureOptions, install_mixtures

LENGTH_EPS = 1e-6  # the reference code's


class SoftMixture(nn.Module):
    """E adapters, and phi [d, E, p], which tokens and slots are matched by."""

    def __init__(self, hidden_size: int, bottleneck: int, options: MixtureOptions) -> None:
        super().__init__()
        experts, slots = options.num_experts, options.num_slots
        self.experts = nn.ModuleList(BottleneckAdapter(hidden_size, bottleneck) for _ in range(experts))
        self.slot_params = nn.Parameter(torch.empty(hidden_size, experts, slots))
        nn.init.xavier_normal_(self.slot_params)
        self.scale = nn.Parameter(torch.ones(())) if options.normalize else None

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, d] -> [B, N, d]."""
        phi: Tensor = self.slot_params
        if self.scale is not None:
            x, phi = _to_length_one(x, dim=-1), _to_length_one(phi, dim=1) * self.scale
        logits = torch.einsum("bnd,dep->bnep", x, phi)
        dispatch = logits.softmax(dim=1)  # over tokens
        combine = logits.flatten(2).softmax(dim=-1).view_as(logits)  # over all slots of all experts
        slots = torch.einsum("bnd,bnep->ebpd", x, dispatch.to(x.dtype))
        outputs = torch.stack(
            [expert(own) for expert, own in zip(self.experts, slots, strict=True)]
        )  # [E, B, p, d]
        return torch.einsum("ebpd,bnep->bnd", outputs, combine.to(outputs.dtype))


def _to_length_one(x: Tensor, dim: int) -> Tensor:
    return x / (x.norm(dim=dim, keepdim=True) + LENGTH_EPS)  # type: ignore[no-any-return]


def install(backbone: ASTModel, options: MixtureOptions) -> Trained:
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
        MixtureOptions,
        install,
        reference_names=(
            (
                r"^layers\.(\d+)\.(?:attention|mlp)\.adapter\.(slot_params|scale)$",
                r"model.encoder.layer.\1.moa.\2",
            ),
            EXPERT_NAMES,
        ),
    ),
)
