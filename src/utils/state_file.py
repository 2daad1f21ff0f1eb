"""A training's state in one safetensors file: tensors and plain values, and the optimiser's part of both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor
from torch.optim import Optimizer

from ..files import write_tensors

# What damaged files, files of other models and files of strangers make `read_state` and its users raise.
DAMAGE = (OSError, AttributeError, LookupError, ValueError, TypeError, RuntimeError)
FORMAT = "1"
MOMENTS = "optimizer/"


def write_state(path: Path, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    """Write both to one file.

    Raises:
        UserError: if the operating system refuses; an earlier file is then as it was.
    """
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_tensors(path, on_cpu, {"format": FORMAT, "values": json.dumps(values)})


def read_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write_state` wrote.

    Raises:
        SafetensorError: or one of `DAMAGE`, if the file is no such state.
    """
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no dict
    if metadata.get("format") != FORMAT:
        raise ValueError("it was written by another version")
    return tensors, json.loads(metadata["values"])


def below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin so, by the rest of their names."""
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def moments(optimizer: Optimizer) -> dict[str, Tensor]:
    """What an optimiser keeps for each parameter, by names for `write_state`."""
    return {
        f"{MOMENTS}{index}/{name}": tensor
        for index, state in optimizer.state_dict()["state"].items()
        for name, tensor in state.items()
    }


def load_moments(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give them back, those of `moments` among `tensors`; rates and the like stay as they are.

    Raises:
        ValueError: if they belong to other parameters.
    """
    own = optimizer.state_dict()
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for name, tensor in below(MOMENTS, tensors).items():
        index, _, quantity = name.partition("/")
        if tensor.shape not in (torch.Size(), parameters[int(index)].shape):
            raise ValueError(f"{quantity} of parameter {index} has the shape {list(tensor.shape)}")
        own["state"].setdefault(int(index), {})[quantity] = tensor
    optimizer.load_state_dict(own)
