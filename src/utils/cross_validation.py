"""Cross-validation: one adapter per fold, and what the folds come to together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from rich.console import Console
from rich.progress import Progress

from ..config import RunConfig
from ..data.cache_builder import MOST_NAMED
from ..data.dataset import AudioDataset, FoldSplit
from ..data.formats import open_dataset
from ..data_config import FRAMES_PER_SECOND
from ..errors import UserError
from ..files import (
    list_some,
    locked,
    write_csv,
    write_json,
)
from ..models.ast_with_adapter import ASTWithAdapter
from ..text import shown
from . import console as screen
from .card import write_cards
from .environment import make_accelerator
from .fold import FoldRun
from .interrupt import StopRequest
from .micro_batches import MicroBatches
from .multi_label import lacking
from .run_folder import LOCK, PLOTS, SUMMARY_CSV, SUMMARY_JSON
from .run_start import begin, finished_folds, go_on, goes_on, with_resumed_output
from .summary import KINDS, score, summarise, summary_rows, validation_score
from .workplace import new_model, set_up


def cross_validate(
    config: RunConfig, dataset: AudioDataset | None = None, alone: bool = True
) -> dict[str, Any]:
    """Run every fold that the configuration names and write the run's folder (see `run_folder`).

    A run that is in the folder already goes on where it was, to the bit; finished folds are not trained
    again.

    Args:
        config: Of the run.
        dataset: The one of the configuration, if `open_dataset` has opened it already, with the configuration
            that it returned.
        alone: Tell what there is to say about the clips, and draw pictures; not for one run of many alike.

    Returns:
        The summary that also lies in summary.json.

    Raises:
        UserError: for anything in the configuration, the data or the output folder that cannot work; as far
            as it can be known, before any training.
        Stopped: after Ctrl-C, SIGTERM or SIGHUP, with everything saved.
    """
    config = with_resumed_output(config)
    output = Path(config.output)
    if dataset is None:
        dataset, config = open_dataset(config)
    splits = [dataset.split(fold) for fold in test_folds(config, dataset)]
    accelerator = make_accelerator(config.train.device, config.train.precision)
    model = new_model(config, dataset, splits[0].test)  # what cannot work about it is said before the rest
    if config.train.tensorboard and find_spec("tensorboard") is None:
        raise UserError("train.tensorboard needs the package tensorboard: pip install tensorboard")
    busy = f"Another process is training into {output}. Wait for it, or choose another folder with --output."
    with locked(output / LOCK, busy):
        resumed = goes_on(config)
        if config.data.fit_length and alone:
            seconds = config.spectrogram.max_length / FRAMES_PER_SECOND
            screen.messages().print(f"Spectrograms have {seconds:.2f} s, by data.fit_length.")
        if alone:
            load_with_progress(dataset, screen.messages())
        else:
            dataset.load_spectrograms()
        splits = [dataset.split(split.test) for split in splits]  # clips may have been left out
        for split in splits if dataset.multi_label else ():
            for note in lacking(dataset, split):
                screen.messages().print(f"Warning: {note}")
        if resumed:
            go_on(config, dataset, model, accelerator)
        else:  # what an earlier run left goes only when nothing stands in this one's way
            begin(config, dataset, model, accelerator)
        summary = _run_folds(config, dataset, splits, model, accelerator)
        if alone:
            _draw(output, dataset)
        write_cards(output)
    return summary


def _run_folds(
    config: RunConfig,
    dataset: AudioDataset,
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


def load_with_progress(dataset: AudioDataset, console: Console) -> None:
    """Have the spectrograms ready, with a bar while they are computed, and name silent and skipped clips."""
    with screen.progress(console) as bars:
        task = bars.add_task("Spectrograms", total=len(dataset), note="", visible=False)
        dataset.load_spectrograms(
            lambda: bars.update(task, advance=1, visible=True),
            lambda: console.print("Another process computes the same spectrograms: waiting for it."),
        )
    for note in dataset.notes:
        console.print(f"Warning: {note}")
    if dataset.skipped:
        rows = sum(problem.line > 0 for problem in dataset.skipped)
        clips = f"{len(dataset.skipped) - rows} clips"
        what = f"{rows} rows of the csv and {clips}" if dataset.source.suffix == ".csv" else clips
        console.print(
            f"Warning: {what} cannot be used and are left out; {len(dataset)} clips are used:\n"
            f"{list_some((shown(problem.reason) for problem in dataset.skipped), MOST_NAMED)}"
        )
    if dataset.silent:
        console.print(
            f"Warning: {len(dataset.silent)} clips hold nothing but silence; "
            f"they are used all the same:\n{list_some(dataset.silent)}"
        )


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
        what = "mAP " if "validation_map" in row else ""
        loss, validation = f"loss {row['train_loss']:.3f}", f"validation {what}{validation_score(row):.1%}"
        self._say(f"epoch {row['epoch']}/{self._epochs}, {loss}, {validation}")

    def on_result(self, result: dict[str, Any]) -> None:
        last, best = (f"{score(result[kind]):.1%}" for kind in KINDS)
        what = "mAP " if "test_map" in result["last"] else ""
        self._say(f"test {what}{last}, with the best epoch {best}")

    def _say(self, note: str) -> None:
        self._bars.update(self._task, note=note)
        if not self._console.is_terminal:
            self._console.print(f"{self._name}, {note}")


def test_folds(config: RunConfig, dataset: AudioDataset) -> list[int]:
    """The folds that a run tests on.

    Raises:
        UserError: if they are given, and none or one twice.
    """
    folds = dataset.tested if config.data.folds is None else config.data.folds
    if not folds or len(set(folds)) < len(folds):
        raise UserError(
            f"data.folds is {folds}; name each fold to test on once, or leave it out for all of them."
        )
    return folds


def _draw(output: Path, dataset: AudioDataset) -> None:
    from .visualization import draw_run, draw_spectrograms  # matplotlib is only needed now

    draw_run(output)
    draw_spectrograms(dataset, output / PLOTS)
