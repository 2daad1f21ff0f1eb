"""The folder that a trained method is: adapter_model.safetensors and adapter_config.json. No pickle, ever."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from .backbones import shipped
from .errors import UserError
from .files import json_text, list_some, read_json, write_tensors, write_text
from .text import is_plain, shown

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
CARD, PICTURE = "README.md", "confusion_matrix.png"  # for people; nothing is read from them
KEPT = "A run keeps its adapters in outputs/RUN/fold_N/last and .../best."
FORMAT = 1
MOST_PATH = 1000
MOST_HEADER_BYTES = 10_000_000  # full fine-tuning of AST declares 201 tensors in 25,000

Declared = dict[str, tuple[bool, tuple[int, ...]]]  # by name: whether of floating point, and the shape
FLOATS, WHOLE = (
    ("F64", "F32", "F16", "BF16"),
    ("I64",),
)  # types that safetensors knows and an adapter may have


def write_adapter(folder: Path, state: dict[str, Tensor], config: dict[str, Any]) -> None:
    """Write both files, each whole.

    Raises:
        UserError: if the configuration is not plain, or the operating system refuses.
    """
    try:
        text = json_text({"format": FORMAT, **config})
    except (TypeError, ValueError) as error:
        raise UserError(f"An adapter keeps plain, finite values beside its weights only: {error}.") from error
    write_tensors(folder / WEIGHTS, state)
    write_text(folder / CONFIG, text)


def read_adapter(folder: Path) -> tuple[Declared, dict[str, Any]]:
    """What the weights' file declares, and the configuration without its format number; no weights yet.

    Raises:
        UserError: if `folder` is no adapter folder of this format, or a file in it is damaged.
    """
    if missing := [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]:
        raise UserError(
            f"{folder} is no adapter folder, for it does not hold {' and '.join(missing)}. {KEPT}"
        )
    config = read_json(folder / CONFIG)
    if not isinstance(config, dict) or config.pop("format", None) != FORMAT:
        raise UserError(
            f"{folder / CONFIG} is not of adapter format {FORMAT}: another program or version wrote it. "
            "Train it again, or use the version that its README.md or `versions` names."
        )
    if not isinstance(config.get("model"), dict) or "backbone_fingerprint" not in config["model"]:
        raise UserError(f"{folder / CONFIG} has no complete section 'model'. Was it edited?")
    with _clear_errors(folder / WEIGHTS), (folder / WEIGHTS).open("rb") as file:
        if (header := int.from_bytes(file.read(8), "little")) > MOST_HEADER_BYTES:
            raise ValueError(f"it declares a header of {header:,} bytes")
    with _clear_errors(folder / WEIGHTS), safe_open(folder / WEIGHTS, framework="pt") as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  it is no dict
        types = {name: part.get_dtype() for name, part in slices.items()}
        if odd := sorted(name for name, kind in types.items() if kind not in (*FLOATS, *WHOLE)):
            raise ValueError(f"{odd[0]} is of type {types[odd[0]]}")
        return {n: (types[n] in FLOATS, tuple(part.get_shape())) for n, part in slices.items()}, config


def declare(state: Mapping[str, Tensor]) -> Declared:
    """What a file of these tensors would declare."""
    return {name: (tensor.is_floating_point(), tuple(tensor.shape)) for name, tensor in state.items()}


def check_fit(own: Declared, given: Declared) -> None:
    """Compare what a model trains with what a file or a state dict has for it.

    Raises:
        UserError: naming tensors that are missing, unknown, or of a wrong type or shape.
    """
    problems = [f"missing: {name}" for name in own.keys() - given.keys()]
    problems += [f"unknown: {shown(name)}" for name in given.keys() - own.keys()]
    problems += [
        f"shape {list(given[name][1])} instead of {list(own[name][1])}: {name}"
        if given[name][1] != own[name][1]
        else f"of another type: {name}"
        for name in own.keys() & given.keys()
        if given[name] != own[name]
    ]
    if problems:
        raise UserError(f"These weights do not fit the model:\n{list_some(sorted(problems))}")


def find_backbone(saved: object, folder: Path) -> str:
    """Where the backbone that an adapter names is now.

    Args:
        saved: As adapter_config.json has it: a hub id, the name of a shipped one, or a path as it was given
            at training.
        folder: The adapter folder (see `local_backbone`).

    Raises:
        UserError: if it is no name, or looks like a path and leads nowhere.
    """
    if saved is None or saved == "":
        raise UserError(
            f"{folder} was trained on a backbone in memory: give it as backbone=... or --backbone."
        )
    if not isinstance(saved, str) or not is_plain(saved) or len(saved) > MOST_PATH:
        raise UserError(f"{folder}: backbone is {saved!r:.100}, no name or path. Was {CONFIG} edited?")
    if shipped(saved):
        return saved
    if found := local_backbone(saved, folder):
        return found
    if saved.startswith((".", "~", "/")) or saved.count("/") != 1:
        raise UserError(
            f"{folder} was trained on the backbone {saved!r}, a path that leads nowhere from {Path.cwd()} or "
            "the folders around the adapter: say where the backbone is now with --backbone (or backbone=...)."
        )
    return saved


def local_backbone(saved: str, folder: Path) -> str | None:
    """Where on this machine the backbone lies that an adapter in `folder` names; None if nowhere.

    A path that leads nowhere from here is tried from the folders around the adapter, which are those of the
    project that it was trained in.
    """
    if Path(saved).exists():
        return saved
    places = (around / saved for around in folder.resolve().parents)
    return next((str(place) for place in places if (place / "config.json").is_file()), None)


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The trained tensors, on the CPU.

    Raises:
        UserError: if the file is damaged, or holds values that are not finite.
    """
    with _clear_errors(folder / WEIGHTS):
        state = load_file(folder / WEIGHTS)
    if bad := [name for name, tensor in state.items() if not tensor.isfinite().all()]:
        raise UserError(f"{folder / WEIGHTS} holds values that are not finite in:\n{list_some(sorted(bad))}")
    return state


@contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path} is damaged or no safetensors file ({error}).") from error
