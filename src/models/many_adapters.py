"""Many trained adapters on one loaded backbone: one of them active, or each clip of a batch with its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import overload

from torch import Tensor, nn

from ..errors import UserError
from ..text import is_plain
from .ast_with_adapter import ASTWithAdapter
from .mixed_batch import mixed_logits
from .saved_adapter import SavedAdapter
from .shared_backbone import SharedBackbone

FIRST = "default"  # the name of the adapter that a model is loaded with
# What an `ASTWithAdapter` is made of: this model has the active adapter's.
_WORN = (
    *("backbone", "classification_head", "settings", "backbone_fingerprint", "metadata"),
    *("_source", "_pooling", "_groups", "_follow_train_mode"),
)


class ManyAdapters(ASTWithAdapter):
    """A model whose adapters can be exchanged; made by `load_adapter`, with one.

    It is the active adapter's model in everything: `forward`, `features`, `labels`, `spectrogram`, what
    trains, what is counted and what `save_adapter` writes. The others wait beside it. All share the frozen
    weights, so each adds what its method trains, and a position table where none has its length and policy
    yet.
    """

    def __init__(self, backbone: SharedBackbone, first: ASTWithAdapter, name: str) -> None:
        _check_new(name, ())
        nn.Module.__init__(self)  # the rest of an ASTWithAdapter comes from the active adapter
        # In a tuple and a dict, so that torch does not count them as parts of this module.
        self._shared = (backbone,)
        self._models = {name: first}
        self._active = name
        _hand_over(first, self)
        self.train(False)

    @property
    def adapters(self) -> list[str]:
        """Names of all adapters, in the order in which they came."""
        return list(self._models)

    @property
    def active_adapter(self) -> str:
        """The name of the adapter that `set_adapter` chose last."""
        return self._active

    def get_adapter(self, name: str) -> ASTWithAdapter:
        """One adapter as a model of its own, with its `labels` and `spectrogram`; all it holds is shared.

        Raises:
            UserError: if there is no such adapter.
        """
        if not isinstance(name, str) or name not in self._models:
            raise UserError(
                f"There is no adapter {name!r:.100}; the adapters are: {', '.join(self.adapters)}."
            )
        _hand_over(self, self._models[self._active])  # what was set on this model since
        return self._models[name]

    def add_adapter(self, name: str, folder: str | Path) -> None:
        """Load another adapter of the same backbone; the active one stays active.

        Args:
            name: What to call it here.
            folder: What `save_adapter` wrote, or its id on the hub; of any method, classes, length, pooling
                and position policy.

        Raises:
            UserError: if the name is taken or none, `folder` is no adapter folder, or was trained on another
                backbone; the model is then unchanged.
        """
        _check_new(name, self.adapters)
        saved = SavedAdapter.read(folder)
        remedy = f"{self._active!r} stands on that one; load the other by itself, with load_adapter."
        self._models[name] = saved.on(self._shared[0], remedy)

    def set_adapter(self, name: str) -> None:
        """Make an adapter the active one. Nothing is computed, read or copied.

        Raises:
            UserError: if there is no such adapter.
        """
        chosen, training = self.get_adapter(name), self.training
        self.train(False)
        _hand_over(chosen, self)
        self._active = name
        self.train(training)

    def remove_adapter(self, name: str) -> None:
        """Forget an adapter, and free its memory: what it trained, and a position table that no other has.

        Raises:
            UserError: if there is no such adapter, or it is the active one.
        """
        self.get_adapter(name)
        if name == self._active:
            raise UserError(
                f"The adapter {name!r} is active: make another one active first, with set_adapter."
            )
        del self._models[name]
        self._shared[0].forget_tables(self._models.values())

    @overload
    def forward(self, x: Tensor, adapters: None = None) -> Tensor: ...

    @overload
    def forward(self, x: Tensor, adapters: Sequence[str]) -> list[Tensor]: ...

    def forward(self, x: Tensor, adapters: Sequence[str] | None = None) -> Tensor | list[Tensor]:
        """Logits of normalised spectrograms.

        Args:
            x: [B, max_length, num_mel_bins]; each clip's by the spectrogram settings of its own adapter.
            adapters: The name of each clip's adapter, B of them; without it, all clips are the active one's.

        Returns:
            [B, num_classes]; with `adapters` a list of B tensors [num_classes of that clip's adapter], for
            adapters may tell different numbers of classes apart.

        Raises:
            UserError: if the names are not one for each clip, name no adapter, or name adapters for clips of
                different lengths, or if the clips have another length.
        """
        if adapters is None:
            return super().forward(x)
        if isinstance(adapters, str) or (len(adapters),) != x.shape[:1]:
            raise UserError(
                f"adapters is {adapters!r:.100} for an input of {list(x.shape)}; it must be a list with one "
                "name for each clip."
            )
        models = [self.get_adapter(name) for name in adapters]
        lengths = {name: m.settings["max_length"] for name, m in zip(adapters, models, strict=True)}
        if len(set(lengths.values())) > 1:
            hear = ", ".join(f"{name!r} {frames}" for name, frames in lengths.items())
            raise UserError(
                "The clips of one batch have one length, but these adapters hear different numbers of "
                f"frames: {hear}. Give each length a batch of its own."
            )
        for model in models[:1]:
            model._check_input(x)
        return mixed_logits(x, models)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ManyAdapters:
        """Move or convert everything: the backbone as it was and the waiting adapters too."""
        for module in (*self._shared, *self._models.values()):
            module._apply(fn, recurse)  # type: ignore[no-untyped-call]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self


def _hand_over(source: ASTWithAdapter, target: ASTWithAdapter) -> None:
    for attribute in _WORN:
        setattr(target, attribute, getattr(source, attribute))


def _check_new(name: str, taken: Sequence[str]) -> None:
    if not isinstance(name, str) or not name or not is_plain(name):
        raise UserError(f"The name of an adapter is {name!r:.100}; it must be one line of text.")
    if name in taken:
        raise UserError(
            f"There is an adapter {name!r} already: choose another name, or first remove_adapter({name!r})."
        )
