"""What shall be made of a backbone: the arguments of `build_model` checked, and the model built from them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import ASTModel

from ..config import MOST_FRAMES
from ..errors import UserError
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
from .backbone import PositionEmbeddings, fingerprint, fit_length
from .frozen import speed_up
from .method import Trained, check_initialised, get_method
from .shared_backbone import SharedBackbone, own_copies

MOST_CLASSES = 100_000
ADAPTED = "petl_ast_method"  # set on a backbone that a method has entered


@dataclass(frozen=True)
class Plan:
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
    ) -> Plan:
        """Check the arguments of `build_model`.

        Raises:
            UserError: naming an argument or option that is not one there is.
        """
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

    def build(self, ast: ASTModel, source: str) -> ASTWithAdapter:
        """Adapt `ast` itself, which is called `source`."""
        checksum = fingerprint(ast)
        fit_length(ast, self.max_length, self.position_embeddings)
        return self._finished(*self._adapt(ast), source, checksum)

    def build_on(self, shared: SharedBackbone) -> ASTWithAdapter:
        """Adapt a tree of `shared`, of whose tensors it copies those that train."""
        ast = shared.tree(self.max_length, self.position_embeddings)
        ids = {id(parameter) for parameter in ast.parameters()}
        model = self._finished(*self._adapt(ast, ids), shared.source, shared.fingerprint)
        return model.to(shared.ast.embeddings.cls_token)  # to its device and precision

    def trained_tensors(self, shared: SharedBackbone) -> dict[str, Tensor]:
        """What `ASTWithAdapter.trained_state` would be on this backbone, without the memory."""
        try:
            with torch.device("meta"):
                ast = shared.shape()
                fit_length(ast, self.max_length, self.position_embeddings)
                model, _ = self._adapt(ast)
        except (RuntimeError, TypeError, OverflowError) as error:  # torch's, for sizes beyond 64 bits
            reason = str(error).splitlines()[0]
            raise UserError(f"method_options of {self.method!r} make no model ({reason}).") from error
        return model.trained_state()

    def _adapt(self, ast: ASTModel, shared: Collection[int] = ()) -> tuple[ASTWithAdapter, Trained]:
        trained = get_method(self.method).install(ast, self.options)
        trained = own_copies(ast, trained, shared)
        setattr(ast, ADAPTED, self.method)
        return ASTWithAdapter(ast, self.num_classes, self.pooling, trained), trained

    def _finished(
        self, model: ASTWithAdapter, trained: Trained, source: str, checksum: str
    ) -> ASTWithAdapter:
        chosen = get_method(self.method)
        check_initialised(trained, chosen.may_start_at_zero)
        speed_up(model.backbone)
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
