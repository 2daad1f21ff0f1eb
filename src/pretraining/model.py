"""An AST that hears some patches of a clip, and what its pooled features are asked about the whole clip."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import ASTConfig, ASTModel, AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from ..config import SpectrogramConfig
from ..models.backbone import SPECIAL_TOKENS, patch_grid
from .config import ObjectiveConfig, ShapeConfig
from .statistics import STATISTICS

SOFTER = 0.3  # share of the target that the softer of two sounds gets
ATTENTION = "petl_ast_float32"  # the name under which transformers finds `attention`
# Amplitude of the position table and gain of the patches' projection at the start: what is heard stands out
# from where it is. With 0.5 and 1 a third more steps were needed for the same loss, early in training.
POSITIONS, PATCHES = 0.05, 3.0


class Answers(NamedTuple):
    """What is told of clips: logits of the families [B, families], parameters [B, 3], standardised statistics
    [B, 240].
    """

    families: Tensor
    parameters: Tensor
    statistics: Tensor


class Listener(nn.Module):
    """Maps spectrograms to `Answers` through the features that a head would later get.

    Attributes:
        backbone: The AST, all of it trained.
        mean: Of the statistics, float32 [240], to standardise them; set by `standardise`.
        deviation: Likewise.
    """

    def __init__(
        self, shape: ShapeConfig, spectrogram: SpectrogramConfig, objective: ObjectiveConfig, families: int
    ) -> None:
        super().__init__()
        self.backbone = ASTModel(
            ASTConfig(
                **vars(shape),
                max_length=spectrogram.max_length,
                num_mel_bins=spectrogram.num_mel_bins,
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
            )
        )
        self.backbone.set_attn_implementation(ATTENTION)
        width = shape.hidden_size
        embeddings = self.backbone.embeddings
        # transformers' N(0, 0.02) is for four times the width: here branches would start small.
        nn.init.xavier_uniform_(embeddings.patch_embeddings.projection.weight.view(width, -1), gain=PATCHES)
        for module in self.backbone.layers.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
        grid = patch_grid(self.backbone.config, spectrogram.max_length)
        with torch.no_grad():
            embeddings.position_embeddings[:, SPECIAL_TOKENS:] = POSITIONS * sine_positions(*grid, width)
            for token in (embeddings.cls_token, embeddings.distillation_token):
                nn.init.normal_(token, std=0.02)
        self.kept_patches = min(objective.kept_patches, grid[0] * grid[1])
        self.families = _head(width, objective.hidden, families)
        self.parameters_head = _head(width, objective.hidden, 3)
        self.statistics = _head(width, objective.hidden, STATISTICS)
        self.register_buffer("mean", torch.zeros(STATISTICS))
        self.register_buffer("deviation", torch.ones(STATISTICS))

    def forward(self, spectrograms: Tensor, draws: torch.Generator) -> Answers:
        """Answers from `kept_patches` random patches of each clip.

        Args:
            spectrograms: [B, T, mel bins].
            draws: Which patches are kept; on the CPU, so that every device keeps the same.
        """
        tokens = self.backbone.embeddings(spectrograms)  # [B, 2 + patches, d]
        clips, count, width = tokens.shape
        order = torch.rand(clips, count - SPECIAL_TOKENS, generator=draws).argsort(dim=1)
        kept = order[:, : self.kept_patches].to(tokens.device) + SPECIAL_TOKENS
        patches = tokens.gather(1, kept.unsqueeze(2).expand(-1, -1, width))
        hidden = torch.cat((tokens[:, :SPECIAL_TOKENS], patches), dim=1)
        for layer in self.backbone.layers:
            hidden = layer(hidden)
        features = self.backbone.layernorm(hidden).mean(dim=1)  # pooled as `ASTWithAdapter` does
        return Answers(self.families(features), self.parameters_head(features), self.statistics(features))

    def standardise(self, statistics: Tensor) -> None:
        """Take mean and deviation from the statistics [clips, 240] of many clips."""
        deviation, mean = torch.std_mean(statistics, dim=0)
        self.mean.copy_(mean)  # type: ignore[operator]
        self.deviation.copy_(deviation.clamp_min(1e-3))  # type: ignore[operator]


def losses(
    answers: Answers, families: Tensor, parameters: Tensor, known: Tensor, statistics: Tensor
) -> dict[str, Tensor]:
    """The loss of each part: scalars.

    Args:
        answers: Of a batch.
        families: [B, 2], louder and softer sound; negative where there is none.
        parameters: [B, 3].
        known: bool [B, 3].
        statistics: [B, 240], standardised.
    """
    louder, softer = families.unbind(1)
    each = torch.log_softmax(answers.families.float(), dim=1)
    share = SOFTER * (softer >= 0)
    told = (1 - share) * each.gather(1, louder[:, None])[:, 0]
    told = told + share * each.gather(1, softer.clamp_min(0)[:, None])[:, 0]
    error = (answers.parameters.float() - parameters).square() * known
    return {
        "family": -told.mean(),
        "parameters": error.sum() / known.sum().clamp_min(1),
        "statistics": F.smooth_l1_loss(answers.statistics.float(), statistics),
    }


def attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **more: Any
) -> tuple[Tensor, None]:
    """Softmax attention in float32, also under autocast: a processor's own in bf16 takes three times as long
    backwards. [B, H, N, width] each -> [B, N, H, width].
    """
    with torch.autocast(query.device.type, enabled=False):
        out, _ = sdpa_attention_forward(
            module, query.float(), key.float(), value.float(), attention_mask, **more
        )
    return out.to(query.dtype), None


AttentionInterface.register(ATTENTION, attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


def sine_positions(frequency: int, time: int, width: int) -> Tensor:
    """Sines and cosines of a patch's two coordinates, a half of the width each: [1, frequency * time, width],
    frequency-major (Vaswani et al., 2017; for two axes as in MAE, He et al., 2022).
    """

    def along(size: int) -> Tensor:
        rates = 10_000 ** -(torch.arange(width // 4) / (width // 4))
        angles = torch.outer(torch.arange(size), rates)
        return torch.cat((angles.sin(), angles.cos()), dim=1)  # [size, width / 2]

    rows = along(frequency)[:, None].expand(-1, time, -1)
    columns = along(time)[None].expand(frequency, -1, -1)
    return torch.cat((rows, columns), dim=2).reshape(1, frequency * time, width)


def _head(width: int, hidden: int, outputs: int) -> nn.Module:
    if not hidden:
        return nn.Linear(width, outputs)
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, outputs))
