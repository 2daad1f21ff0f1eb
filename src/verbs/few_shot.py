"""petl-ast few-shot: how good a method gets with so many clips of each class."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from ..imports import quick_imports
from .verb import Verb, add_folder_options, add_run_options, run_config


def _add_options(parser: ArgumentParser) -> None:
    add_folder_options(parser)
    parser.add_argument(
        "--shots", type=list[int], default=[1, 2, 5, 10], help="Clips of each class to train on."
    )
    parser.add_argument(
        "--seeds", type=list[int], default=[0, 1, 2], help="Of the draws; each trains once for every number."
    )
    add_run_options(parser)


def _run(options: Namespace) -> int:
    """Train with a few clips of each class, drawn several times: mean and deviation over the draws.

    petl-ast few-shot sounds                                    1, 2, 5 and 10 clips a class, three draws each
    petl-ast few-shot sounds --shots 1,5,20 --seeds 0,1,2,3,4 --data.folds 1
    petl-ast few-shot --config configs/esc50_conformer.yaml --output outputs/few_shot
    Folds, validation and test clips are the same in all runs. With --data.shots_order first, the paper's
    way, the training clips are too, and a seed is that of the weights and of the order alone.
    The same command goes on where it was stopped; other numbers of clips and seeds add to what is there.
    Of the options below, data.shots, data.shots_seed and train.seed are the grid's own.
    """
    with quick_imports():
        from ..costs.overview import overview
        from ..data.formats import open_dataset
        from ..utils import console as screen
        from ..utils.few_shot import GRID_PICTURE, check_grid, few_shot, few_shot_table

    folder, dry_run = options.pop("folder"), options.pop("dry_run")
    shots, seeds = options.pop("shots"), options.pop("seeds")
    config, console = run_config(options), screen.output()
    check_grid(config, shots, seeds)
    if folder or dry_run:
        most = replace(config, data=replace(config.data, shots=max(shots)))
        dataset, largest = open_dataset(most)
        console.print(overview(largest, dataset))
        console.print(f"That is the largest of {len(shots) * len(seeds)} runs, one for each number and seed.")
    if dry_run:
        return 0
    found = few_shot(config, shots, seeds)
    console.print(few_shot_table(found, config.output))
    print(f"As a picture: {Path(config.output) / GRID_PICTURE}")
    return 0


VERB = Verb(_add_options, _run, "[FOLDER] ", own_output="outputs/{name}_few_shot")
