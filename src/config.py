"""Typed configuration: each dataclass is a section of the YAML file and a group of command-line options at
once.

Nothing heavy is imported here, so that `--help` is instant. The defaults are those of the paper wherever the
paper has a word on it; configs/esc50_conformer.yaml spells every one out with its source.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from .data_config import MOST_FRAMES, AugmentConfig, DataConfig, SpectrogramConfig
from .errors import UserError
from .limits import above_zero, at_least, at_most
from .plain_yaml import read_yaml
from .text import shown
from .words import in_short

__all__ = [
    "MOST_FRAMES",
    "AugmentConfig",
    "DataConfig",
    "ModelConfig",
    "RunConfig",
    "SpectrogramConfig",
    "TrainConfig",
    "check_config_file",
    "load_run_config",
    "parse_dataclass",
    "to_yaml",
]

T = TypeVar("T")


@dataclass(frozen=True)
class ModelConfig:
    """The frozen backbone and the method that adapts it.

    Attributes:
        backbone: Hub id or folder of an AST checkpoint, or "ast-mini", the small one that is shipped.
        method: Name of the method.
        method_options: The method's own options; docs/methods.md lists them.
        position_embeddings: How the checkpoint's table is fitted to max_length: "crop" its centre as AST's
            authors do, "interpolate" it over time, or "zeros", which is what the paper's code ran with.
        pooling: "mean" over all tokens, or the "cls" token alone, before the head.
    """

    backbone: str = "MIT/ast-finetuned-audioset-10-10-0.4593"
    method: str = "adapter"
    method_options: dict[str, Any] = field(default_factory=dict)
    position_embeddings: Literal["crop", "interpolate", "zeros"] = "crop"
    pooling: Literal["mean", "cls"] = "mean"


@dataclass(frozen=True)
class TrainConfig:
    """Optimiser, schedule and machine.

    Attributes:
        epochs: Passes over the training folds.
        batch_size: Clips per step; the last, smaller batch of an epoch is kept.
        learning_rate: AdamW's rate at the start; a cosine takes it to 0, stepped after every batch.
        betas: AdamW's two decay rates of the running moments.
        eps: AdamW's denominator term.
        weight_decay: On every trained parameter.
        class_weights: What a clip weighs in the training loss: "none" for all the same, "balanced" for more
            where the class has few clips, so that all classes weigh the same together.
        seed: Same seed, same CPU: same numbers, to the bit. On a GPU deterministic kernels are asked for.
        device: "auto" takes a GPU if there is one.
        precision: "fp32"; "tf32" products (GPU); "bf16" or "fp16" autocast.
        compile: Run through torch.compile. Not measured on a GPU; on a CPU it cannot use `models/frozen.py`.
        micro_batch_size: Clips that go through the model at once; their gradients add up to the batch's.
            null: the whole batch. Either is halved by itself when memory runs out.
        gradient_checkpointing: Keep only each layer's input and compute the rest again: less memory, more
        time.
        checkpoint_steps: Save the state of training after so many steps, and after every epoch. null: as
            often as costs 1 % of the time, after every step if steps are slow.
        on_nonfinite: What to do when a loss or gradient is not finite: "stop", or "skip" that step and count.
        tensorboard: Also write the per-epoch figures for TensorBoard.
    """

    epochs: int = 50
    batch_size: int = 32
    learning_rate: float = 0.005
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = 1e-6
    weight_decay: float = 0.1
    class_weights: Literal["none", "balanced"] = "none"
    seed: int = 10
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["fp32", "tf32", "bf16", "fp16"] = "fp32"
    compile: bool = False
    micro_batch_size: int | None = None
    gradient_checkpointing: bool = False
    checkpoint_steps: int | None = None
    on_nonfinite: Literal["stop", "skip"] = "stop"
    tensorboard: bool = False

    def __post_init__(self) -> None:
        at_least("train", self, epochs=1, batch_size=1, seed=0, weight_decay=0)
        at_most("train", self, "a week of epochs of 6 seconds; is it a slip?", epochs=100_000)
        at_most("train", self, "all of its clips are in memory at once", batch_size=8192)
        at_most("train", self, "64 bits", seed=2**63 - 1)
        above_zero("train", self, "learning_rate", "eps")
        for name in ("micro_batch_size", "checkpoint_steps"):
            if getattr(self, name) is not None:
                at_least("train", self, **{name: 1})
        if not all(0 <= beta < 1 for beta in self.betas):
            raise UserError(f"train.betas is {list(self.betas)}; both must be at least 0 and below 1.")


@dataclass(frozen=True)
class RunConfig:
    """Train and test by cross-validation; every option can stand in the YAML file or on the command line.

    Attributes:
        output: Folder of the run: adapters, metrics, summary and pictures.
        resume: "auto" goes on with the run in that folder if there is one, false does not; a folder goes on
            with the run in it, whatever `output` says.
        overwrite: Replace the run that is in that folder already.
        data: The clips.
        spectrogram: The model's input.
        augment: Augmentation.
        model: The model.
        train: The training.
    """

    output: str = "outputs/run"
    resume: bool | str = "auto"
    overwrite: bool = False
    data: DataConfig = field(default_factory=DataConfig)
    spectrogram: SpectrogramConfig = field(default_factory=SpectrogramConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)


def to_yaml(config: RunConfig) -> str:
    """The resolved configuration as YAML that `--config` reads back."""
    plain = dataclasses.asdict(config)
    plain["train"]["betas"] = list(config.train.betas)
    del plain["overwrite"], plain["resume"]  # decisions about one start, not properties of the run
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)


def parse_dataclass(cls: type[T], values: dict[str, Any], where: str) -> T:
    """Build the dataclass `cls` from plain values, types checked.

    Raises:
        UserError: for an unknown key or a value of a wrong type, naming it and `where` it stood.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(cls)
    try:
        parsed = vars(parser.parse_object(values))
        for name, value in values.items():  # jsonargparse takes null for any type
            if value is None and parser.get_default(name) is not None:
                raise ArgumentError(None, f"{name} is null")
        return cls(**parsed)
    except ArgumentError as error:
        allowed = ", ".join(f.name for f in dataclasses.fields(cls))  # type: ignore[arg-type]
        raise UserError(f"{where}: {in_short(str(error))}\nThe options are: {allowed or 'none'}.") from error


