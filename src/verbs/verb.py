"""What a verb of `petl-ast` is, and the options that several have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from jsonargparse import ArgumentParser, Namespace

from ..config import RunConfig
from ..pretraining.config import PretrainConfig

Device = Literal["auto", "cpu", "cuda", "mps"]


@dataclass(frozen=True)
class Verb:
    """One word of the command: its options and what it does with them; the first docstring line is its
    summary.

    Attributes:
        add_options: Adds its options to a parser.
        run: Does it; returns the exit code.
        positionals: What comes before the options, for the usage line.
        config: What its `--config FILE` fills.
        arranged: Puts the words behind the verb into the order that its parser wants.
        own_output: Where results go if FOLDER is given alone, `{name}` standing for its name; none for a verb
            that takes no FOLDER.
    """

    add_options: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], int]
    positionals: str = ""
    config: type[Any] = RunConfig
    arranged: Callable[[list[str]], list[str]] = list
    own_output: str = ""

    @property
    def description(self) -> str:
        """The docstring, for --help."""
        return (self.run.__doc__ or "").replace("\n    ", "\n").strip()


def add_run_options(
    parser: ArgumentParser, config: type[RunConfig] | type[PretrainConfig] = RunConfig, verb: str = "train"
) -> None:
    """Those of a run of `verb`, on the command line and in YAML files."""
    parser.add_argument(
        "--config",
        action="config",
        help=f"YAML file with options of `{verb}`; the command line wins over it.",
    )
    parser.add_class_arguments(config)


def add_folder_options(parser: ArgumentParser) -> None:
    """Own sounds in a configuration's place, and a look at them before anything is trained."""
    parser.add_argument(
        "folder",
        type=str | None,
        nargs="?",
        help="Your own sounds: a folder with a sub-folder a class, or a csv.",
    )
    parser.add_argument(
        "--dry_run", type=bool, default=False, help="Say what is there and what would be done, and stop."
    )


def run_config(options: Namespace) -> RunConfig:
    """The configuration that they came to."""
    values: dict[str, Any] = {name: value for name, value in vars(options).items() if name != "config"}
    return RunConfig(**values)


def add_adapter_argument(parser: ArgumentParser) -> None:
    """The adapter, wherever it is."""
    parser.add_argument(
        "adapter", type=str, help="Adapter folder, such as outputs/demo/fold_1/last, or hub id USER/NAME."
    )


def add_place_options(parser: ArgumentParser) -> None:
    """Where an adapter's backbone is, and where to compute."""
    parser.add_argument(
        "--backbone", type=str | None, default=None, help="Frozen backbone, if it moved since training."
    )
    parser.add_argument("--device", type=Device, default="auto", help="Where to compute.")
