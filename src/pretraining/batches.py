"""Batches of procedural clips, made by worker processes; a batch depends on the seed and its number alone."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..config import SpectrogramConfig
from ..data.sounds.clips import clip
from ..data.spectrogram import log_mel, samples_heard
from ..errors import UserError

PREFETCHED = 4  # batches that each worker makes ahead


class PretrainBatch(NamedTuple):
    """Clips and what is known about them.

    Attributes:
        spectrograms: float32 [B, T, mel bins], normalised.
        families: int64 [B, 2]: label of the louder and of the softer sound; -1 where there is none.
        parameters: float32 [B, 3], see `data.sounds.clips.TARGETS`.
        known: bool [B, 3]: which of these are known.
    """

    spectrograms: Tensor
    families: Tensor
    parameters: Tensor
    known: Tensor


@dataclass(frozen=True)
class ProceduralBatches(Dataset[tuple[NDArray[np.generic], ...]]):
    """Batch number i holds the clips i * size to (i + 1) * size - 1 of a data set."""

    seed: int
    size: int
    config: SpectrogramConfig

    def __getitem__(self, number: int) -> tuple[NDArray[np.generic], ...]:
        """The batch as arrays, which cross from process to process without shared memory."""
        seconds = samples_heard(self.config) / self.config.sampling_rate
        made = [
            clip(self.seed, index, seconds=seconds, sampling_rate=self.config.sampling_rate)
            for index in range(number * self.size, (number + 1) * self.size)
        ]
        return (
            log_mel([c.waveform for c in made], self.config).numpy(),
            np.array([(c.label, c.second_label) for c in made]),
            np.stack([c.targets for c in made]),
            np.stack([c.mask for c in made]),
        )

    def batch(self, number: int) -> PretrainBatch:
        """The batch, made here and now."""
        return _as_tensors(self[number])

    def stream(self, first: int, last: int, workers: int | None) -> Iterator[PretrainBatch]:
        """Batches `first` to `last` - 1, made ahead by so many processes, or one per core."""
        loader = DataLoader(
            self,
            batch_size=None,
            sampler=range(first, last),
            collate_fn=_as_they_are,
            num_workers=workers or os.cpu_count() or 1,
            prefetch_factor=PREFETCHED,
            worker_init_fn=_start_worker,
        )
        try:
            yield from map(_as_tensors, loader)
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise UserError(
                f"A process that makes clips has ended: {error} If memory ran out, use fewer: --workers 1. "
                "What was saved is kept; the same command goes on."
            ) from error


def _as_they_are(arrays: Any) -> Any:
    return arrays


def _as_tensors(arrays: tuple[NDArray[np.generic], ...]) -> PretrainBatch:
    return PretrainBatch(*map(torch.from_numpy, arrays))


def _start_worker(worker: int) -> None:
    torch.set_num_threads(1)  # there are as many workers as cores
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; training stops the workers
    if hasattr(os, "nice"):
        os.nice(5)  # training goes first: it is what the batches are made for
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this worker when the process that it works for was killed: torch's own watch over that looks only
    between batches, and one that nobody takes any more would be held out to nobody for ever.
    """
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
