"""Clips to pre-train on: any clip by its address (seed, index), with all that an objective may ask for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .blocks import Wave
from .recording import OVERLAPPED, record
from .registry import FAMILIES

LABELS: tuple[str, ...] = tuple(FAMILIES)  # a family's label is its place here
NO_LABEL = -1
TARGETS: dict[str, tuple[float, float]] = {
    "f0": (25.0, 6400.0),
    "rate": (0.25, 256.0),
    "centre": (50.0, 8000.0),
}  # Hz: the frequencies that become -1 and 1
MIN_SAMPLING_RATE = 16_000  # Hz; the sounds reach up to 8 kHz
MIN_SECONDS = 0.5  # room for one event of the slow families

# Addresses of random streams beside the demo's, which are its class numbers.
_ORDER, _SOUND = 1000, 1001


@dataclass(frozen=True, eq=False)
class Clip:
    """A clip and what is known about it.

    Attributes:
        waveform: float32 [samples] in [-1, 1].
        label: Place in `LABELS` of the louder sound.
        second_label: Of the softer one, or `NO_LABEL`.
        targets: float32 [3], in the order of `TARGETS`, of the louder sound: log-frequencies, scaled so that
            most lie in [-1, 1]; 0 where the family has no such thing.
        mask: bool [3]: which targets are known.
    """

    waveform: NDArray[np.float32]
    label: int
    second_label: int
    targets: NDArray[np.float32]
    mask: NDArray[np.bool_]


def clip(seed: int, index: int, *, seconds: float = 5.0, sampling_rate: int = 16_000) -> Clip:
    """Make clip number `index` of the endless data set number `seed`.

    All randomness is addressed by these two numbers: no clip depends on which others are made, on their order
    or by whom. Every `len(LABELS)` clips in a row, counted from 0, hold each family once as the louder sound.

    Args:
        seed: Number of the data set, at least 0.
        index: Number of the clip, at least 0.
        seconds: Length; from `MIN_SECONDS` on. Another length makes other clips, not longer ones.
        sampling_rate: In Hz; from `MIN_SAMPLING_RATE` on.

    Raises:
        ValueError: if a clip so short or so coarsely sampled cannot hold the sounds.
    """
    if seconds < MIN_SECONDS or sampling_rate < MIN_SAMPLING_RATE:
        least = f"{MIN_SECONDS} s at {MIN_SAMPLING_RATE} Hz"
        raise ValueError(f"{seconds} s at {sampling_rate} Hz cannot hold the sounds; the least is {least}.")
    label = label_of(seed, index)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_SOUND, index)))
    t = time_axis(seconds, sampling_rate)
    sound, second_label, other = FAMILIES[LABELS[label]](rng, t), NO_LABEL, None
    if rng.random() < OVERLAPPED:
        second_label = int(label + rng.integers(1, len(LABELS))) % len(LABELS)  # any but the first
        other = FAMILIES[LABELS[second_label]](rng, t)
    take = record(rng, t, sound, other)
    known = (sound.f0, take.rate, take.centre)  # Hz
    targets = [_scaled(hertz, *TARGETS[name]) for hertz, name in zip(known, TARGETS, strict=True)]
    return Clip(
        waveform=np.asarray(take.wave, dtype=np.float32),
        label=label,
        second_label=second_label,
        targets=np.array(targets, dtype=np.float32),
        mask=np.array([hertz is not None for hertz in known]),
    )


def label_of(seed: int, index: int) -> int:
    """The label of a clip's louder sound, without making the clip."""
    block, place = divmod(index, len(LABELS))
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_ORDER, block)))
    return int(rng.permutation(len(LABELS))[place])


def time_axis(seconds: float, sampling_rate: int) -> Wave:
    """What the families are called with: times in seconds, float32 [samples]."""
    return np.asarray(np.arange(round(seconds * sampling_rate)) / sampling_rate, dtype=np.float32)


def _scaled(hertz: float | None, low: float, high: float) -> float:
    if hertz is None:
        return 0.0
    return float((2 * np.log(hertz) - np.log(low) - np.log(high)) / np.log(high / low))
