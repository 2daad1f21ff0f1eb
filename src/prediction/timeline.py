"""A picture of a recording: its spectrogram, and below it which class was heard when."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator

from ..data.spectrogram import mel_bin
from ..data.thumbnail import Thumbnail
from ..text import shown
from ..utils.visualization import COLOURMAP, VALIDATION_COLOUR, save
from .events import Event, Timeline, clock

LANES = 8  # classes that are shown
CELLS = 2000  # at most, side by side in a lane
DARKEST, BRIGHTEST = 5, 99.8  # percentiles of the spectrogram's values
OCTAVES = (125, 250, 500, 1000, 2000, 4000, 8000, 16000, 32000, 64000)
TIME_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 21600, 86400)
MOST_TICKS = 12


def draw_timeline(
    name: str, timeline: Timeline, events: Sequence[Event], thumbnail: Thumbnail, path: Path
) -> None:
    """Draw a recording and write the picture whole.

    Args:
        name: The recording's, for the title.
        timeline: What a model said of it.
        events: What came of that.
        thumbnail: Its spectrogram.
        path: The PNG file.
    """
    save(lambda: timeline_figure(name, timeline, events, thumbnail), path)


def timeline_figure(name: str, timeline: Timeline, events: Sequence[Event], thumbnail: Thumbnail) -> Figure:
    """Above, the spectrogram; below, a lane for each of the likeliest classes, its events marked."""
    peaks = timeline.probabilities.max(axis=0)
    lanes = [int(label) for label in np.argsort(-peaks, kind="stable")[:LANES]]
    height = 0.6 + 0.3 * len(lanes)
    figure = Figure(figsize=(11, 3.4 + height))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2.6, height])
    above.set_title(f"{shown(name)}  ({clock(timeline.seconds)})", loc="left")
    _spectrogram(figure, above, thumbnail)
    _lanes(figure, below, timeline, lanes)
    for row, label in enumerate(lanes):
        spans = [(e.start, e.end - e.start) for e in events if e.name == timeline.labels[label]]
        below.broken_barh(spans, (row + 0.34, 0.16), color=VALIDATION_COLOUR, linewidth=0)
    below.set_title("shades: probability of the class, red: events", loc="right", fontsize=8)
    _time_axis(below, timeline.seconds)
    return figure


def _spectrogram(figure: Figure, axis: Axes, thumbnail: Thumbnail) -> None:
    columns, bins = thumbnail.columns(), thumbnail.config.num_mel_bins
    darkest, brightest = np.percentile(columns, (DARKEST, BRIGHTEST))
    image = axis.imshow(
        columns.T,
        origin="lower",
        aspect="auto",
        cmap=COLOURMAP,
        extent=(0.0, len(columns) * thumbnail.seconds_per_column, -1.0, float(bins)),  # to the filters' edges
        vmin=darkest,
        vmax=max(brightest, darkest + 1e-6),
    )
    ticks = {mel_bin(hertz, thumbnail.config): f"{hertz / 1000:g}" for hertz in OCTAVES}
    ticks = {place: text for place, text in ticks.items() if place <= bins}
    axis.set_yticks(list(ticks), list(ticks.values()))
    axis.set_ylabel("frequency, kHz")
    axis.tick_params(labelbottom=False)
    axis.grid(False)
    figure.colorbar(image, ax=axis, pad=0.01, label="level, normalised")


def _lanes(figure: Figure, axis: Axes, timeline: Timeline, lanes: Sequence[int]) -> None:
    """Probabilities as shades; where windows are too many to be seen, the largest of neighbours."""
    count = len(timeline.windows)
    firsts = np.arange(0, count, -(-count // CELLS))
    cells = np.maximum.reduceat(timeline.probabilities[:, lanes], firsts, axis=0)  # [cells, lanes]
    edges = timeline.edges()[[*firsts, count]]
    places = np.arange(len(lanes) + 1) - 0.5
    image = axis.pcolormesh(edges, places, cells.T, cmap="Blues", vmin=0, vmax=1, rasterized=True)
    axis.set_yticks(range(len(lanes)), [timeline.labels[label].replace("_", " ") for label in lanes])
    axis.set_ylim(len(lanes) - 0.5, -0.5)  # the likeliest on top
    axis.tick_params(axis="y", length=0)
    axis.grid(False)
    for place in places[1:-1]:
        axis.axhline(place, color="0.85", linewidth=0.6)
    figure.colorbar(image, ax=axis, pad=0.01, label="probability")


def _time_axis(axis: Axes, seconds: float) -> None:
    step = next((s for s in TIME_STEPS if seconds / s <= MOST_TICKS), seconds / MOST_TICKS)

    def label(value: float, position: int | None = None) -> str:
        return clock(value) if step < 1 else clock(value).removesuffix(".0")

    axis.xaxis.set_major_locator(MultipleLocator(step))
    axis.xaxis.set_major_formatter(FuncFormatter(label))
    axis.set_xlim(0, seconds)
    axis.set_xlabel("time, min:s" if seconds < 3600 else "time, h:min:s")
