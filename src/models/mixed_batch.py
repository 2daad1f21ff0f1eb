"""Clips of several adapters in one forward pass.

The adapters' backbones are laid over each other: a part that is the same in all of them, tensors and all,
computes the whole batch at once; where they differ, each adapter's own part computes its own clips. This
needs no knowledge of any method. What adds tokens makes sequences of another length, which cannot lie in one
tensor; such adapters go through the layers in a group of their own.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import ASTModel
from transformers.models.audio_spectrogram_transformer.modeling_audio_spectrogram_transformer import (
    ASTMLP,
    ASTAttention,
    ASTLayer,
)

from .ast_with_adapter import ASTWithAdapter
from .frozen import FrozenMLP
from .insertion import AdaptedFFN, AdaptedMHSA

# Their forward only calls their parts, so that a part may be replaced by `_EachItsRows`.
_CALLERS = (ASTLayer, ASTAttention, ASTMLP, FrozenMLP, AdaptedFFN, AdaptedMHSA)


def mixed_logits(x: Tensor, models: Sequence[ASTWithAdapter]) -> list[Tensor]:
    """Logits [num_classes] of every clip by its own adapter.

    Args:
        x: Normalised spectrograms [B, max_length, num_mel_bins].
        models: The adapter of each clip, B of them, all for this length and on one backbone.
    """
    rows: dict[ASTWithAdapter, list[int]] = {}
    for row, model in enumerate(models):
        rows.setdefault(model, []).append(row)
    groups: dict[Any, list[ASTWithAdapter]] = {}
    for model in rows:
        groups.setdefault(_form(model.backbone.embeddings), []).append(model)
    logits: dict[int, Tensor] = {}
    for group in groups.values():
        counts = [len(rows[model]) for model in group]
        backbone = _laid_over([model.backbone for model in group], counts)
        tokens = backbone(x[[row for model in group for row in rows[model]]]).last_hidden_state
        for model, own in zip(group, tokens.split(counts), strict=True):
            logits.update(zip(rows[model], model.classification_head(model.pool(own)), strict=True))
    return [logits[row] for row in range(len(models))]


def _form(embeddings: nn.Module) -> Any:
    """The class and all shapes: where these agree, there are as many tokens."""
    return type(embeddings), tuple((name, p.shape) for name, p in embeddings.named_parameters())


def _laid_over(backbones: Sequence[ASTModel], counts: Sequence[int]) -> ASTModel:
    """A backbone that computes `counts[i]` clips as `backbones[i]` does, one adapter's after the other's."""
    merged = copy.copy(backbones[0])
    layers = zip(*(backbone.layers for backbone in backbones), strict=True)
    merged._modules = {
        "embeddings": _merge([backbone.embeddings for backbone in backbones], counts),
        "layers": nn.ModuleList(_merge(layer, counts) for layer in layers),
        "layernorm": _merge([backbone.layernorm for backbone in backbones], counts),
    }
    return merged


def _merge(parts: Sequence[nn.Module], counts: Sequence[int]) -> nn.Module:
    """One module for all: the first where all are the same, else as much of it in common as there is."""
    first = parts[0]
    if not all(_alike(first, part) for part in parts[1:]):
        return _EachItsRows(parts, counts)
    children = {name: _merge([part.get_submodule(name) for part in parts], counts) for name in _names(first)}
    if all(child is first.get_submodule(name) for name, child in children.items()):
        return first
    # A part without a forward, such as a prefix, is looked into and not called.
    if type(first) not in _CALLERS or any(_is_passive(part) for part in first.children()):
        return _EachItsRows(parts, counts)
    merged = copy.copy(first)
    merged._modules = {**first._modules, **children}
    return merged


def _alike(one: nn.Module, other: nn.Module) -> bool:
    """Whether two modules are of one class and settings and hold the very same tensors, their parts aside."""
    return (
        type(one) is type(other) and _names(one) == _names(other) and bool(_contents(one) == _contents(other))
    )


def _contents(module: nn.Module) -> dict[str, Any]:
    """All that a module holds but its parts; tensors by identity, for equal ones may yet train apart."""
    held = {**vars(module), **module._parameters, **module._buffers}
    return {
        name: id(value) if isinstance(value, Tensor) else value
        for name, value in held.items()
        if name not in ("_parameters", "_buffers", "_modules")
    }


def _names(module: nn.Module) -> list[str]:
    return [name for name, _ in module.named_children()]


def _is_passive(module: nn.Module) -> bool:
    return type(module).forward is nn.Module.forward


class _EachItsRows(nn.Module):
    """A part that differs between adapters: each adapter's own computes that adapter's clips."""

    def __init__(self, parts: Sequence[nn.Module], counts: Sequence[int]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self._counts = list(counts)

    def forward(self, x: Tensor, *rest: Any, **more: Any) -> Any:
        """What the parts give for their rows of x [B, ...], joined; of a tuple, each of its tensors."""
        pieces = torch.split(x, self._counts)
        given = [part(own, *rest, **more) for part, own in zip(self.parts, pieces, strict=True)]
        if isinstance(given[0], tuple):  # attention and its probabilities, if there are any
            return tuple(
                None if columns[0] is None else torch.cat(columns) for columns in zip(*given, strict=True)
            )
        return torch.cat(given)
