"""petl-ast train: cross-validation, of a configuration or of a folder of own sounds."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from ..imports import quick_imports
from .verb import Verb, add_folder_options, add_run_options, run_config


def _add_options(parser: ArgumentParser) -> None:
    add_folder_options(parser)
    add_run_options(parser)


def _run(options: Namespace) -> int:
    """Train and test a method by cross-validation, one adapter per fold.

    Every option can stand in a YAML file, on the command line, or both (the command line wins):
        petl-ast train --config configs/esc50_conformer.yaml --train.epochs 2 --data.folds 1,2
    The run's folder then holds the adapters, the figures per epoch, the summary and pictures.
    Your own sounds, a sub-folder a class, need no configuration:
        petl-ast train sounds
        petl-ast train sounds/clips.csv             paths and labels in a csv, folds and groups if you like
        petl-ast train sounds --dry_run             what is there, what it would do, how long it would take
    """
    with quick_imports():
        from ..costs.overview import overview
        from ..data.formats import open_dataset
        from ..utils import console as screen
        from ..utils.cross_validation import cross_validate
        from ..utils.outcome import outcome
        from ..utils.run_start import goes_on, with_resumed_output
        from ..utils.summary import summary_table

    folder, dry_run = options.pop("folder"), options.pop("dry_run")
    dataset, config = open_dataset(with_resumed_output(run_config(options)))
    console = screen.output()
    if dry_run and Path(config.output).exists():
        goes_on(config)  # refuses, as it would without --dry_run, a folder that holds something else
    if folder or dry_run:
        console.print(overview(config, dataset))
    if dry_run:
        return 0
    summary = cross_validate(config, dataset)
    console.print(summary_table(summary, config.output))
    if folder or config.data.format in ("folder", "csv"):  # gone on with, that is, by --resume
        print(outcome(Path(config.output), dataset))  # not by rich, which would break commands into lines
    return 0


VERB = Verb(_add_options, _run, "[FOLDER] ", own_output="outputs/{name}")
