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
    """Pairs of clips [B, ...] and labels ([B] or [B, classes]), over and over in the same order unless
    `shuffled`.

    Args:
        clips: All of them, [clips, ...]; may be mapped from disk, and a view.
        labels: [clips], or [clips, classes] of 0 and 1 where a clip may have several.
        indices: Which of them, in which order.
        batch_size: Pairs per batch; the last batch may be smaller.
        device: Where batches are needed.
        positions: Where in `clips` each of them is found, if not at its index.

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
        positions: Sequence[int] | Tensor | None = None,
    ) -> None:
        self._clips, self._labels = clips, labels
        self.indices = torch.as_tensor(indices, dtype=torch.long)
        self._positions = self.indices if positions is None else torch.as_tensor(positions, dtype=torch.long)
        self._batch_size, self._device = batch_size, device

    def __len__(self) -> int:
        """Number of batches."""
        return math.ceil(len(self.indices) / self._batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Gather one batch after the other."""
        for start in range(0, len(self.indices), self._batch_size):
            batch = slice(start, start + self._batch_size)
            clips = self._gather(self._clips, self._positions[batch])
            yield clips, self._gather(self._labels, self.indices[batch])

    def shuffled(self, generator: torch.Generator) -> Batches:
        """The same clips in an order drawn from `generator`, on the CPU."""
        return self._chosen(torch.randperm(len(self.indices), generator=generator))

    def after(self, batches: int) -> Batches:
        """What is left behind the first so many batches."""
        return self._chosen(slice(batches * self._batch_size, None))

    def at(self, positions: Tensor) -> Batches:
        """The same clips and labels, the clips found at other places: `positions[index]` of each."""
        places = positions[self.indices]
        return Batches(self._clips, self._labels, self.indices, self._batch_size, self._device, places)

    def _chosen(self, which: Tensor | slice) -> Batches:
        indices, positions = self.indices[which], self._positions[which]
        return Batches(self._clips, self._labels, indices, self._batch_size, self._device, positions)

    def _gather(self, source: Tensor, chosen: Tensor) -> Tensor:
        rows = source[chosen.to(source.device, non_blocking=True)]
        if rows.device.type == "cpu" and self._device.type == "cuda":
            rows = rows.pin_memory()  # a copy from pinned memory lets the host go on
        return rows.to(self._device, non_blocking=True)
