"""petl-ast samples: clips to listen to."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from ..imports import quick_imports
from .verb import Verb, add_run_options, run_config


def _add_options(parser: ArgumentParser) -> None:
    add_run_options(parser)
    parser.add_argument("--folder", type=str, default="samples", help="Where the copies go.")
    parser.add_argument("--per_class", type=int, default=1, help="How many clips of each class.")


def _run(options: Namespace) -> int:
    """Copy representative clips of each class into a folder, to listen to.

    petl-ast samples --config configs/esc50_conformer.yaml
    They come from training and validation folds of the first fold in data.folds (by default the last fold is
    tested).
    """
    with quick_imports():
        from ..data.formats import open_dataset
        from ..utils import console as screen
        from ..utils.cross_validation import load_with_progress
        from ..utils.samples import copy_samples

    folder, per_class = options.pop("folder"), options.pop("per_class")
    dataset, config = open_dataset(run_config(options))
    load_with_progress(dataset, screen.messages())
    test_fold = config.data.folds[0] if config.data.folds else dataset.tested[-1]
    for path in copy_samples(dataset, test_fold, Path(folder), per_class):
        print(path)
    return 0


VERB = Verb(_add_options, _run)
