"""From recordings of any length to their classes: windows of all of them share the model's batches."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from ..config import SpectrogramConfig
from ..data.inputs import audio_files, missing
from ..data.overview import Overview
from ..data.recording import Window, hear, hop_samples, in_order
from ..data.spectrogram import HOP_SECONDS
from ..errors import UserError
from ..models.ast_with_adapter import ASTWithAdapter
from ..models.build import load_adapter
from .environment import make_accelerator
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
        overview: Its spectrogram for a picture, if one was asked for.
    """

    path: Path
    classes: Classes
    error: str | None = None
    events: list[Event] = field(default_factory=list)
    timeline: Timeline = field(default_factory=Timeline, compare=False, repr=False)
    overview: Overview | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class _End:
    """Behind the last window of a file: nothing is missing, or what is wrong with the file."""

    path: Path
    error: str | None = None


def predict(
    folder: str | Path,
    paths: Sequence[Path],
    top_k: int = 3,
    backbone: str | None = None,
    batch_size: int = 32,
    device: str = "auto",
    hop: float | None = None,
    threshold: float = 0.5,
    overview: bool = False,
    on_heard: Callable[[float], None] = lambda seconds: None,
) -> Iterator[Prediction]:
    """Classify files, and the audio files below folders, in the order given.

    A clip that is not longer than what the adapter was trained on is padded to that and classified. A longer
    recording is classified window by window. A file that cannot be read is told in its place, and the others
    go on. Of a recording only its probabilities are kept: 4 bytes for each window and class.

    Args:
        folder: The adapter, or its id on the hub.
        paths: Files and folders.
        top_k: How many classes to name.
        backbone: Where the adapter's backbone lies, if it moved.
        batch_size: Windows in a forward pass.
        device: Where to compute.
        hop: Seconds between the starts of windows; half of a window if not given.
        threshold: The least probability of an event; above 0.5 a class is likelier than all others together.
        overview: Also keep a small spectrogram of each recording.
        on_heard: Called with the seconds of sound that were classified since it was called before.

    Raises:
        UserError: if the adapter cannot be loaded, or a number makes no sense.
    """
    if top_k < 1 or batch_size < 1:
        raise UserError(f"top_k is {top_k} and batch_size {batch_size}; both must be at least 1.")
    if not 0 <= threshold <= 1:
        raise UserError(f"threshold is {threshold:g}; it must be a probability, 0 to 1.")
    files = [file for path in paths for file in audio_files(path)]
    model = load_adapter(folder, backbone).to(make_accelerator(device).device)
    config, labels = model.spectrogram, model.labels
    samples = hop_samples(config, hop)

    spans: list[tuple[float, float]] = []
    # One piece of memory: many small ones, kept between large freed ones, would tear it to bits.
    values = array("f")
    picture = Overview(config) if overview else None
    items = in_order(_items(file, config, samples) for file in files)
    for batch in _batches(items, batch_size):
        windows = [item for item in batch if isinstance(item, Window)]
        probabilities = iter(_classify(model, windows, folder) if windows else ())
        on_heard(sum(len(window.fresh) for window in windows) * HOP_SECONDS)
        for item in batch:
            if isinstance(item, Window):
                spans.append((item.start, item.end))
                values.extend(next(probabilities).tolist())
                if picture:
                    picture.add(item.fresh.numpy())
                continue
            if item.error:
                yield Prediction(item.path, [], item.error)
            else:
                timeline = Timeline(labels, spans, np.array(values, np.float32).reshape(len(spans), -1))
                events = timeline.events(threshold)
                yield Prediction(item.path, timeline.best(top_k), None, events, timeline, picture)
            spans, values = [], array("f")
            picture = Overview(config) if overview else None


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


def _classify(model: ASTWithAdapter, windows: Sequence[Window], source: str | Path) -> Probabilities:
    """Probabilities, float32 [windows, classes]."""
    device = next(model.parameters()).device
    with torch.inference_mode():
        logits = model(torch.stack([window.spectrogram for window in windows]).to(device))
    if not logits.isfinite().all():
        raise UserError(f"{source} computes values that are not finite: its weights are of no use.")
    probabilities: Probabilities = logits.float().softmax(1).cpu().numpy()
    return probabilities
