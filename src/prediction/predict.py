"""From recordings of any length to their classes: windows of all of them share the model's batches."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from ..config import SpectrogramConfig
from ..data.inputs import missing
from ..data.recording import Window, hear, hop_samples, in_order
from ..data.spectrogram import seconds_per_frame
from ..data.thumbnail import Thumbnail
from ..errors import UserError
from ..models.ast_with_adapter import ASTWithAdapter
from ..models.build import load_adapter
from ..models.many_adapters import FIRST
from ..text import shown
from ..utils.environment import make_accelerator
from ..utils.multi_label import PLAIN_THRESHOLD
from .events import Classes, Event, Probabilities, Timeline


@dataclass(frozen=True)
class Prediction:
    """What was heard in one file; or what is wrong with the file.

    Attributes:
        path: The file.
        classes: The most probable classes with their probabilities, best first; of a recording longer than a
            window, their means over its windows.
        error: What is wrong with the file; all else is then empty.
        events: What was heard when.
        timeline: The probabilities of all classes in every window.
        thumbnail: Its spectrogram for a picture, if one was asked for.
        adapter: Whose prediction this is, if several were asked (`adapter_names`).
    """

    path: Path
    classes: Classes
    error: str | None = None
    events: list[Event] = field(default_factory=list)
    timeline: Timeline = field(default_factory=Timeline, compare=False, repr=False)
    thumbnail: Thumbnail | None = field(default=None, compare=False, repr=False)
    adapter: str = ""


@dataclass(frozen=True)
class _End:
    """Behind the last window of a file: nothing is missing, or what is wrong with the file."""

    path: Path
    error: str | None = None


def predict(
    folder: str | Path | Sequence[str | Path],
    files: Sequence[Path],
    top_k: int = 3,
    backbone: str | None = None,
    batch_size: int = 32,
    device: str = "auto",
    hop: float | None = None,
    threshold: float | None = None,
    thumbnail: bool = False,
    on_heard: Callable[[float], None] = lambda seconds: None,
    ignored: Collection[str] = (),
) -> Iterator[Prediction]:
    """Classify files, in the order given.

    A clip that is not longer than what the adapter was trained on is padded to that and classified. A longer
    recording is classified window by window. A file that cannot be read is told in its place, and the others
    go on. Of a recording only its windows' times and probabilities are kept: 16 bytes for each window, and 4
    for each of its classes.

    Several adapters of one backbone, trained on the same spectrograms, hear files together: the backbone is
    loaded and each file decoded once. Of each file every adapter's prediction comes in the adapters' order; a
    file that cannot be read is told once.

    Args:
        folder: The adapter, or its id on the hub; or several.
        files: As `find_recordings` gives them.
        top_k: How many classes to name.
        backbone: Where the adapter's backbone lies, if it moved.
        batch_size: Windows in a forward pass.
        device: Where to compute.
        hop: Seconds between the starts of windows; half of a window if not given.
        threshold: The least probability of an event; above 0.5 a class is likelier than all others together.
            If not given, 0.5, or what the adapter keeps for each class where a clip may have several labels.
        thumbnail: Also keep a small spectrogram of each recording.
        on_heard: Called with the seconds of sound that were classified since it was called before.
        ignored: Classes of which there are no events, such as a background that was trained as a class.

    Raises:
        UserError: if an adapter cannot be loaded, several cannot hear together, a number makes no sense, or
            there is no such class to ignore.
    """
    if top_k < 1 or batch_size < 1:
        raise UserError(f"top_k is {top_k} and batch_size {batch_size}; both must be at least 1.")
    if threshold is not None and not 0 <= threshold <= 1:
        raise UserError(f"threshold is {threshold:g}; it must be a probability, 0 to 1.")
    folders = [folder] if isinstance(folder, str | Path) else list(folder)
    names = adapter_names(folders)
    models = _load(folders, names, backbone, device)
    _check_ignored(ignored, {label: None for model in models for label in model.labels})
    config = models[0].spectrogram
    samples = hop_samples(config, hop)

    # One piece of memory each: many small ones, kept between large freed ones, would tear it to bits.
    spans, values = array("d"), [array("f") for _ in models]
    picture = Thumbnail(config) if thumbnail else None
    items = in_order(_items(file, config, samples) for file in files)
    for batch in _batches(items, batch_size):
        windows = [item for item in batch if isinstance(item, Window)]
        rows = iter(_classify(models, windows, folders) if windows else ())
        on_heard(sum(len(window.fresh) for window in windows) * seconds_per_frame(config.sampling_rate))
        for item in batch:
            if isinstance(item, Window):
                spans.extend((item.start, item.end))
                for kept, row in zip(values, next(rows), strict=True):
                    kept.extend(row.tolist())
                if picture:
                    picture.add(item.fresh.numpy())
                continue
            if item.error:
                yield Prediction(item.path, [], item.error)
            else:
                times = np.array(spans).reshape(-1, 2)
                for name, model, kept in zip(names, models, values, strict=True):
                    heard = np.array(kept).reshape(len(times), -1)
                    timeline = Timeline(model.labels, times, heard, _thresholds(model, threshold))
                    best = timeline.best(top_k)
                    events = timeline.events(PLAIN_THRESHOLD if threshold is None else threshold)
                    events = [event for event in events if event.name not in ignored]
                    yield Prediction(item.path, best, None, events, timeline, picture, name)
            spans, values = array("d"), [array("f") for _ in models]
            picture = Thumbnail(config) if thumbnail else None


def _check_ignored(ignored: Collection[str], labels: Collection[str]) -> None:
    if strangers := [name for name in ignored if name not in labels]:
        raise UserError(
            f"{shown(strangers[0])} cannot be ignored, for it is no class here. The classes are: "
            f"{', '.join(map(shown, labels))}. Each is ignored by an --ignore of its own."
        )


def adapter_names(folders: Sequence[str | Path]) -> list[str]:
    """What to call adapters side by side: the end of each folder's path, as much as tells them apart.

    Returns:
        "" for one alone: nobody asks whose prediction it is.

    Raises:
        UserError: if there is none, or a folder is named twice.
    """
    if not folders:
        raise UserError("no adapter is named; there must be one.")
    if len(folders) == 1:
        return [""]
    real = [Path(folder).resolve() for folder in folders]
    if twice := [str(folder) for folder, path in zip(folders, real, strict=True) if real.count(path) > 1]:
        raise UserError(f"the adapter {twice[0]} is named {len(twice)} times; once is enough.")
    paths = [Path(os.path.abspath(folder)).parts for folder in folders]  # a link has a name of its own
    depth, names = 1, ["/".join(path[-1:]) for path in paths]
    while len(set(names)) < len(names):
        depth += 1
        names = ["/".join(path[-depth:]) for path in paths]
    return names


def _load(
    folders: Sequence[str | Path], names: Sequence[str], backbone: str | None, device: str
) -> list[ASTWithAdapter]:
    """The adapters on one backbone.

    Raises:
        UserError: if they are no adapters of one backbone and one kind of spectrogram.
    """
    model = load_adapter(folders[0], backbone, names[0] or FIRST)
    for folder, name in zip(folders[1:], names[1:], strict=True):
        model.add_adapter(name, folder)
        ours, others = vars(model.spectrogram), vars(model.get_adapter(name).spectrogram)
        if differing := [f"{key} {ours[key]} and {others[key]}" for key in ours if ours[key] != others[key]]:
            raise UserError(
                f"{folders[0]} and {folder} hear different spectrograms: {', '.join(differing)}. Each "
                "needs a run of its own, or train them alike: the same spectrogram options, data.fit_length "
                "false."
            )
    model.to(make_accelerator(device).device)
    return [model.get_adapter(name) for name in model.adapters]


def _thresholds(model: ASTWithAdapter, threshold: float | None) -> list[float] | None:
    """Of each class, where a clip may have several labels: the adapter's own, or what was asked for."""
    kept = model.thresholds
    return [threshold] * len(kept) if kept and threshold is not None else kept


