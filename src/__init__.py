"""PETL-AST: adapt a frozen Audio Spectrogram Transformer to new sounds by training about 0.3 % of its
parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["ESC50Dataset", "ManyAdapters", "__version__", "build_model", "load_adapter"]

if TYPE_CHECKING:
    from .data.esc50_dataset import ESC50Dataset
    from .models.build import build_model, load_adapter
    from .models.many_adapters import ManyAdapters


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: torch and transformers take seconds, `petl-ast --help` must
    not.
    """
    if name == "ESC50Dataset":
        from .data.esc50_dataset import ESC50Dataset

        return ESC50Dataset
    if name in ("ManyAdapters", "build_model", "load_adapter"):
        from .models import build

        return getattr(build, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
