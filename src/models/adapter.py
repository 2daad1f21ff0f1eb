"""The method "adapter": a small block in parallel with the feed-forward network of every encoder layer.

With z = layernorm_after(h) a layer computes h = FFN(z) + h + adapter(z) (Pfeiffer placement, parallel
insertion). The paper's text says "parallel to MHSA"; the code that produced its numbers does this. Besides
the adapters, layernorm_after of every layer and the final LayerNorm train.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from transformers import ASTModel

from ..errors import UserError
from .conformer_adapter import ConformerAdapter
from .method import Method, Trained, parameters_of, register


@dataclass(frozen=True)
class AdapterOptions:
    """Options of the method "adapter"; the defaults are the paper's for ESC-50.

    Attributes:
        block: The adapter's architecture.
        placement: "pfeiffer": one adapter a layer, at the feed-forward network.
        insertion: "parallel": the adapter sees what the feed-forward network sees.
        reduction_rate: Hidden size divided by this is the bottleneck's width.
        kernel_size: Tokens that the depthwise convolution sees.
        residual: Whether the adapter's input is added to its output.
        dropout: Probability, at the adapter's end.
    """

    block: Literal["conformer"] = "conformer"
    placement: Literal["pfeiffer"] = "pfeiffer"
    insertion: Literal["parallel"] = "parallel"
    reduction_rate: int = 96
    kernel_size: int = 8
    residual: Literal[False] = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.reduction_rate < 1 or self.kernel_size < 1 or not 0 <= self.dropout < 1:
            raise UserError(
                f"method_options: reduction_rate ({self.reduction_rate}) and kernel_size "
                f"({self.kernel_size}) must be at least 1, dropout ({self.dropout}) at least 0 and below 1."
            )


class ParallelAdapter(nn.Module):
    """Stands in for a sub-module of the backbone and adds an adapter's output to its output."""

    def __init__(self, frozen: nn.Module, adapter: nn.Module) -> None:
        super().__init__()
        self.frozen = frozen
        self.adapter = adapter

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, d] -> [B, N, d]."""
        return self.frozen(x) + self.adapter(x)  # type: ignore[no-any-return]


def install(backbone: ASTModel, options: AdapterOptions) -> Trained:
    """Wrap every layer's feed-forward network.

    Raises:
        UserError: if the reduction rate leaves no channel.
    """
    hidden_size = backbone.config.hidden_size
    bottleneck = hidden_size // options.reduction_rate
    if bottleneck < 1:
        raise UserError(
            f"method_options.reduction_rate is {options.reduction_rate}, more than the backbone's hidden "
            f"size {hidden_size}: no channel would be left."
        )
    adapters: list[nn.Module] = []
    for layer in backbone.layers:
        adapter = ConformerAdapter(hidden_size, bottleneck, options.kernel_size, options.dropout)
        layer.mlp = ParallelAdapter(layer.mlp, adapter)
        adapters.append(adapter)
    layernorms = [layer.layernorm_after for layer in backbone.layers] + [backbone.layernorm]
    groups = {"method": parameters_of(*adapters), "layernorm": parameters_of(*layernorms)}
    return Trained(groups, modules=adapters)


register(
    "adapter",
    Method(
        AdapterOptions,
        install,
        reference_names=(
            (r"^backbone\.layers\.(\d+)\.mlp\.adapter\.", r"model.encoder.layer.\1.adapter_module_FFN."),
        ),
    ),
)
