"""Clips in batches, gathered where they lie: on the GPU if they fit there, so that no step waits for a
copy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

SHARE_FOR_CLIPS = 0.25  # of the GPU's free memory; the rest is the model's


def place(clips: Tensor, device: torch.device) -> Tensor:
    """`clips` on `device` if they leave room for the model there, else where they are."""
    if device.type != "cuda":
        return clips
    free, _ = torch.cuda.mem_get_info(device)
    return clips.to(device) if clips.nbytes < SHARE_FOR_CLIPS * free else clips


class Batches:
    """Pairs of clips [B, ...] and labels [B], over and over in the same order unless `shuffled`.

    Args:
        clips: All of them, [clips, ...]; may be mapped from disk.
        labels: [clips].
        indices: Which of them, in which order.
        batch_size: Pairs per batch; the last batch may be smaller.
        device: Where batches are needed.

    Attributes:
        indices: Of the clips, in order.
    """

    def __init__(
        self,
        clips: Tensor,
        labels: Tensor,
        indices: Sequence[int] | Tensor,
        batch_size: int,
        device: torch.device,
    ) -> None:
        self._clips, self._labels = clips, labels
        self.indices = torch.as_tensor(indices, dtype=torch.long)
        self._batch_size, self._device = batch_size, device

    def __len__(self) -> int:
        """Number of batches."""
        return math.ceil(len(self.indices) / self._batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Gather one batch after the other."""
        for start in range(0, len(self.indices), self._batch_size):
            chosen = self.indices[start : start + self._batch_size]
            yield self._gather(self._clips, chosen), self._gather(self._labels, chosen)

    def shuffled(self, generator: torch.Generator) -> Batches:
        """The same clips in an order drawn from `generator`, on the CPU."""
        order = torch.randperm(len(self.indices), generator=generator)
        return Batches(self._clips, self._labels, self.indices[order], self._batch_size, self._device)

    def after(self, batches: int) -> Batches:
        """What is left behind the first so many batches."""
        left = self.indices[batches * self._batch_size :]
        return Batches(self._clips, self._labels, left, self._batch_size, self._device)

    def _gather(self, source: Tensor, chosen: Tensor) -> Tensor:
        rows = source[chosen.to(source.device, non_blocking=True)]
        if rows.device.type == "cpu" and self._device.type == "cuda":
            rows = rows.pin_memory()  # a copy from pinned memory lets the host go on
        return rows.to(self._device, non_blocking=True)
