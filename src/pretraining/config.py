"""Typed configuration of pre-training; configs/pretrain_synthetic.yaml spells it out with reasons."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Literal

from ..config import AugmentConfig, SpectrogramConfig
from ..errors import UserError
from ..limits import above_zero, at_least, at_most


@dataclass(frozen=True)
class ShapeConfig:
    """Sizes of the AST; the names are transformers'.

    Attributes:
        hidden_size: Width d.
        num_hidden_layers: Transformer layers.
        num_attention_heads: Heads per layer; must divide `hidden_size`.
        intermediate_size: Width inside the feed-forward networks.
        patch_size: Mel bins and frames of a patch, which is square.
        frequency_stride: Mel bins from patch to patch.
        time_stride: Frames from patch to patch.
    """

    hidden_size: int = 192
    num_hidden_layers: int = 6
    num_attention_heads: int = 3
    intermediate_size: int = 768
    patch_size: int = 16
    frequency_stride: int = 16
    time_stride: int = 16

    def __post_init__(self) -> None:
        at_least("shape", self, **dict.fromkeys(vars(self), 1))
        at_most("shape", self, "far beyond what a processor can train", **dict.fromkeys(vars(self), 8192))
        if self.hidden_size % (4 * self.num_attention_heads):
            raise UserError(
                f"shape.hidden_size is {self.hidden_size}; it must be a multiple of 4 (two coordinates, sine "
                f"and cosine each) and of shape.num_attention_heads, {self.num_attention_heads}."
            )


@dataclass(frozen=True)
class ObjectiveConfig:
    """What the features of a clip are trained to tell; each part's loss times its weight.

    Attributes:
        kept_patches: Random patches of a clip that the model sees in training; the others cost nothing.
        family: Weight of the cross-entropy over the families of sound.
        parameters: Weight of the regression of fundamental frequency, rate and centre frequency.
        statistics: Weight of the regression of the clip statistics.
        hidden: Width between the features and what is told; 0 tells it from the features directly.
    """

    kept_patches: int = 100
    family: float = 1.0
    parameters: float = 1.0
    statistics: float = 1.0
    hidden: int = 0

    def __post_init__(self) -> None:
        at_least("objective", self, kept_patches=1, family=0, parameters=0, statistics=0, hidden=0)
        at_most("objective", self, "wider than any model here", hidden=65_536)


@dataclass(frozen=True)
class PretrainConfig:
    """Pre-train an AST; every option can stand in the YAML file or on the command line.

    Attributes:
        output: Folder of the run; the backbone is written to its folder `backbone`.
        resume: Go on with the run in that folder if there is one.
        overwrite: Replace the run that is in that folder already.
        seed: Of the clips (the number of their endless data set), the weights and the masks.
        clips: How many clips are heard, each once.
        batch_size: Clips per step.
        learning_rate: AdamW's highest rate, reached after `warmup`; a cosine takes it to 0.
        warmup: Share of the steps over which the rate rises from 0.
        weight_decay: AdamW's.
        betas: AdamW's two decay rates of the running moments.
        precision: "fp32", or "bf16" autocast.
        workers: Processes that make clips beside training; null: one per core.
        checkpoint_steps: Save the state after so many steps. null: as often as costs 1 % of the time.
        spectrogram: The model's input.
        augment: Zero-filled masks, on half of the clips, so that those of later training are no surprise.
        shape: Sizes of the model.
        objective: What it learns to tell.
    """

    output: str = "outputs/pretrain"
    resume: bool = True
    overwrite: bool = False
    seed: int = 0
    clips: int = 300_000
    batch_size: int = 32
    learning_rate: float = 0.001
    warmup: float = 0.02
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.98)
    precision: Literal["fp32", "bf16"] = "fp32"
    workers: int | None = None
    checkpoint_steps: int | None = None
    spectrogram: SpectrogramConfig = field(default_factory=SpectrogramConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    shape: ShapeConfig = field(default_factory=ShapeConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)

    def __post_init__(self) -> None:
        at_least("pretrain", self, seed=0, clips=1, batch_size=1, weight_decay=0, warmup=0)
        at_most("pretrain", self, "a share of the steps", warmup=1)
        at_most("pretrain", self, "all of its clips are in memory at once", batch_size=8192)
        at_most("pretrain", self, "years of processor time", clips=10**10)
        above_zero("pretrain", self, "learning_rate")
        for name in ("workers", "checkpoint_steps"):
            if getattr(self, name) is not None:
                at_least("pretrain", self, **{name: 1})
        if not all(0 <= beta < 1 for beta in self.betas):
            raise UserError(f"pretrain.betas is {list(self.betas)}; both must be at least 0 and below 1.")
        frames, bins = self.spectrogram.max_length, self.spectrogram.num_mel_bins
        if self.shape.patch_size > min(frames, bins):
            raise UserError(
                f"shape.patch_size is {self.shape.patch_size}, more than the spectrogram's {frames} frames "
                f"or {bins} mel bins (spectrogram.max_length, spectrogram.num_mel_bins)."
            )

    @property
    def steps(self) -> int:
        """How many batches there are; the last may be larger than what is left of `clips`."""
        return -(-self.clips // self.batch_size)


def plain(config: PretrainConfig) -> dict[str, object]:
    """What decides the numbers, as plain values: nothing of where it lies or how often it is saved."""
    values = dataclasses.asdict(config)
    for name in ("output", "resume", "overwrite", "workers", "checkpoint_steps"):
        del values[name]
    values["betas"] = list(config.betas)
    return values
