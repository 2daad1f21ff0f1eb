"""A fold in the middle of its training, kept in one file from which it goes on to the bit.

The file is safetensors, written whole: tensors, and the rest as JSON in its header. What can be drawn again
from the seed (weights at the start, order of the clips) is not in it; docs/reliability.md lists what is.
"""

from __future__ import annotations

import time
import zlib
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..errors import UserError
from ..models.ast_with_adapter import ASTWithAdapter
from .epoch_sums import EpochSums
from .state_file import DAMAGE, below, load_moments, moments, read_state, write_state

Row = dict[str, Any]
SHARE_OF_TIME = 0.01  # that saving may take where nobody asked for a number of steps


class TrainingState:
    """A fold's model, optimiser and schedule, and how far its training has come.

    Attributes:
        epoch: The one in progress, counted from 1; one more than there are when all are done.
        sums: Of its steps so far.
        draws: Generator of its augmentation, on the device.
        learning_rate: At its start.
        epoch_seconds: Spent on its steps.
        rows: Figures of the finished epochs.
        times: Seconds of the finished epochs.
        best: The row of the best one; empty before the first.
        best_state: The trained tensors after it.
        seconds: Spent on the fold.
        micro_batch_size: Clips that memory holds at once, if it ran out before.
    """

    def __init__(
        self, model: ASTWithAdapter, optimizer: Optimizer, scheduler: LRScheduler, accelerator: Accelerator
    ) -> None:
        self.model, self.optimizer, self.scheduler = model, optimizer, scheduler
        self.accelerator = accelerator
        self.epoch = 1
        self.sums = EpochSums(accelerator.device)
        self.draws = torch.Generator(accelerator.device)
        self.learning_rate = 0.0
        self.epoch_seconds = self.seconds = 0.0
        self.rows: list[Row] = []
        self.times: list[Row] = []
        self.best: Row = {}
        self.best_state: dict[str, Tensor] = {}
        self.micro_batch_size: int | None = None

    def finish_epoch(self, row: Row, times: Row, is_best: bool) -> None:
        """Note what the epoch came to and go to the next."""
        self.rows.append(row)
        self.times.append(times)
        if is_best:
            self.best = row
            self.best_state = {name: t.detach().clone() for name, t in self.model.trained_state().items()}
        self.epoch += 1
        self.sums = EpochSums(self.accelerator.device)
        self.epoch_seconds = 0.0

    def save(self, path: Path) -> None:
        """Write everything to one file.

        Raises:
            UserError: if the operating system refuses; an earlier file is then as it was.
        """
        tensors = {
            **{f"model/{name}": tensor for name, tensor in self.model.trained_state().items()},
            **{f"best/{name}": tensor for name, tensor in self.best_state.items()},
            **moments(self.optimizer),
            **self._random_states(),
        }
        values = {
            "epoch": self.epoch,
            "steps": self.sums.steps,
            "sums": self.sums.values.tolist(),
            "learning_rate": self.learning_rate,
            "rates": [[group["initial_lr"], group["lr"]] for group in self.optimizer.param_groups],
            "scheduler": self.scheduler.state_dict(),
            "scaler": self.accelerator.scaler.state_dict() if self.accelerator.scaler else None,
            "rows": self.rows,
            "times": self.times,
            "best": self.best,
            "epoch_seconds": self.epoch_seconds,
            "seconds": self.seconds,
            "micro_batch_size": self.micro_batch_size,
            "device": self.accelerator.device.type,
        }
        write_state(path, tensors, values)

    def load(self, path: Path) -> None:
        """Take over what `save` wrote.

        Raises:
            UserError: if the file is damaged or belongs to another training; the state is then of no use.
        """
        try:
            self._take_over(*read_state(path))
        except (SafetensorError, UserError, *DAMAGE) as error:
            raise UserError(
                f"{path} cannot be gone on from ({error}). Delete it to begin this fold again; "
                "finished folds stay."
            ) from error

    def _take_over(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        self.model.load_trained_state(below("model/", tensors))
        device = self.accelerator.device
        self.best_state = {name: tensor.to(device) for name, tensor in below("best/", tensors).items()}
        for group, (initial, current) in zip(self.optimizer.param_groups, values["rates"], strict=True):
            group["initial_lr"], group["lr"] = initial, current
        load_moments(self.optimizer, tensors)
        self.scheduler.load_state_dict(values["scheduler"])
        if self.accelerator.scaler and values["scaler"]:
            self.accelerator.scaler.load_state_dict(values["scaler"])
        torch.set_rng_state(tensors["random/host"])
        if values["device"] == device.type:
            self.draws.set_state(tensors["random/draws"])
            if device.type != "cpu":
                torch.get_device_module(device).set_rng_state(tensors["random/device"])
        else:  # another kind of device draws other numbers from a state, if it takes it at all
            self.draws.manual_seed(zlib.crc32(tensors["random/draws"].numpy().tobytes()))
        self.epoch, self.rows, self.times = values["epoch"], values["rows"], values["times"]
        self.best, self.learning_rate = values["best"], values["learning_rate"]
        self.epoch_seconds, self.seconds = values["epoch_seconds"], values["seconds"]
        self.micro_batch_size = values["micro_batch_size"]
        self.sums = EpochSums(device, values["steps"], values["sums"])

    def _random_states(self) -> dict[str, Tensor]:
        states = {"random/host": torch.get_rng_state(), "random/draws": self.draws.get_state()}
        if (device := self.accelerator.device).type != "cpu":  # dropout draws there
            states["random/device"] = torch.get_device_module(device).get_rng_state()
        return states


class Saved(Protocol):
    """What has a state to keep."""

    def save(self, path: Path) -> None:
        """Write it to one file."""


class Cadence:
    """When to save: every so many steps, or, if that is left open, as often as costs 1 % of the time."""

    def __init__(self, steps: int | None) -> None:
        self._steps = steps
        self._last, self._cost = time.monotonic(), 0.0

    def due(self, step: int) -> bool:
        """Whether to save after that step of an epoch, counted from 1."""
        if self._steps is not None:
            return step % self._steps == 0
        return SHARE_OF_TIME * (time.monotonic() - self._last) >= self._cost

    def save(self, state: Saved, path: Path) -> None:
        """Save, and note what it cost."""
        start = time.monotonic()
        state.save(path)
        self._last = time.monotonic()
        self._cost = self._last - start
