"""Clips that are longer than what the model hears at once: training hears a stretch of each, drawn anew every
epoch, evaluation hears all of it in windows.

The frames of all clips lie one after another; a stretch is known by its first frame alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Stretches:
    """Where the stretches of all clips lie.

    Attributes:
        length: Frames of a stretch, the spectrogram's `max_length`.
        first: The first frame of each clip, int64 [clips].
        spare: Frames that each clip has beyond one stretch, int64 [clips]; 0 for those that are no longer.
    """

    length: int
    first: Tensor
    spare: Tensor

    @staticmethod
    def of(frames: Sequence[int], length: int) -> Stretches:
        """Of clips with so many frames each, at least `length`."""
        counts = torch.tensor(frames, dtype=torch.long)
        return Stretches(length, counts.cumsum(0) - counts, counts - length)

    def heard(self, frames: Tensor) -> Tensor:
        """Every stretch by its first frame, a view that takes no memory: [frames - length + 1, length, bins].

        Args:
            frames: Of all clips, contiguous [frames, bins].
        """
        count, bins = frames.shape
        return frames.as_strided((count - self.length + 1, self.length, bins), (bins, bins, 1))

    def draw(self, generator: torch.Generator) -> Tensor:
        """The first frame of one stretch of each clip, all stretches of it equally likely: int64 [clips].

        Args:
            generator: On the CPU; draws as many numbers as there are clips.
        """
        share = torch.rand(len(self.first), generator=generator, dtype=torch.float64)
        return self.first + (share * (self.spare + 1)).long()

    def windows(self, clips: Sequence[int]) -> tuple[list[int], list[int]]:
        """Overlapping windows over clips: half of a window apart, the last one at the clip's end.

        Args:
            clips: Positions of the clips.

        Returns:
            Of every window its clip and its first frame, in the clips' order.
        """
        hop = max(1, self.length // 2)
        owners: list[int] = []
        positions: list[int] = []
        for clip in clips:
            first, spare = int(self.first[clip]), int(self.spare[clip])
            starts = [*range(0, spare, hop), spare]
            owners += [clip] * len(starts)
            positions += [first + start for start in starts]
        return owners, positions
