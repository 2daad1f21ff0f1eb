"""Pre-training midway, in one safetensors file from which it goes on to the bit on the same machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.optim import Optimizer

from ..errors import UserError
from ..files import write_tensors

FORMAT = "1"


class PretrainState:
    """Weights, the optimiser's moments, and how far training has come.

    Attributes:
        step: Steps done.
        seconds: Spent on them.
        rows: Figures of the stretches of steps so far.
        times: Seconds of these.
        sums: Of the losses since the last row.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer) -> None:
        self.model, self.optimizer = model, optimizer
        self.step = 0
        self.seconds = 0.0
        self.rows: list[dict[str, Any]] = []
        self.times: list[dict[str, Any]] = []
        self.sums: dict[str, float] = {}

    def save(self, path: Path) -> None:
        """Write everything to one file.

        Raises:
            UserError: if the operating system refuses; an earlier file is then as it was.
        """
        moments = {
            f"optimizer/{index}/{name}": tensor
            for index, state in self.optimizer.state_dict()["state"].items()
            for name, tensor in state.items()
        }
        tensors = {**{f"model/{name}": tensor for name, tensor in self.model.state_dict().items()}, **moments}
        values = {name: getattr(self, name) for name in ("step", "seconds", "rows", "times", "sums")}
        on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        write_tensors(path, on_cpu, {"format": FORMAT, "values": json.dumps(values)})

    def load(self, path: Path) -> None:
        """Take over what `save` wrote.

        Raises:
            UserError: if the file is damaged or belongs to another model; the state is then of no use.
        """
        try:
            with safe_open(path, "pt") as file:
                metadata = file.metadata()
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no dict
            if metadata.get("format") != FORMAT:
                raise ValueError("it was written by another version")
            self._take_over(tensors, json.loads(metadata["values"]))
        except (SafetensorError, OSError, AttributeError, LookupError, ValueError, RuntimeError) as error:
            raise UserError(
                f"{path} cannot be gone on from ({error}). Begin anew with --overwrite true."
            ) from error

    def _take_over(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        weights = {n.removeprefix("model/"): t for n, t in tensors.items() if n.startswith("model/")}
        self.model.load_state_dict(weights)
        own = self.optimizer.state_dict()
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        for name, tensor in tensors.items():
            if name.startswith("optimizer/"):
                _, index, quantity = name.split("/")
                if tensor.shape not in (torch.Size(), parameters[int(index)].shape):
                    raise ValueError(f"{quantity} of parameter {index} has the shape {list(tensor.shape)}")
                own["state"].setdefault(int(index), {})[quantity] = tensor
        self.optimizer.load_state_dict(own)
        for name in ("step", "seconds", "rows", "times", "sums"):
            setattr(self, name, values[name])
