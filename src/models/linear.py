"""The method "linear": a linear probe; only the final LayerNorm and the head train."""

from __future__ import annotations

from dataclasses import dataclass

from transformers import ASTModel

from .method import Method, Trained, parameters_of, register


@dataclass(frozen=True)
class LinearOptions:
    """The method "linear" has no options."""


def install(backbone: ASTModel, options: LinearOptions) -> Trained:
    """Declare the final LayerNorm; nothing is put in."""
    return Trained({"layernorm": parameters_of(backbone.layernorm)})


register("linear", Method(LinearOptions, install))
