"""The method "dense_moa": a dense mixture of adapters (Cappellazzo et al., Interspeech 2024, 2402.00828).

A router weights the outputs of all bottleneck adapters token by token: the sum over experts e of
softmax(router(x))_e adapter_e(x). Where it stands and what else trains is in `mixture.py`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import ASTModel

from .bottleneck_adapter import BottleneckAdapter
from .method import Method, Trained, bottleneck_width, init_like_paper, register
from .mixture import EXPERT_NAMES, MixtureOptions, install_mixtures


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


def install(backbone: ASTModel, options: MixtureOptions) -> Trained:
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


register(
    "dense_moa",
    Method(
        MixtureOptions,
        install,
        reference_names=(
            (r"^layers\.(\d+)\.(?:attention|mlp)\.adapter\.router\.", r"model.encoder.layer.\1.router.ff."),
            EXPERT_NAMES,
        ),
    ),
)
