"""From a state dict that the paper's reference code saved to an adapter folder."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..config import RunConfig
from ..errors import UserError
from ..models.ast_with_adapter import build_model
from .environment import versions

HEAD = "classification_head.weight"


def import_reference(
    file: Path, folder: Path, config: RunConfig, labels: Sequence[str] | None = None
) -> None:
    """Write the adapter folder of a state dict that the reference code saved.

    Args:
        file: Written by torch.save; a mapping of the reference code's names to tensors, whole or the trained
        part alone.
        folder: The adapter folder to write.
        config: Which model the tensors belong to, and the spectrogram settings they were trained with.
        labels: Class names in the head's order; "class 0", "class 1", ... if not given.

    Raises:
        UserError: if the file is no such state dict, or does not fit the configuration or the labels.
    """
    state = _read(file)
    classes = len(state[HEAD])
    names = [f"class {i}" for i in range(classes)] if labels is None else list(labels)
    if len(names) != classes:
        raise UserError(f"{file} tells {classes} classes apart, but --labels names {len(names)}.")
    model = build_model(num_classes=classes, max_length=config.spectrogram.max_length, **vars(config.model))
    try:
        model.load_reference_state_dict(state)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    model.save_adapter(
        folder,
        labels=names,
        spectrogram=dataclasses.asdict(config.spectrogram),
        imported_from=file.name,
        versions=versions(),
    )


def _read(file: Path) -> dict[str, Tensor]:
    """The state dict, read without running code from the file."""
    if not file.is_file():
        raise UserError(f"{file}: no such file.")
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise UserError(
            f"{file} cannot be read as a torch file of plain tensors ({str(error).splitlines()[0]}).\n"
            "Save the reference model with torch.save(model.state_dict(), FILE)."
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{file} holds no state dict: save it with torch.save(model.state_dict(), FILE).")
    if HEAD not in state or state[HEAD].ndim != 2:
        raise UserError(f"{file} holds no {HEAD!r}: it is no state dict of the paper's reference code.")
    return dict(state)
