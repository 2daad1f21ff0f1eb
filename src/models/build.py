"""From a backbone and a method, or from an adapter folder, to a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import ASTConfig, ASTModel

from ..adapter_folder import check_fit, declare, find_backbone, read_adapter, read_weights
from ..config import MOST_FRAMES
from ..errors import UserError
from ..text import shown
from . import (  # noqa: F401  importing a method registers it
    adapter,
    bitfit,
    dense_moa,
    full_ft,
    linear,
    lora,
    prefix_tuning,
    prompt_tuning,
    soft_moa,
)
from .ast_with_adapter import ASTWithAdapter
from .backbone import PositionEmbeddings, fingerprint, fit_length, load_backbone
from .frozen import speed_up
from .method import Trained, check_initialised, get_method

MOST_CLASSES = 100_000
ADAPTED = "petl_ast_method"  # set on a backbone that a method has entered


def build_model(
    backbone: str | Path | ASTModel,
    num_classes: int,
    max_length: int = 500,
    method: str = "adapter",
    method_options: Mapping[str, Any] | None = None,
    position_embeddings: PositionEmbeddings = "crop",
    pooling: Literal["mean", "cls"] = "mean",
) -> ASTWithAdapter:
    """A frozen AST adapted by a method, ready to train.

    Args:
        backbone: Hub id or folder of a checkpoint, or an ASTModel in memory, which is then taken over and
        changed.
        num_classes: Outputs of the head.
        max_length: Frames per clip.
        method: Name of a registered method.
        method_options: The method's options; what is not given keeps the method's default.
        position_embeddings: How the checkpoint's table is fitted to `max_length` (see
        `backbone.fit_position_table`).
        pooling: "mean" over all tokens (the paper's) or the "cls" token, before the head.

    Raises:
        UserError: if the backbone cannot be loaded, or an argument or option is not one there is.
    """
    plan = _Plan.of(num_classes, max_length, method, method_options, position_embeddings, pooling)
    if isinstance(backbone, ASTModel) and hasattr(backbone, ADAPTED):
        raise UserError("This ASTModel has been adapted already; build each model from one of its own.")
    ast = backbone.float().eval() if isinstance(backbone, ASTModel) else load_backbone(backbone)
    source = ast.name_or_path if isinstance(backbone, ASTModel) else str(backbone)
    return plan.build(ast, source, fingerprint(ast))


@dataclass(frozen=True)
class _Plan:
    """What `build_model` shall do to a backbone, its arguments checked."""

    num_classes: int
    max_length: int
    method: str
    options: Any
    position_embeddings: PositionEmbeddings
    pooling: Literal["mean", "cls"]

    @classmethod
    def of(
        cls,
        num_classes: int,
        max_length: int = 500,
        method: str = "adapter",
        method_options: Mapping[str, Any] | None = None,
        position_embeddings: PositionEmbeddings = "crop",
        pooling: Literal["mean", "cls"] = "mean",
    ) -> _Plan:
        for name, number, most in (
            ("num_classes", num_classes, MOST_CLASSES),
            ("max_length", max_length, MOST_FRAMES),
        ):
            if type(number) is not int or not 1 <= number <= most:
                raise UserError(
                    f"{name} is {number!r:.100}; it must be a whole number of at least 1, at most {most:,}."
                )
        for name, value, known in (
            ("position_embeddings", position_embeddings, ("crop", "interpolate", "zeros")),
            ("pooling", pooling, ("mean", "cls")),
        ):
            if value not in known:
                raise UserError(f"{name} is {value!r:.100}; it must be one of: {', '.join(known)}.")
        if not isinstance(method, str) or not isinstance(method_options, Mapping | None):
            given = f"{method!r:.100} with {method_options!r:.100}"
            raise UserError(f"The method is {given}; it must be a name, its method_options a mapping.")
        options = get_method(method).parse_options(
            dict(method_options or {}), f"method_options of {method!r}"
        )
        return cls(num_classes, max_length, method, options, position_embeddings, pooling)

    def build(self, ast: ASTModel, source: str, checksum: str) -> ASTWithAdapter:
        """Adapt `ast`, whose weights are those of `checksum`."""
        model, trained = self._adapt(ast)
        chosen = get_method(self.method)
        check_initialised(trained, chosen.may_start_at_zero)
        speed_up(ast)
        model.backbone_fingerprint = checksum
        model.settings = {
            "backbone": source,
            "num_classes": self.num_classes,
            "max_length": self.max_length,
            "method": self.method,
            "method_options": chosen.plain_options(self.options),
            "position_embeddings": self.position_embeddings,
            "pooling": self.pooling,
        }
        return model

    def trained_tensors(self, config: ASTConfig) -> dict[str, Tensor]:
        """What `ASTWithAdapter.trained_state` would be on such a backbone, without the memory."""
        try:
            with torch.device("meta"):
                model, _ = self._adapt(ASTModel(ASTConfig.from_dict(config.to_dict())))
        except (RuntimeError, TypeError, OverflowError) as error:  # torch's, for sizes beyond 64 bits
            reason = str(error).splitlines()[0]
            raise UserError(f"method_options of {self.method!r} make no model ({reason}).") from error
        return model.trained_state()

    def _adapt(self, ast: ASTModel) -> tuple[ASTWithAdapter, Trained]:
        fit_length(ast, self.max_length, self.position_embeddings)
        trained = get_method(self.method).install(ast, self.options)
        setattr(ast, ADAPTED, self.method)
        return ASTWithAdapter(ast, self.num_classes, self.pooling, trained), trained


def load_adapter(folder: str | Path, backbone: str | Path | ASTModel | None = None) -> ASTWithAdapter:
    """The trained model that `save_adapter` wrote, in eval mode.

    Args:
        folder: The adapter folder.
        backbone: Where the frozen backbone is, if not where it was when the adapter was trained.

    Raises:
        UserError: if the folder is no adapter folder, or its backbone is another than the one it was trained
            on.
    """
    declared, config = read_adapter(Path(folder))
    settings = dict(config.pop("model"))
    expected, saved = settings.pop("backbone_fingerprint"), settings.pop("backbone", None)
    try:
        plan = _Plan.of(**settings)
    except TypeError as error:
        raise UserError(f"{folder}: its model settings are not this version's ({error}).") from error
    except UserError as error:
        raise UserError(f"{folder}: {error}") from error
    source = find_backbone(saved, Path(folder)) if backbone is None else backbone
    ast = source if isinstance(source, ASTModel) else load_backbone(source)
    if isinstance(source, ASTModel) and hasattr(source, ADAPTED):
        raise UserError("This ASTModel has been adapted already; load each adapter into one of its own.")
    if (checksum := fingerprint(ast.float().eval())) != expected:
        name = source.name_or_path if isinstance(source, ASTModel) else str(source)
        raise UserError(
            f"{folder} was trained on a backbone with fingerprint {shown(expected)[:100]}, but "
            f"{name!r} has {checksum}: other weights. Name the right one with --backbone (or backbone=...)."
        )
    try:  # what the files declare is compared before either takes memory
        check_fit(declare(plan.trained_tensors(ast.config)), declared)
        model = plan.build(ast, ast.name_or_path if isinstance(source, ASTModel) else str(source), checksum)
        model.load_trained_state(read_weights(Path(folder)))
    except UserError as error:
        raise UserError(f"{folder}: {error}") from error
    model.metadata = config
    model._source = str(folder)
    return model
