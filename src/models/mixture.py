"""What the dense and the soft mixture of adapters share: options, and how a mixture enters the layers.

It stands in parallel with the attention or with the feed-forward network of every layer; the LayerNorm in
front of that, and the final one, train too. Beside the attention, the reference code adds the mixture's
output a second time at the layer's end; so does this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn
from transformers import ASTModel

from ..errors import UserError
from .insertion import adapt_ffn, adapt_mhsa
from .method import Trained, parameters_of

Location = Literal["mhsa", "ffn"]
MOST_EXPERTS = 256  # each is a module of its own in every layer
EXPERT_NAMES = (
    r"^layers\.(\d+)\.(?:attention|mlp)\.adapter\.experts\.(\d+)\.",
    r"model.encoder.layer.\1.moa.moa.\2.",
)


@dataclass(frozen=True)
class MixtureOptions:
    """Options of "dense_moa" and "soft_moa", the same for both, so that `method` alone switches between them.

    Attributes:
        reduction_rate: Hidden size divided by this is an adapter's width (the paper's value).
        num_experts: Adapters E in a mixture (our choice).
        location: Beside the attention ("mhsa") or the feed-forward network ("ffn").
        num_slots: Slots p of each expert (our choice); a dense mixture has none.
        normalize: Whether tokens and phi are scaled to length 1 before their product, as Soft MoE proposes
            for wide models (its learned scale left at 1); a dense mixture has no phi.
    """

    reduction_rate: int = 128
    num_experts: int = 4
    location: Location = "ffn"
    num_slots: int = 1
    normalize: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.num_experts <= MOST_EXPERTS or self.num_slots < 1:
            raise UserError(
                f"method_options: num_experts ({self.num_experts}) and num_slots ({self.num_slots}) "
                f"must be at least 1, and the experts at most {MOST_EXPERTS}."
            )


class TwiceMixedLayer(nn.Module):
    """An encoder layer whose mixture, beside its attention, counts a second time at the layer's end.

    With m = mixture(layernorm_before(h)), h' = h + MHSA(layernorm_before(h)) + m, the layer gives
    h' + FFN(layernorm_after(h')) + m. The mixture, small as it is, is computed again rather than carried
    over.
    """

    def __init__(self, frozen: nn.Module) -> None:
        super().__init__()
        self.frozen = frozen

    def forward(self, hidden_states: Tensor, *rest: Any, **more: Any) -> Tensor:
        """[B, N, d] -> [B, N, d]."""
        layer: Any = self.frozen
        mixed: Tensor = layer.attention.adapter(layer.layernorm_before(hidden_states))
        return layer(hidden_states, *rest, **more) + mixed  # type: ignore[no-any-return]


def install_mixtures(backbone: ASTModel, mixtures: list[nn.Module], location: Location) -> Trained:
    """Put one mixture into each layer, in parallel, and declare it with the LayerNorm in front of it."""
    layernorms = [backbone.layernorm]
    for number, (layer, mixture) in enumerate(zip(backbone.layers, mixtures, strict=True)):
        if location == "mhsa":
            adapt_mhsa(layer, mixture)
            layernorms.append(layer.layernorm_before)
            backbone.layers[number] = TwiceMixedLayer(layer)
        else:
            adapt_ffn(layer, mixture)
            layernorms.append(layer.layernorm_after)
    return Trained({"method": parameters_of(*mixtures), "layernorm": parameters_of(*layernorms)})
