"""A batch that does not fit into memory goes through the model in parts; what a step computes stays the
same but for BatchNorm, which sees one part at a time.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from accelerate.utils.memory import should_reduce_batch_size

from ..errors import UserError

T = TypeVar("T")


@dataclass
class MicroBatches:
    """How many clips go through the model at once.

    Attributes:
        size: Clips; None for a whole batch, whatever its size.
        on_halved: Called with the new size after memory ran out, to tell the user.
    """

    size: int | None = None
    on_halved: Callable[[int], None] = lambda size: None

    def fit(self, attempt: Callable[[int], T], clips: int) -> T:
        """What `attempt` returns for the largest size, halved again and again, that memory allows.

        Args:
            attempt: Computes a batch with that many clips at once; must leave nothing behind when it fails.
            clips: Size of the batch.

        Raises:
            UserError: if not even one clip fits.
        """
        while True:
            size = min(self.size or clips, clips)
            try:
                return attempt(size)
            except RuntimeError as error:
                if not should_reduce_batch_size(error):
                    raise
                reason = str(error).splitlines()[0]
            # Outside of `except`: the error's traceback would keep the tensors alive.
            if size == 1:
                raise UserError(
                    f"Not even one clip fits into memory: {reason}\nTry --train.gradient_checkpointing true, "
                    "a smaller --spectrogram.max_length, or another device."
                )
            self.size = size // 2
            gc.collect()
            torch.cuda.empty_cache()  # does nothing where there is no GPU
            self.on_halved(self.size)
