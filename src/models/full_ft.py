"""The method "full_ft": the whole backbone trains, with the dropout of its configuration."""

from __future__ import annotations

from dataclasses import dataclass

from transformers import ASTModel

from .method import Method, Trained, parameters_of, register


@dataclass(frozen=True)
class FullFinetuningOptions:
    """The method "full_ft" has no options."""


def install(backbone: ASTModel, options: FullFinetuningOptions) -> Trained:
    """Declare everything; nothing is put in."""
    return Trained({"method": parameters_of(backbone)}, modules=[backbone])


# The distillation token and the like may be zero in a checkpoint: these weights are its own, not ours to
# judge.
register("full_ft", Method(FullFinetuningOptions, install, may_start_at_zero=True))
