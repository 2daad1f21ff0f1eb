"""petl-ast pretrain: a backbone from procedural sound."""

from __future__ import annotations

from typing import Any

from jsonargparse import ArgumentParser, Namespace

from ..imports import quick_imports
from ..pretraining.config import PretrainConfig
from .verb import Verb, add_run_options


def _add_options(parser: ArgumentParser) -> None:
    add_run_options(parser, PretrainConfig, "pretrain")


def _run(options: Namespace) -> int:
    """Pre-train a small AST on procedural sounds: a backbone made from nothing but code.

    petl-ast pretrain --config configs/pretrain_synthetic.yaml
    Takes hours on a processor; stopped at any time, the same command goes on. The backbone is then the
    folder outputs/pretrain/backbone, for --model.backbone.
    """
    with quick_imports():
        from ..pretraining.run import pretrain

    values: dict[str, Any] = {name: value for name, value in vars(options).items() if name != "config"}
    print(pretrain(PretrainConfig(**values)))
    return 0


VERB = Verb(_add_options, _run, config=PretrainConfig)
