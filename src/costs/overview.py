"""Before a run: what the data set is, what will be done with it, and what that costs."""

from __future__ import annotations

from collections import Counter
from statistics import median

from rich.table import Table
from rich.text import Text

from ..config import RunConfig
from ..data.dataset import AudioDataset
from ..data.shots import training_indices
from ..data.spectrogram import HOP_SECONDS
from ..models.ast_with_adapter import ASTWithAdapter
from ..text import plural, shown
from ..utils import console as screen
from ..utils.cross_validation import load_with_progress, test_folds
from .cost import cost_of, work_with
from .estimate import duration
from .machines import measure
from .parameters import models

FORMATS = {"esc50": "in ESC-50's layout", "folder": "a sub-folder a class", "csv": "listed by a csv"}
MOST_CLASSES = 100  # named with their numbers
MUCH_LESS = 0.8  # of the time: from here on another precision is worth naming
TAIL = 0.03  # seconds behind the last whole window, which no clip misses


def overview(config: RunConfig, dataset: AudioDataset) -> Table:
    """Compute the spectrograms, if the cache lacks them, and describe data, plan and cost.

    Args:
        config: As `open_dataset` returned it.
        dataset: The same.

    Raises:
        UserError: for whatever of data, folds, backbone and method cannot work.
    """
    load_with_progress(dataset, screen.messages())
    table = Table.grid(padding=(0, 2))
    for name, text in [*_found(config, dataset), *_plan(config, dataset)]:
        table.add_row(Text(name, style="bold"), Text(text))
    return table


def _found(config: RunConfig, dataset: AudioDataset) -> list[tuple[str, str]]:
    headers = dataset.survey()
    counts = Counter(dataset.class_names[n] for i in range(len(dataset)) for n in dataset.labels_of(i))
    layout = FORMATS.get(config.data.format, config.data.format)
    named = [f"{shown(name)} {counts[name]}" for name in dataset.class_names]
    more = [f"and {len(named) - MOST_CLASSES} more"] if len(named) > MOST_CLASSES else []
    rates = [f"{rate:,} Hz ({clips})" for rate, clips in headers.rates.most_common(5)]
    channels = [
        f"{'mono' if number == 1 else f'{number} channels'} ({clips})"
        for number, clips in headers.channels.most_common(5)
    ]
    return [
        ("Found", f"{len(dataset)} clips in {len(counts)} classes in {dataset.root}, {layout}"),
        ("Classes", ", ".join(named[:MOST_CLASSES] + more)),
        ("Length", _length(config, headers.seconds)),
        ("Recorded", f"{', '.join(rates)}; {', '.join(channels)}"),
        ("Left out", plural(len(dataset.skipped), "clip") if dataset.skipped else "nothing"),
        ("Silent", plural(len(dataset.silent), "clip") if dataset.silent else "none"),
    ]


def _length(config: RunConfig, seconds: list[float]) -> str:
    frames = config.spectrogram.max_length
    heard = frames * HOP_SECONDS
    cut = sum(length > heard + TAIL for length in seconds)
    lengths = f"{min(seconds):.1f} to {max(seconds):.1f} s, half of them up to {median(seconds):.1f} s"
    what = "which cut" if config.data.long_clips == "cut" else "a stretch at a time of"
    left = f", {what} {plural(cut, 'clip')}" if cut else ""
    return f"{lengths}; spectrograms of {frames} frames ({heard:.1f} s){left}"


def _plan(config: RunConfig, dataset: AudioDataset) -> list[tuple[str, str]]:
    train, folds = config.train, test_folds(config, dataset)
    split = dataset.split(folds[0])
    parts = {
        "train": training_indices(dataset, split, config.data),
        "validate": dataset.indices([split.validation]),
        "test": dataset.indices([split.test]),
    }
    sizes = ", ".join(f"{len(indices)} {part}" for part, indices in parts.items())
    ((method, model),) = models(config, len(dataset.class_names))
    counts = model.parameter_counts()
    trained = f"{counts['trainable']:,} of {counts['total']:,} parameters train"
    return [
        ("Folds", f"tested: {', '.join(map(str, folds))}, each by a model of its own (clips: {sizes})"),
        ("Model", f"{config.model.backbone} with method {method}: {trained}"),
        ("Training", f"{plural(train.epochs, 'epoch')} in batches of {train.batch_size}"),
        ("Cost", _cost(config, dataset, model)),
        ("Results", f"in {config.output}"),
    ]


def _cost(config: RunConfig, dataset: AudioDataset, model: ASTWithAdapter) -> str:
    """Memory, and time by the kernels' speed measured just now; the model's weights are lost."""
    here = {found.precision: found for found in measure(model.backbone.config, config.train.device)}
    work = work_with(config, dataset)
    cost = cost_of(model, config, work.long_clips)
    memory = f"{cost.memory / 1e9:.1f} GB of memory"
    if config.train.precision not in here:
        return memory
    seconds = {name: cost.seconds(work, machine) for name, machine in here.items()}
    own = seconds[config.train.precision]
    fastest = min(seconds, key=seconds.__getitem__)
    hint = ""
    if seconds[fastest] < MUCH_LESS * own:
        hint = f"; with --train.precision {fastest} about {duration(seconds[fastest])}"
    return f"about {duration(own)} on this machine as busy as it is now, {memory}{hint}"
