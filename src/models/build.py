"""From a backbone and a method, or from an adapter folder, to a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from transformers import ASTModel

from ..adapter_folder import find_backbone
from ..errors import UserError
from .ast_with_adapter import ASTWithAdapter
from .backbone import PositionEmbeddings, load_backbone
from .many_adapters import FIRST, ManyAdapters
from .plan import ADAPTED, Plan
from .saved_adapter import SavedAdapter
from .shared_backbone import SharedBackbone


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
    plan = Plan.of(num_classes, max_length, method, method_options, position_embeddings, pooling)
    if isinstance(backbone, ASTModel) and hasattr(backbone, ADAPTED):
        raise UserError("This ASTModel has been adapted already; build each model from one of its own.")
    ast = backbone.float().eval() if isinstance(backbone, ASTModel) else load_backbone(backbone)
    source = ast.name_or_path if isinstance(backbone, ASTModel) else str(backbone)
    return plan.build(ast, source)


def load_adapter(
    folder: str | Path, backbone: str | Path | ASTModel | None = None, name: str = FIRST
) -> ManyAdapters:
    """The trained model that `save_adapter` wrote, in eval mode; more adapters may join it.

    Args:
        folder: The adapter folder, or its id on the hub: USER/NAME, USER/NAME@REVISION.
        backbone: Where the frozen backbone is, if not where it was when the adapter was trained. An ASTModel
            in memory stays as it is, and its float32 weights are shared, not copied: do not train them.
        name: What the adapter is called beside others (see `ManyAdapters`).

    Raises:
        UserError: if the folder is no adapter folder, or its backbone is another than the one it was trained
            on.
    """
    saved = SavedAdapter.read(folder)
    source = find_backbone(saved.backbone, saved.folder) if backbone is None else backbone
    if isinstance(source, ASTModel) and hasattr(source, ADAPTED):
        raise UserError(
            "This ASTModel has been adapted already. Give one that was not; a model that load_adapter gave "
            "takes more adapters by its add_adapter."
        )
    if isinstance(source, ASTModel):
        shared = SharedBackbone(source, source.name_or_path)
    else:
        try:
            shared = SharedBackbone(load_backbone(source), str(source))
        except UserError as error:
            if backbone is not None:
                raise
            raise UserError(
                f"{error}\n{saved.folder} was trained on it; if it lies elsewhere, say where with --backbone "
                "(or backbone=...)."
            ) from error
    model = saved.on(shared, "Name the right one with --backbone (or backbone=...).")
    return ManyAdapters(shared, model, name)
