"""Randomness by address: what is drawn depends on the seed and on where it is used, never on what was drawn
before.

So one fold run alone equals the same fold run among five, and nothing but the seed and the place must be
remembered.
"""

from __future__ import annotations

import numpy as np
import torch

STREAMS = ("weights", "order", "augmentation", "dropout", "stretches")


def stream_seed(seed: int, stream: str, *address: int) -> int:
    """The seed of one random stream: `seed` of the run, the stream's name, then fold, epoch, ..."""
    # A zero at the end would say nothing (NumPy pads with zeros), so each is written in another way.
    places = [place or 2**32 for place in address]
    sequence = np.random.SeedSequence([seed, STREAMS.index(stream), *places])
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))  # torch takes 63 bits


def generator(device: torch.device | str, seed: int, stream: str, *address: int) -> torch.Generator:
    """A generator on `device` at the start of that stream."""
    return torch.Generator(device).manual_seed(stream_seed(seed, stream, *address))
