"""How pre-training went, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

PARTS = {
    "family": "cross-entropy of the families",
    "parameters": "error of f0, rate, centre",
    "statistics": "error of the clip statistics",
}


def curves(rows: Sequence[dict[str, Any]]) -> Figure:
    """Each loss and the share of families told right, over the clips heard."""
    figure = Figure(figsize=(10, 5.6))
    axes = figure.subplots(2, 2).flatten()
    clips = [row["clips"] for row in rows]
    for axis, (name, title) in zip(axes, PARTS.items(), strict=False):
        axis.plot(clips, [row[name] for row in rows], color="#3b6ea8")
        axis.set(title=title, ylim=(0, None))
    axes[3].plot(clips, [row["right"] for row in rows], color="#c8553d")
    axes[3].set(title="families told right", ylim=(0, 1))
    for axis in axes:
        axis.set(xlabel="clips heard, each once")
    return figure