def _items(path: Path, config: SpectrogramConfig, hop: int) -> Iterator[Window | _End]:
    """A file's windows and its end: all that depends on it alone, and on no model."""
    try:
        if told := missing(path):
            raise UserError(told)
        yield from hear(path, config, hop)
    except UserError as error:
        yield _End(path, str(error))
    else:
        yield _End(path)


def _batches(items: Iterable[Window | _End], size: int) -> Iterator[list[Window | _End]]:
    """Lists of up to `size` windows; an end stays with the window before it."""
    batch: list[Window | _End] = []
    windows = 0
    for item in items:
        if isinstance(item, Window) and windows == size:
            yield batch
            batch, windows = [], 0
        batch.append(item)
        windows += isinstance(item, Window)
    if batch:
        yield batch


def _classify(
    models: Sequence[ASTWithAdapter], windows: Sequence[Window], sources: Sequence[str | Path]
) -> Iterator[tuple[Probabilities, ...]]:
    """Of each window, every model's probabilities, float32 [its classes]."""
    device = next(models[0].parameters()).device
    spectrograms = torch.stack([window.spectrogram for window in windows]).to(device)
    found = []
    for model, source in zip(models, sources, strict=True):
        with torch.inference_mode():
            logits = model(spectrograms)
        if not logits.isfinite().all():
            raise UserError(f"{source} computes values that are not finite: its weights are of no use.")
        values = logits.float().sigmoid() if model.thresholds else logits.float().softmax(1)
        found.append(values.cpu().numpy())
    return zip(*found, strict=True)
