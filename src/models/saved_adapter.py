"""An adapter folder on its way to a model: read, compared with its backbone, and put onto it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..adapter_folder import Declared, check_fit, declare, read_adapter, read_weights
from ..errors import UserError
from ..hub import local_adapter
from ..text import shown
from .ast_with_adapter import ASTWithAdapter
from .plan import Plan
from .shared_backbone import SharedBackbone


@dataclass(frozen=True)
class SavedAdapter:
    """An adapter folder, its weights apart.

    Attributes:
        folder: Where it is.
        plan: How its model is built.
        backbone: Where its backbone was when it was trained, as the folder has it.
        fingerprint: That backbone's.
        metadata: What else the folder tells.
    """

    folder: Path
    plan: Plan
    backbone: object
    fingerprint: object
    metadata: dict[str, Any]
    _declared: Declared

    @classmethod
    def read(cls, source: str | Path) -> SavedAdapter:
        """Read what the files declare.

        Args:
            source: The folder, or its id on the hub.

        Raises:
            UserError: if it is no adapter folder, or its settings are none that `build_model` takes.
        """
        folder = local_adapter(source)
        declared, config = read_adapter(folder)
        settings = dict(config.pop("model"))
        fingerprint, backbone = settings.pop("backbone_fingerprint"), settings.pop("backbone", None)
        try:
            plan = Plan.of(**settings)
        except TypeError as error:
            raise UserError(f"{folder}: its model settings are not this version's ({error}).") from error
        except UserError as error:
            raise UserError(f"{folder}: {error}") from error
        return cls(folder, plan, backbone, fingerprint, config, declared)

    def on(self, backbone: SharedBackbone, remedy: str) -> ASTWithAdapter:
        """The model in eval mode, the weights read.

        Args:
            backbone: Must be the one that the adapter was trained on.
            remedy: What to do if it is another.

        Raises:
            UserError: if it is another, or the weights are not finite or do not fit.
        """
        if backbone.fingerprint != self.fingerprint:
            raise UserError(
                f"{self.folder} was trained on a backbone with fingerprint {shown(self.fingerprint)[:100]}, "
                f"but {backbone.source!r} has {backbone.fingerprint}: other weights. {remedy}"
            )
        try:  # what the files declare is compared before either takes memory
            if (plan := repr(self.plan)) not in backbone.declared:
                backbone.declared[plan] = declare(self.plan.trained_tensors(backbone))
            check_fit(backbone.declared[plan], self._declared)
            model = self.plan.build_on(backbone)
            model.load_trained_state(read_weights(self.folder))
        except UserError as error:
            raise UserError(f"{self.folder}: {error}") from error
        model.metadata = self.metadata
        model._source = str(self.folder)
        return model
