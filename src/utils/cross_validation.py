"""Cross-validation: one adapter per fold, and what the folds come to together."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ..config import RunConfig, to_yaml
from ..data.cache_builder import MOST_NAMED
from ..data.esc50_csv import Problem
from ..data.esc50_dataset import ESC50Dataset, FoldSplit
from ..errors import UserError
from ..files import clear_write_errors, list_some, write_csv, write_json, write_text
from ..text import shown
from . import console as screen
from .environment import describe, make_accelerator
from .fold import FoldRun, new_model, set_up
from .metrics import over_folds
from .micro_batches import MicroBatches
from .run_folder import CONFIG, ENVIRONMENT, PLOTS, RESULT, SKIPPED, SUMMARY_CSV, SUMMARY_JSON

KINDS = ("last", "best")  # which epoch's weights
STATISTICS = ("mean", "standard_deviation", "low", "high")


def cross_validate(config: RunConfig) -> dict[str, Any]:
    """Run every fold that the configuration names and write the run's folder (see `run_folder`).

    Returns:
        The summary that also lies in summary.json.

    Raises:
        UserError: for anything in the configuration, the data or the output folder that cannot work; as far
            as it can be known, before any training.
    """
    output, console = Path(config.output), screen.messages()
    dataset = ESC50Dataset(
        config.data.root, config.data.subset, config.spectrogram, config.data.cache, config.data.on_error
    )
    splits = [dataset.split(fold) for fold in _test_folds(config, dataset)]
    accelerator = make_accelerator(config.train.device, config.train.precision)
    model = new_model(config, dataset, splits[0].test)  # what cannot work about it is said before the rest
    if config.train.tensorboard and find_spec("tensorboard") is None:
        raise UserError("train.tensorboard needs the package tensorboard: pip install tensorboard")
    _check_output(output, config.overwrite)
    load_with_progress(dataset, console)
    splits = [dataset.split(split.test) for split in splits]  # clips may have been left out
    _start_output(output, config)  # what an earlier run left goes only when nothing stands in this one's way
    write_skipped(output / SKIPPED, dataset.skipped)
    write_json(output / ENVIRONMENT, describe(config.train, accelerator.device))

    def say_halved(size: int) -> None:
        console.print(
            f"Memory ran out: {size} clips go through the model at once from now on. "
            f"The batch stays {config.train.batch_size}; --train.micro_batch_size {size} starts so."
        )

    micro_batches = MicroBatches(config.train.micro_batch_size, say_halved)
    results = []
    with screen.progress(console) as bars:
        features = bars.add_task("Features", note="", visible=False)
        workplace = set_up(
            config,
            dataset,
            model,
            accelerator,
            micro_batches,
            lambda batches: bars.update(features, total=batches, advance=1, visible=True),
        )
        del model  # each fold builds its own
        for split in splits:
            fold = FoldRun(config, dataset, split, workplace)
            show = _FoldProgress(config, split, bars.add_task("", total=fold.batches, note=""), bars, console)
            results.append(fold.run(show.on_batch, show.on_epoch))
            show.on_result(results[-1])
            summary = summarise(results)
            write_json(output / SUMMARY_JSON, summary)
            write_csv(output / SUMMARY_CSV, summary_rows(summary))
    _draw(output, dataset)
    return summary


def load_with_progress(dataset: ESC50Dataset, console: Console) -> None:
    """Have the spectrograms ready, with a bar while they are computed, and name silent and skipped clips."""
    with screen.progress(console) as bars:
        task = bars.add_task("Spectrograms", total=len(dataset), note="", visible=False)
        dataset.load_spectrograms(lambda: bars.update(task, advance=1, visible=True))
    for note in dataset.notes:
        console.print(f"Warning: {note}")
    if dataset.skipped:
        rows = sum(problem.line > 0 for problem in dataset.skipped)
        console.print(
            f"Warning: {rows} rows of the csv and {len(dataset.skipped) - rows} clips cannot be used and are "
            f"left out; {len(dataset)} clips are used:\n"
            f"{list_some((shown(problem.reason) for problem in dataset.skipped), MOST_NAMED)}"
        )
    if dataset.silent:
        console.print(
            f"Warning: {len(dataset.silent)} clips hold nothing but silence; "
            f"they are used all the same:\n{list_some(dataset.silent)}"
        )


def write_skipped(path: Path, problems: Sequence[Problem]) -> None:
    """Write what was left out as a table, if anything was."""
    if problems:
        write_csv(
            path,
            [
                {"clip": shown(problem.clip), "line": problem.line or "", "reason": shown(problem.reason)}
                for problem in problems
            ],
        )


def summarise(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """All folds, and over them the mean, deviation and 95 % interval of both kinds of weights."""
    over = {
        kind: dataclasses.asdict(over_folds([r[kind]["test_accuracy"] for r in results])) for kind in KINDS
    }
    return {"folds": list(results), **over}


def summary_rows(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """The summary as a table: a row per fold, then mean, standard deviation and the interval's ends."""
    rows = [
        {"fold": r["test"], **{kind: r[kind]["test_accuracy"] for kind in KINDS}}
        | {"best_epoch": r["best"]["epoch"]}
        for r in summary["folds"]
    ]
    for name in STATISTICS:
        rows.append({"fold": name, **{kind: summary[kind][name] for kind in KINDS}, "best_epoch": ""})
    return rows


