"""How many clips a class it takes: the same cross-validation with few training clips, drawn several times.

The folder of such a grid holds few_shot.json, few_shot.csv and few_shot.png, and for each number of clips
and each seed a run of its own, shots_N/seed_S (see `run_folder`).
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter
from rich.table import Table

from ..config import RunConfig, load_run_config
from ..data.dataset import AudioDataset
from ..data.formats import open_dataset
from ..errors import UserError
from ..files import clear_write_errors, list_some, locked, read_json, write_csv, write_json
from ..text import plural
from . import console as screen
from .cross_validation import cross_validate, load_with_progress, test_folds
from .interrupt import Stopped
from .metrics import over_folds
from .run_folder import CONFIG, ENVIRONMENT, LOCK, SUMMARY_JSON
from .run_start import check_same_material, differences
from .summary import KINDS
from .visualization import TRAIN_COLOUR, VALIDATION_COLOUR, save

GRID_JSON, GRID_CSV, GRID_PICTURE = "few_shot.json", "few_shot.csv", "few_shot.png"


def few_shot(config: RunConfig, shots: Sequence[int], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Run the cross-validation of a configuration for every number of training clips and every seed.

    A seed draws the training clips and everything that is random in training; folds, validation and test
    clips are the same in all runs. What is finished already is not computed again, and counts too.

    Args:
        config: Of all runs, but for `data.shots`, `data.shots_seed` and `train.seed`.
        shots: Clips of each class to train on.
        seeds: Of the draws.

    Returns:
        For each number of clips: how many trained, and for either kind of weights mean, deviation and 95 %
        interval over the seeds of what a run comes to, which is the mean over its folds.

    Raises:
        UserError: for numbers that cannot be, clips with several labels, another thing in the output folder,
            runs of another configuration there, and as `cross_validate`.
        Stopped: as `cross_validate`.
    """
    check_grid(config, shots, seeds)
    dataset, config = open_dataset(config)
    if dataset.multi_label:
        raise UserError(
            f"few-shot is for clips of one class each; {dataset.source} gives clips several labels."
        )
    grid = [_config_of_run(config, number, seed) for number in sorted(shots) for seed in seeds]
    replaced = {Path(of_run.output) for of_run in grid} if config.overwrite else set()
    _check_output(config, replaced)
    output = Path(config.output)
    busy = f"Another process works on the grid in {output}. Wait for it, or choose another --output."
    with locked(output / LOCK, busy):
        load_with_progress(dataset, screen.messages())
        for number, seed, folder in _runs(output):
            if folder not in replaced and (folder / ENVIRONMENT).is_file():
                check_same_material(_config_of_run(config, number, seed), dataset)
        _tell_of_too_many(config, dataset, shots)
        for position, of_run in enumerate(grid, start=1):
            clips, seed = plural(of_run.data.shots or 0, "clip"), of_run.data.shots_seed
            screen.messages().print(f"{clips} a class, seed {seed}: run {position} of {len(grid)}")
            try:
                cross_validate(of_run, dataset, alone=False)
            except Stopped as stop:
                raise Stopped(stop.signal, "The same command again goes on.") from stop
            rows = _finished(output)
            write_csv(output / GRID_CSV, rows)
            write_json(output / GRID_JSON, {"runs": rows, "over_seeds": over_seeds(rows)})
        save(lambda: few_shot_figure(rows), output / GRID_PICTURE)
    return over_seeds(rows)


def check_grid(config: RunConfig, shots: Sequence[int], seeds: Sequence[int]) -> None:
    """See what can be seen before the clips are.

    Raises:
        UserError: for numbers or options that cannot be, or other things than a grid in the output folder.
    """
    for name, numbers, least in (("shots", shots, 1), ("seeds", seeds, 0)):
        if not numbers or len(set(numbers)) < len(numbers) or min(numbers) < least or max(numbers) >= 2**63:
            raise UserError(
                f"{name} is {list(numbers)}; give each number once, all at least {least} and of 64 bits at "
                f"most, such as --{name} 1,2,5."
            )
    if not isinstance(config.resume, bool) and config.resume != "auto":
        raise UserError(
            "few-shot takes no folder to resume: the same command again, with the same --output, goes on."
        )
    if config.data.shots is not None:
        raise UserError(
            f"data.shots is {config.data.shots}, but it is --shots that says how many. Leave data.shots out."
        )
    output = Path(config.output)
    with clear_write_errors(output):
        others = output.exists() and any(not path.name.startswith(".") for path in output.iterdir())
    if others and not _runs(output):
        raise UserError(
            f"{output} holds other things than a few-shot grid. Choose another folder with --output."
        )


