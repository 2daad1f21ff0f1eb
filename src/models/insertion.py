"""How a module enters an encoder layer: beside or behind its attention (MHSA) or its feed-forward network
(FFN).

Each wraps the layer's own sub-module, so that transformers' layer stays as it is.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class _Adapted(nn.Module):
    """A frozen sub-module and an adapter.

    Args:
        frozen: The backbone's sub-module, computing y from x.
        adapter: [B, N, d] -> [B, N, d].
        sequential: The adapter sees y and its output takes y's place; otherwise it sees x and its output is
        added to y.
        residual: The adapter's input is added to its output.
    """

    def __init__(self, frozen: nn.Module, adapter: nn.Module, sequential: bool, residual: bool) -> None:
        super().__init__()
        self.frozen = frozen
        self.adapter = adapter
        self._sequential = sequential
        self._residual = residual

    def _combine(self, x: Tensor, y: Tensor) -> Tensor:
        seen = y if self._sequential else x
        adapted: Tensor = self.adapter(seen)
        if self._residual:
            adapted = adapted + seen
        return adapted if self._sequential else y + adapted


class AdaptedFFN(_Adapted):
    """Takes the place of a layer's `mlp`."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, d] -> [B, N, d]."""
        return self._combine(x, self.frozen(x))


class AdaptedMHSA(_Adapted):
    """Takes the place of a layer's `attention`; returns attention probabilities, if any, as it does."""

    def forward(self, x: Tensor, *rest: Any, **more: Any) -> tuple[Tensor, Any]:
        """[B, N, d] -> [B, N, d] and what else the attention returns."""
        y, probabilities = self.frozen(x, *rest, **more)
        return self._combine(x, y), probabilities


def adapt_ffn(layer: nn.Module, adapter: nn.Module, sequential: bool = False, residual: bool = False) -> None:
    """Put `adapter` beside (or behind) the layer's feed-forward network."""
    layer.mlp = AdaptedFFN(layer.mlp, adapter, sequential, residual)  # type: ignore[arg-type]


def adapt_mhsa(
    layer: nn.Module, adapter: nn.Module, sequential: bool = False, residual: bool = False
) -> None:
    """Put `adapter` beside (or behind) the layer's attention."""
    layer.attention = AdaptedMHSA(layer.attention, adapter, sequential, residual)  # type: ignore[arg-type]
