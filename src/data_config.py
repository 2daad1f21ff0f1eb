"""The sections of the configuration that say which clips are used and how they become the model's input: all
that data/ needs to know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .errors import UserError
from .limits import above_zero, at_least, at_most

FRAMES_PER_SECOND = 100
MOST_FRAMES = 30_000
MOST_SAMPLES = 5_000_000  # of one clip; computing its spectrogram takes about 60 bytes for each
LEAST_FOLDS = 3  # one to test on, one to validate on, one to train on

Format = Literal[
    "auto", "esc50", "folder", "csv", "urbansound8k", "speech_commands", "fluent_speech_commands"
]


@dataclass(frozen=True)
class DataConfig:
    """Which clips are used.

    Attributes:
        root: Folder of the data set, or a csv file that lists its clips.
        format: How it is laid out; "auto" looks what is there: "esc50" (meta/esc50.csv and audio/), "csv" (a
            table with paths and labels), "folder" (a sub-folder a class), or a public data set as it is
            unpacked. docs/data.md tells more.
        subset: Of ESC-50: "all" clips, or "esc10", those the csv marks as part of ESC-10.
        folds: The folds to test on, one cross-validation run each; null for every fold there is.
        number_of_folds: Folds to divide the clips into, where the data set gives none.
        split_seed: Another seed is another division.
        fit_length: Set spectrogram.max_length to what the longest clip needs in whole patches, but to no more
            than it is.
        long_clips: Of clips longer than spectrogram.max_length: "cut" uses the beginning alone; "crop" trains
            on a stretch drawn anew every epoch, and evaluates windows over the whole clip.
        shots: Clips of each class to train on, of those in the training folds; null for all.
        shots_order: Which ones: "random", drawn from shots_seed, or "first" in the data set's order.
        shots_seed: Another seed is another draw, from the same folds.
        cache: Folder for computed spectrograms, shared by all folds and later runs.
        on_error: If rows of the csv or clips cannot be used: "stop" and name them all, or "skip" them, list
            them in the run's skipped.csv, and use the others.
    """

    root: str = "data/ESC-50"
    format: Format = "auto"
    subset: Literal["all", "esc10"] = "all"
    folds: list[int] | None = None
    number_of_folds: int = 5
    split_seed: int = 0
    fit_length: bool = False
    long_clips: Literal["cut", "crop"] = "cut"
    shots: int | None = None
    shots_order: Literal["random", "first"] = "random"
    shots_seed: int = 0
    cache: str = "data/cache"
    on_error: Literal["stop", "skip"] = "stop"

    def __post_init__(self) -> None:
        at_least("data", self, number_of_folds=LEAST_FOLDS, split_seed=0, shots_seed=0)
        at_most("data", self, "a fold is trained for each", number_of_folds=100)
        if self.shots is not None:
            at_least("data", self, shots=1)
        at_most("data", self, "64 bits", split_seed=2**63 - 1, shots_seed=2**63 - 1)


@dataclass(frozen=True)
class SpectrogramConfig:
    """How a waveform becomes the model's input, a Kaldi log-mel spectrogram.

    Attributes:
        sampling_rate: Waveforms are resampled to this many samples per second.
        num_mel_bins: Mel bins; must be the backbone's (128 for AST).
        max_length: Frames (10 ms each) per clip; shorter clips are padded at the end; for longer ones see
            data.long_clips.
        mean: Subtracted from the log-mel values (AudioSet's mean for AST).
        std: The log-mel values are divided by twice this (AudioSet's standard deviation for AST).
    """

    sampling_rate: int = 16000
    num_mel_bins: int = 128
    max_length: int = 500
    mean: float = -4.2677393
    std: float = 4.5689974

    def __post_init__(self) -> None:
        at_least("spectrogram", self, sampling_rate=1000, num_mel_bins=1, max_length=1, mean=-1e6)
        above_zero("spectrogram", self, "std")
        at_least("spectrogram", self, std=1e-6)
        at_most("spectrogram", self, "no microphone hears more", sampling_rate=192_000)
        at_most("spectrogram", self, "AST checkpoints have 128", num_mel_bins=1024)
        why = "five minutes; AST compares every tenth of a second with every other, and was made for 1024"
        at_most("spectrogram", self, why, max_length=MOST_FRAMES)
        at_most("spectrogram", self, "logarithms of powers are nowhere near", mean=1e6, std=1e6)
        samples = self.max_length * self.sampling_rate // FRAMES_PER_SECOND
        if samples > MOST_SAMPLES:
            raise UserError(
                f"spectrogram.max_length {self.max_length} at spectrogram.sampling_rate {self.sampling_rate} "
                f"is {samples:,} samples a clip; it must be at most {MOST_SAMPLES:,}: all are in memory."
            )


@dataclass(frozen=True)
class AugmentConfig:
    """SpecAugment on the training batches: one frequency and one time mask per clip; 0 turns a mask off.

    Attributes:
        frequency_mask: Widths are drawn uniformly below this many mel bins.
        time_mask: Widths are drawn uniformly below this many frames.
    """

    frequency_mask: int = 24
    time_mask: int = 80

    def __post_init__(self) -> None:
        at_least("augment", self, frequency_mask=0, time_mask=0)
        why = "as spectrogram.num_mel_bins and max_length"
        at_most("augment", self, why, frequency_mask=1024, time_mask=MOST_FRAMES)
