"""Cross-validation: one adapter per fold, and what the folds come to together."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ..config import RunConfig, to_yaml
from ..data.esc50_dataset import ESC50Dataset, FoldSplit
from ..errors import UserError
from ..files import (
    clear_write_errors,
    list_some,
    locked,
    read_json,
    remove_litter,
    write_csv,
    write_json,
    write_text,
)
from ..models.ast_with_adapter import ASTWithAdapter
from . import console as screen
from .environment import describe, make_accelerator
from .fold import FoldRun
from .interrupt import StopRequest
from .metrics import over_folds
from .micro_batches import MicroBatches
from .resume import check_same_material, finished_folds, goes_on, material, with_resumed_output
from .run_folder import CHECKPOINT, CONFIG, ENVIRONMENT, LOCK, PLOTS, RESULT, SUMMARY_CSV, SUMMARY_JSON
from .workplace import new_model, set_up

KINDS = ("last", "best")  # which epoch's weights
STATISTICS = ("mean", "standard_deviation", "low", "high")


def cross_validate(config: RunConfig) -> dict[str, Any]:
    """Run every fold that the configuration names and write the run's folder (see `run_folder`).

    A run that is in the folder already goes on where it was, to the bit; finished folds are not trained
    again.

    Returns:
        The summary that also lies in summary.json.

    Raises:
        UserError: for anything in the configuration, the data or the output folder that cannot work; as far
            as it can be known, before any training.
        Stopped: after Ctrl-C, SIGTERM or SIGHUP, with everything saved.
    """
    config = with_resumed_output(config)
    output = Path(config.output)
    dataset = ESC50Dataset(config.data.root, config.data.subset, config.spectrogram, config.data.cache)
    splits = [dataset.split(fold) for fold in _test_folds(config, dataset)]
    accelerator = make_accelerator(config.train.device, config.train.precision)
    model = new_model(config, dataset, splits[0].test)  # what cannot work about it is said before the rest
    if config.train.tensorboard and find_spec("tensorboard") is None:
        raise UserError("train.tensorboard needs the package tensorboard: pip install tensorboard")
    busy = f"Another process is training into {output}. Wait for it, or choose another folder with --output."
    with locked(output / LOCK, busy):
        resumed = goes_on(config)
        load_with_progress(dataset, screen.messages())
        if resumed:
            _resume_output(config, dataset, model, accelerator)
        else:  # what an earlier run left goes only when nothing stands in this one's way
            _start_output(config, dataset, model, accelerator)
        summary = _run_folds(config, dataset, splits, model, accelerator)
        _draw(output, dataset)
    return summary


def _run_folds(
    config: RunConfig,
    dataset: ESC50Dataset,
    splits: Sequence[FoldSplit],
    model: ASTWithAdapter,
    accelerator: Accelerator,
) -> dict[str, Any]:
    """Train the folds that are not finished, and keep the summary after each."""
    output, console = Path(config.output), screen.messages()
    finished = finished_folds(config, [split.test for split in splits])
    if finished:
        console.print(f"Finished already: fold {', '.join(map(str, finished))}.")
    if len(finished) == len(splits):
        return _keep_summary(output, splits, finished)

    def say_halved(size: int) -> None:
        console.print(
            f"Memory ran out: {size} clips go through the model at once from now on. "
            f"The batch stays {config.train.batch_size}; --train.micro_batch_size {size} starts so."
        )

    micro_batches = MicroBatches(config.train.micro_batch_size, say_halved)
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
        with StopRequest() as stop:
            for split in splits:
                if split.test in finished:
                    continue
                fold = FoldRun(config, dataset, split, workplace)
                task = bars.add_task("", total=fold.batches, completed=fold.batches_done, note="")
                show = _FoldProgress(config, split, task, bars, console)
                show.on_start(fold)
                finished[split.test] = fold.run(show.on_batch, show.on_epoch, stop)
                show.on_result(finished[split.test])
                summary = _keep_summary(output, splits, finished)
    return summary


def _keep_summary(
    output: Path, splits: Sequence[FoldSplit], finished: Mapping[int, dict[str, Any]]
) -> dict[str, Any]:
    """Write the summary of the folds that are finished."""
    done, left = (
        [s.test for s in splits if s.test in finished],
        [s.test for s in splits if s.test not in finished],
    )
    summary = summarise([finished[fold] for fold in done], left)
    write_json(output / SUMMARY_JSON, summary)
    write_csv(output / SUMMARY_CSV, summary_rows(summary))
    return summary


def load_with_progress(dataset: ESC50Dataset, console: Console) -> None:
    """Have the spectrograms ready, with a bar while they are computed, and name silent clips."""
    with screen.progress(console) as bars:
        task = bars.add_task("Spectrograms", total=len(dataset), note="", visible=False)
        dataset.load_spectrograms(lambda: bars.update(task, advance=1, visible=True))
    if dataset.silent:
        console.print(
            f"Warning: {len(dataset.silent)} clips hold nothing but silence; "
            f"they are used all the same:\n{list_some(dataset.silent)}"
        )


def summarise(results: Sequence[dict[str, Any]], unfinished: Sequence[int] = ()) -> dict[str, Any]:
    """The finished folds, and over them the mean, deviation and 95 % interval of both kinds of weights; and
    the folds that are still to be done.
    """
    over = {
        kind: dataclasses.asdict(over_folds([r[kind]["test_accuracy"] for r in results])) for kind in KINDS
    }
    return {"folds": list(results), "unfinished": list(unfinished), **over}


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
    left = ", ".join(map(str, summary["unfinished"]))
    table = Table("tested on fold", title=title, caption=f"not finished: fold {left}" if left else None)
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

    def on_start(self, fold: FoldRun) -> None:
        if fold.batches_done:
            self._say(f"goes on behind batch {fold.batches_done} of {fold.batches}")

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


def _start_output(
    config: RunConfig, dataset: ESC50Dataset, model: ASTWithAdapter, accelerator: Accelerator
) -> None:
    """Clear what an earlier run left, and leave configuration, machine and material."""
    output = Path(config.output)
    with clear_write_errors(output):
        for fold in output.glob("fold_*"):
            for name in (RESULT, CHECKPOINT):  # first: without them nobody goes on with what is left
                (fold / name).unlink(missing_ok=True)
            shutil.rmtree(fold)
        shutil.rmtree(output / PLOTS, ignore_errors=True)
        for name in (SUMMARY_JSON, SUMMARY_CSV):
            (output / name).unlink(missing_ok=True)
    remove_litter(output)
    write_text(output / CONFIG, to_yaml(config))  # first: it makes the folder a run's
    environment = describe(config.train, accelerator.device)
    write_json(
        output / ENVIRONMENT, {**environment, "material": material(dataset, model.backbone_fingerprint)}
    )


def _resume_output(
    config: RunConfig, dataset: ESC50Dataset, model: ASTWithAdapter, accelerator: Accelerator
) -> None:
    """Tidy up behind a killed process, and note the machine that goes on."""
    output = Path(config.output)
    check_same_material(config, dataset, model.backbone_fingerprint)
    remove_litter(output)
    for result in output.glob(f"fold_*/{RESULT}"):  # killed between its last two acts
        with clear_write_errors(result.parent):
            (result.parent / CHECKPOINT).unlink(missing_ok=True)
    environment, now = read_json(output / ENVIRONMENT), describe(config.train, accelerator.device)
    if changed := [
        f"{name}: {environment.get(name)} before, {now[name]} now"
        for name in ("device", "torch_threads", "versions")
        if environment.get(name) != now[name]
    ]:
        screen.messages().print(
            "This is not the machine or the software that the run was begun with; what is still to be done "
            f"may differ in the last digits:\n{list_some(changed)}"
        )
    write_json(output / ENVIRONMENT, {**environment, "resumed": [*environment.get("resumed", []), now]})


def _draw(output: Path, dataset: ESC50Dataset) -> None:
    from .visualization import draw_run, draw_spectrograms  # matplotlib is only needed now

    draw_run(output)
    draw_spectrograms(dataset, output / PLOTS)
