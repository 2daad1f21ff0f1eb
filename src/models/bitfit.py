"""The method "bitfit" (Ben Zaken et al., 2022): the biases of every Linear and LayerNorm of the backbone
train.

The patch convolution's bias is not among them, as in the paper's code.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from transformers import ASTModel

from .method import Method, Trained, register


@dataclass(frozen=True)
class BitFitOptions:
    """The method "bitfit" has no options."""


def install(backbone: ASTModel, options: BitFitOptions) -> Trained:
    """Declare the biases; nothing is put in."""
    layers = (module for module in backbone.modules() if isinstance(module, nn.Linear | nn.LayerNorm))
    return Trained({"method": [layer.bias for layer in layers if layer.bias is not None]})


register("bitfit", Method(BitFitOptions, install))
