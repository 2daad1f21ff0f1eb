"""From a state dict that the paper's reference code saved to an adapter folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from ..config import RunConfig
from ..errors import UserError
from ..models.build import build_model
from .environment import versions
from .torch_file import read_state_dict

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
    state = read_state_dict(file)
    if HEAD not in state or state[HEAD].ndim != 2 or state[HEAD].numel() == 0:
        raise UserError(f"{file} holds no {HEAD!r}: it is no state dict of the paper's reference code.")
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
