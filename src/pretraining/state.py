"""Pre-training midway, in one safetensors file from which it goes on to the bit on the same machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import nn
from torch.optim import Optimizer

from ..errors import UserError
from ..utils.state_file import DAMAGE, below, load_moments, moments, read_state, write_state

VALUES = ("step", "seconds", "rows", "times", "sums")


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
        weights = {f"model/{name}": tensor for name, tensor in self.model.state_dict().items()}
        values = {name: getattr(self, name) for name in VALUES}
        write_state(path, weights | moments(self.optimizer), values)

    def load(self, path: Path) -> None:
        """Take over what `save` wrote.

        Raises:
            UserError: if the file is damaged or belongs to another model; the state is then of no use.
        """
        try:
            tensors, values = read_state(path)
            self.model.load_state_dict(below("model/", tensors))
            load_moments(self.optimizer, tensors)
            for name in VALUES:
                setattr(self, name, values[name])
        except (SafetensorError, *DAMAGE) as error:
            raise UserError(
                f"{path} cannot be gone on from ({error}). Begin anew with --overwrite."
            ) from error