def summary_table(summary: dict[str, Any], title: str) -> Table:
    """The summary for the screen; "last epoch" is the paper's way."""
    table = Table("tested on fold", title=title)
    for heading in ("clips", "last epoch", "best epoch", "best is epoch", "seconds"):
        table.add_column(heading, justify="right")
    for r in summary["folds"]:
        accuracies = [f"{r[kind]['test_accuracy']:.2%}" for kind in KINDS]
        best = str(r["best"]["epoch"])
        table.add_row(str(r["test"]), str(r["clips"]["test"]), *accuracies, best, f"{r['seconds']:.0f}")
    table.add_section()
    table.add_row("mean", "", *(f"{summary[kind]['mean']:.2%}" for kind in KINDS), style="bold")
    if summary["last"]["standard_deviation"] is not None:
        deviations = (f"{summary[kind]['standard_deviation']:.2%}" for kind in KINDS)
        intervals = (f"{summary[kind]['low']:.1%} to {summary[kind]['high']:.1%}" for kind in KINDS)
        table.add_row("standard deviation", "", *deviations)
        table.add_row("95 % interval", "", *intervals)
    return table


class _FoldProgress:
    """A fold's line on the screen: a bar on a terminal, a line per epoch elsewhere."""

    def __init__(
        self, config: RunConfig, split: FoldSplit, task: Any, bars: Progress, console: Console
    ) -> None:
        self._epochs, self._name, self._task = config.train.epochs, f"Fold {split.test}", task
        self._bars, self._console = bars, console
        bars.update(task, description=self._name)

    def on_batch(self) -> None:
        self._bars.advance(self._task)

    def on_epoch(self, row: dict[str, Any]) -> None:
        loss, validation = f"loss {row['train_loss']:.3f}", f"validation {row['validation_accuracy']:.1%}"
        self._say(f"epoch {row['epoch']}/{self._epochs}, {loss}, {validation}")

    def on_result(self, result: dict[str, Any]) -> None:
        last, best = (f"{result[kind]['test_accuracy']:.1%}" for kind in KINDS)
        self._say(f"test {last}, with the best epoch {best}")

    def _say(self, note: str) -> None:
        self._bars.update(self._task, note=note)
        if not self._console.is_terminal:
            self._console.print(f"{self._name}, {note}")


def _test_folds(config: RunConfig, dataset: ESC50Dataset) -> list[int]:
    folds = dataset.folds if config.data.folds is None else config.data.folds
    if not folds or len(set(folds)) < len(folds):
        raise UserError(
            f"data.folds is {folds}; name each fold to test on once, or leave it out for all of them."
        )
    return folds


def _check_output(output: Path, overwrite: bool) -> None:
    """Make sure that the folder can be written and holds no other run, or one that may be replaced."""
    with clear_write_errors(output):
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output):
            pass
        if not any(output.iterdir()):
            return
    if not (output / CONFIG).is_file():
        raise UserError(f"{output} holds other things than a run. Choose another folder with --output.")
    if not overwrite and any(
        output.glob(f"fold_*/{RESULT}")
    ):  # one without a finished fold has nothing to lose
        raise UserError(
            f"{output} already holds a run. Choose another folder with --output, "
            "or replace that run with --overwrite true."
        )


def _start_output(output: Path, config: RunConfig) -> None:
    """Clear what an earlier run left, and leave the configuration."""
    with clear_write_errors(output):
        for old in (*output.glob("fold_*"), output / PLOTS):
            shutil.rmtree(old, ignore_errors=True)
        for name in (SUMMARY_JSON, SUMMARY_CSV, SKIPPED):
            (output / name).unlink(missing_ok=True)
    write_text(output / CONFIG, to_yaml(config))


def _draw(output: Path, dataset: ESC50Dataset) -> None:
    from .visualization import draw_run, draw_spectrograms  # matplotlib is only needed now

    draw_run(output)
    draw_spectrograms(dataset, output / PLOTS)
