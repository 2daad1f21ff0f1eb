"""The folder that a trained method is: adapter_model.safetensors and adapter_config.json. No pickle, ever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from .errors import UserError
from .files import json_text, read_json, write_text, write_whole

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
FORMAT = 1


def write_adapter(folder: Path, state: dict[str, Tensor], config: dict[str, Any]) -> None:
    """Write both files, each whole.

    Raises:
        UserError: if the configuration is not plain, or the operating system refuses.
    """
    try:
        text = json_text({"format": FORMAT, **config})
    except (TypeError, ValueError) as error:
        raise UserError(f"An adapter keeps plain, finite values beside its weights only: {error}.") from error
    write_whole(folder / WEIGHTS, lambda path: save_file(state, path))
    write_text(folder / CONFIG, text)


def read_adapter(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Trained tensors on the CPU, and the configuration without its format number.

    Raises:
        UserError: if `folder` is no adapter folder of this format, or a file in it is damaged.
    """
    if not (folder / CONFIG).is_file() or not (folder / WEIGHTS).is_file():
        raise UserError(
            f"{folder} is no adapter folder: it must hold {CONFIG} and {WEIGHTS}. "
            "A run keeps its adapters in outputs/RUN/fold_N/last and .../best."
        )
    config = read_json(folder / CONFIG)
    if not isinstance(config, dict) or config.pop("format", None) != FORMAT:
        raise UserError(
            f"{folder / CONFIG} is not of adapter format {FORMAT}: another program or version wrote it."
        )
    if not isinstance(config.get("model"), dict) or "backbone_fingerprint" not in config["model"]:
        raise UserError(f"{folder / CONFIG} has no complete section 'model'. Was it edited?")
    try:
        return load_file(folder / WEIGHTS), config
    except (SafetensorError, OSError) as error:
        raise UserError(f"{folder / WEIGHTS} is damaged or no safetensors file ({error}).") from error