def _check_output(config: RunConfig, replaced: Collection[Path]) -> None:
    """See that runs in the output folder that stay there compare with those that are to come."""
    for number, seed, folder in _runs(Path(config.output)):
        if folder in replaced or not (folder / CONFIG).is_file():
            continue
        differing = differences(load_run_config(folder / CONFIG), _config_of_run(config, number, seed))
        if differing:
            raise UserError(
                f"{folder} is a run with another configuration, which would not compare:\n"
                f"{list_some(differing, most=50)}\nRepeat the command that began this grid, choose another "
                "folder with --output, delete that run, or name all runs of the grid with --overwrite."
            )


def _tell_of_too_many(config: RunConfig, dataset: AudioDataset, shots: Sequence[int]) -> None:
    splits = [dataset.split(fold) for fold in test_folds(config, dataset)]
    counts = [Counter(dataset.clips[i].label for i in dataset.indices(split.train)) for split in splits]
    most = max(max(of_fold.values()) for of_fold in counts)
    if beyond := [str(number) for number in sorted(shots) if number > most]:
        screen.messages().print(
            f"Warning: no class has more than {plural(most, 'clip')} to train on, so with "
            f"{' or '.join(beyond)} of each class all of them train."
        )


def _runs(output: Path) -> list[tuple[int, int, Path]]:
    """Number of clips, seed and folder of each run of a grid, in this order."""
    folders = [
        (re.fullmatch(r"shots_(\d+)/seed_(\d+)", f"{p.parent.name}/{p.name}"), p) for p in output.glob("*/*")
    ]
    return sorted((int(found[1]), int(found[2]), path) for found, path in folders if found)


def _finished(output: Path) -> list[dict[str, Any]]:
    """A row for each run that has tested all of its folds."""
    rows = []
    for number, seed, folder in _runs(output):
        if not (path := folder / SUMMARY_JSON).is_file():
            continue
        try:
            summary: dict[str, Any] = read_json(path)
            clips = mean(result["clips"]["train"] for result in summary["folds"])
            row = {"shots": number, "seed": seed, "training_clips": clips}
            if not summary["unfinished"]:
                rows.append(row | {kind: float(summary[kind]["mean"]) for kind in KINDS})
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path} is not what a run writes ({error!r}). Delete {folder}.") from error
    return rows


def _config_of_run(config: RunConfig, shots: int, seed: int) -> RunConfig:
    return dataclasses.replace(
        config,
        output=str(Path(config.output) / f"shots_{shots}" / f"seed_{seed}"),
        data=dataclasses.replace(config.data, shots=shots, shots_seed=seed),
        train=dataclasses.replace(config.train, seed=seed),
    )


def over_seeds(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs by their number of clips a class."""
    found = []
    for number in dict.fromkeys(row["shots"] for row in rows):
        of_number = [row for row in rows if row["shots"] == number]
        statistics = {
            kind: dataclasses.asdict(over_folds([row[kind] for row in of_number])) for kind in KINDS
        }
        row = {"shots": number, "training_clips": of_number[0]["training_clips"], "seeds": len(of_number)}
        found.append(row | statistics)
    return found


def few_shot_table(found: Sequence[dict[str, Any]], title: str) -> Table:
    """What `few_shot` found, for the screen: a row for each number of clips."""
    table = Table("clips a class", title=title, caption="mean and standard deviation over the seeds")
    for heading in ("clips that train", "seeds", *(f"{kind} epoch" for kind in KINDS)):
        table.add_column(heading, justify="right")
    for row in found:
        scores = [_with_deviation(row[kind]) for kind in KINDS]
        table.add_row(str(row["shots"]), f"{row['training_clips']:g}", str(row["seeds"]), *scores)
    return table


def _with_deviation(found: dict[str, float | None]) -> str:
    deviation = found["standard_deviation"]
    return f"{found['mean']:.2%}" if deviation is None else f"{found['mean']:.2%} ± {deviation:.2%}"


def few_shot_figure(rows: Sequence[dict[str, Any]]) -> Figure:
    """Accuracy by the number of training clips a class: every run a point, the means a line."""
    figure = Figure(figsize=(6.4, 4.2))
    axis = figure.subplots()
    found = over_seeds(rows)
    for kind, colour in zip(KINDS, (TRAIN_COLOUR, VALIDATION_COLOUR), strict=True):
        points = ([row["shots"] for row in rows], [row[kind] for row in rows])
        axis.scatter(*points, color=colour, alpha=0.35, s=14)
        means = [row[kind]["mean"] for row in found]
        axis.plot([row["shots"] for row in found], means, color=colour, marker="o", label=f"{kind} epoch")
    axis.set_xscale("log")
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xticks([row["shots"] for row in found], [str(row["shots"]) for row in found])
    axis.margins(x=0.08)
    axis.yaxis.set_major_formatter(PercentFormatter(1.0))
    axis.set(xlabel="training clips of each class", ylabel="accuracy on the test folds")
    axis.set_title("Few shots (pale: a seed each, line: mean over seeds)")
    axis.legend(frameon=False)
    return figure
