"""The method "adapter": a small block at one or two places of every encoder layer.

With h the layer's input, y = layernorm_before(h), a = MHSA(y), h' = a + h, z = layernorm_after(h'), f =
FFN(z) and the adapter's own residual in brackets, a layer computes

    Pfeiffer, parallel:    h' + f + adapter(z) [+ z]
    Pfeiffer, sequential:  h' + adapter(f) [+ f]
    Houlsby, parallel:     as Pfeiffer, with h' = h + a + adapter_mhsa(y) [+ y]
    Houlsby, sequential:   as Pfeiffer, with h' = h + adapter_mhsa(a) [+ a]

The paper's text says "parallel to MHSA" for its best configuration; the code that produced its numbers does
the first line. Besides the adapters, layernorm_after of every layer (Houlsby: layernorm_before too) and the
final LayerNorm train.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn
from transformers import ASTModel

from ..errors import UserError
from .bottleneck_adapter import BottleneckAdapter
from .conformer_adapter import ConformerAdapter
from .insertion import adapt_ffn, adapt_mhsa
from .method import Method, Trained, bottleneck_width, parameters_of, register


@dataclass(frozen=True)
class AdapterOptions:
    """Options of the method "adapter"; the defaults are the paper's best for ESC-50.

    Attributes:
        block: The adapter's architecture.
        placement: "pfeiffer": one adapter a layer, at the feed-forward network; "houlsby": one at the
        attention too.
        insertion: "parallel": the adapter sees what the sub-module sees; "sequential": it sees the
        sub-module's output.
        reduction_rate: Hidden size divided by this is the bottleneck's width.
        kernel_size: Tokens that the Conformer's depthwise convolution sees.
        residual: Whether the adapter's input is added to its output.
        dropout: Probability, at the Conformer's end.
    """

    block: Literal["conformer", "bottleneck"] = "conformer"
    placement: Literal["pfeiffer", "houlsby"] = "pfeiffer"
    insertion: Literal["parallel", "sequential"] = "parallel"
    reduction_rate: int = 96
    kernel_size: int = 8
    residual: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.kernel_size < 1 or not 0 <= self.dropout < 1:
            raise UserError(
                f"method_options: kernel_size ({self.kernel_size}) must be at least 1, "
                f"dropout ({self.dropout}) at least 0 and below 1."
            )


def install(backbone: ASTModel, options: AdapterOptions) -> Trained:
    """Put the adapters in.

    Raises:
        UserError: if the reduction rate leaves no channel.
    """
    hidden_size = backbone.config.hidden_size
    bottleneck = bottleneck_width(hidden_size, options.reduction_rate)
    sequential = options.insertion == "sequential"

    def new_adapter() -> nn.Module:
        if options.block == "bottleneck":
            return BottleneckAdapter(hidden_size, bottleneck)
        return ConformerAdapter(hidden_size, bottleneck, options.kernel_size, options.dropout)

    adapters: list[nn.Module] = []
    layernorms: list[nn.Module] = [backbone.layernorm]
    for layer in backbone.layers:
        adapters.append(new_adapter())
        adapt_ffn(layer, adapters[-1], sequential, options.residual)
        layernorms.append(layer.layernorm_after)
        if options.placement == "houlsby":
            adapters.append(new_adapter())
            adapt_mhsa(layer, adapters[-1], sequential, options.residual)
            layernorms.append(layer.layernorm_before)
    groups = {"method": parameters_of(*adapters), "layernorm": parameters_of(*layernorms)}
    return Trained(groups, modules=adapters)


register(
    "adapter",
    Method(
        AdapterOptions,
        install,
        reference_names=(
            (r"^layers\.(\d+)\.mlp\.adapter\.", r"model.encoder.layer.\1.adapter_module_FFN."),
            (r"^layers\.(\d+)\.attention\.adapter\.", r"model.encoder.layer.\1.adapter_module_MHSA."),
        ),
    ),
)