def check_config_file(path: Path, options: type[Any] = RunConfig) -> None:
    """Look at a YAML file before it is parsed for good, so that what is wrong with it is told with its name.

    Args:
        path: The file.
        options: The dataclass that it fills.

    Raises:
        UserError: if it is no UTF-8 text, no YAML, empty, or has a section or value that cannot be.
    """
    if not path.is_file():
        what = "is not a file" if path.exists() else "does not exist"
        raise UserError(f"The configuration {path} {what} (see --help).")
    values = read_yaml(path)
    if not isinstance(values, dict) or not values:
        what = "is empty" if values is None else f"holds {repr(values)[:200]}, which are no options"
        raise UserError(f"{path} {what}. See configs/ for examples, and --help for the options.")
    _check_section(path, options, values, "")


def _check_section(path: Path, section: type[Any], values: dict[str, Any], prefix: str) -> None:
    fields = {f.name: f for f in dataclasses.fields(section)}
    for name, value in values.items():
        if name not in fields:
            raise UserError(
                f"{path}: does not accept {prefix}{shown(name)[:100]}; "
                f"here there are: {', '.join(fields)} (see --help)."
            )
        nested = fields[name].default_factory
        if isinstance(nested, type) and dataclasses.is_dataclass(nested):
            if not isinstance(value, dict):
                raise UserError(
                    f"{path}: {prefix}{name} is {repr(value)[:200]}; it must be a section of options."
                )
            _check_section(path, nested, value, f"{prefix}{name}.")
        elif value is None and fields[name].default is not None:
            raise UserError(f"{path}: {prefix}{name} has no value.")


def load_run_config(path: Path) -> RunConfig:
    """Read the config.yaml that a run left in its folder.

    Raises:
        UserError: if the file is missing or does not hold a run's configuration.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(RunConfig)
    check_config_file(path)
    try:
        values = parser.instantiate(parser.parse_path(path))
    except (ArgumentError, TypeError, OSError) as error:
        raise UserError(f"{path} is not the configuration of a run: {in_short(str(error))}") from error
    return RunConfig(**vars(values))
