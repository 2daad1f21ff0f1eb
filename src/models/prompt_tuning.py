"""The method "prompt_tuning" (visual prompt tuning, Jia et al., 2022): learned tokens in the input of the
encoder.

The distillation token is removed, and the learned tokens stand right behind CLS; they get no position
embedding. Deep prompts: every layer but the first replaces those tokens by its own. Besides, the final
LayerNorm trains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import ASTModel

from ..errors import UserError
from .method import Method, Trained, parameters_of, register, uniform_tokens


@dataclass(frozen=True)
class PromptTuningOptions:
    """Options of the method "prompt_tuning"; the number of tokens is the paper's.

    Attributes:
        num_tokens: Learned tokens T.
        deep: Whether every layer has tokens of its own.
    """

    num_tokens: int = 25
    deep: bool = False

    def __post_init__(self) -> None:
        if self.num_tokens < 1:
            raise UserError(f"method_options.num_tokens is {self.num_tokens}; it must be at least 1.")


class PromptedEmbeddings(nn.Module):
    """Takes the place of the backbone's embeddings and owns all prompts.

    Attributes:
        prompt_embeddings: [1, T, d].
        deep_prompt_embeddings: [layers - 1, T, d], or None for shallow prompts.
    """

    def __init__(self, backbone: ASTModel, options: PromptTuningOptions) -> None:
        super().__init__()
        self.frozen = backbone.embeddings
        self.prompt_embeddings = uniform_tokens(backbone, 1, options.num_tokens)
        deeper = len(backbone.layers) - 1
        self.deep_prompt_embeddings = (
            uniform_tokens(backbone, deeper, options.num_tokens) if options.deep and deeper else None
        )

    @property
    def patch_embeddings(self) -> nn.Module:
        """The frozen patch embedding, where transformers looks for it."""
        return self.frozen.patch_embeddings  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        """Spectrograms [B, frames, mel bins] -> tokens [B, 1 + T + patches, d]."""
        tokens = self.frozen(x)  # [B, 2 + patches, d]: CLS, distillation, patches
        return _with_prompts(tokens, self.prompt_embeddings, replaced=1)


class PromptedLayer(nn.Module):
    """Takes the place of an encoder layer and puts the layer's own prompts in before it."""

    def __init__(self, frozen: nn.Module, embeddings: PromptedEmbeddings, number: int) -> None:
        super().__init__()
        self.frozen = frozen
        self._embeddings = (
            embeddings,
        )  # in a tuple, so that torch does not count it as a part of this module
        self._number = number

    def forward(self, hidden_states: Tensor, *rest: Any, **more: Any) -> Tensor:
        """[B, 1 + T + patches, d] -> the same shape."""
        prompts = self._embeddings[0].deep_prompt_embeddings
        assert prompts is not None  # only deep prompts make this module
        own = prompts[self._number].unsqueeze(0)
        return self.frozen(_with_prompts(hidden_states, own, replaced=own.shape[1]), *rest, **more)  # type: ignore[no-any-return]


def _with_prompts(tokens: Tensor, prompts: Tensor, replaced: int) -> Tensor:
    """Put `prompts` [1, T, d] behind the first token, in the place of the `replaced` tokens there."""
    prompts = prompts.expand(tokens.shape[0], -1, -1)  # len() would make the batch a constant of an export
    return torch.cat((tokens[:, :1], prompts, tokens[:, 1 + replaced :]), dim=1)


def install(backbone: ASTModel, options: PromptTuningOptions) -> Trained:
    """Wrap the embeddings and, for deep prompts, every layer but the first."""
    embeddings = PromptedEmbeddings(backbone, options)
    backbone.embeddings = embeddings
    prompts = [embeddings.prompt_embeddings]
    if embeddings.deep_prompt_embeddings is not None:
        prompts.append(embeddings.deep_prompt_embeddings)
        for number in range(1, len(backbone.layers)):
            backbone.layers[number] = PromptedLayer(backbone.layers[number], embeddings, number - 1)
    return Trained({"method": prompts, "layernorm": parameters_of(backbone.layernorm)})


register(
    "prompt_tuning",
    Method(
        PromptTuningOptions,
        install,
        # Here the reference code keeps its final LayerNorm outside `model.`.
        reference_names=(
            (r"^embeddings\.((?:deep_)?prompt_embeddings)$", r"\1"),
            (r"^layernorm\.", r"layernorm."),
        ),
    ),
)
