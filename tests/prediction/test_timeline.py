"""The picture of a recording: what is drawn is what was found, and where."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import PolyCollection, QuadMesh

from petl_ast.config import SpectrogramConfig
from petl_ast.data.thumbnail import Thumbnail
from petl_ast.prediction.events import Timeline
from petl_ast.prediction.timeline import CELLS, LANES, draw_timeline, timeline_figure

CONFIG = SpectrogramConfig(max_length=100)


def recording(windows: int, classes: int) -> tuple[Timeline, Thumbnail]:
    rng = np.random.default_rng(0)
    rows = rng.dirichlet(np.full(classes, 0.2), windows).astype(np.float32)
    spans = [(0.5 * i, 0.5 * i + 1) for i in range(windows)]
    thumbnail = Thumbnail(CONFIG)
    thumbnail.add(rng.normal(size=(50 * windows + 50, 1)).astype(np.float32).repeat(128, axis=1))
    return Timeline([f"class_{label}" for label in range(classes)], np.array(spans), rows), thumbnail


@pytest.mark.parametrize(("windows", "classes"), [(1, 1), (1, 50), (30, 3), (7199, 12)])
def test_from_a_clip_to_an_hour(windows: int, classes: int, tmp_path: Path) -> None:
    timeline, thumbnail = recording(windows, classes)
    events = timeline.events(0.5)
    figure = timeline_figure("name [1].wav", timeline, events, thumbnail)
    above, below = figure.axes[:2]
    assert above.get_title(loc="left").startswith("name [1].wav")
    assert below.get_xlim() == (0, timeline.seconds)
    assert "h:" in below.get_xlabel() if timeline.seconds >= 3600 else "min:s" in below.get_xlabel()
    lanes = [text.get_text() for text in below.get_yticklabels()]
    peaks = timeline.probabilities.max(axis=0)
    assert lanes == [f"class {label}" for label in np.argsort(-peaks, kind="stable")[:LANES]]
    (mesh,) = (c for c in below.collections if isinstance(c, QuadMesh))
    assert mesh.get_array().shape[1] <= CELLS
    assert mesh.get_array().max() == peaks.max()  # nothing that stands out is averaged away
    bars = [len(c.get_paths()) for c in below.collections if isinstance(c, PolyCollection)]
    assert bars == [sum(event.name.replace("_", " ") == lane for event in events) for lane in lanes]
    frequencies = dict(zip((t.get_text() for t in above.get_yticklabels()), above.get_yticks(), strict=True))
    assert list(frequencies) == ["0.125", "0.25", "0.5", "1", "2", "4", "8"]
    if windows < 100:
        draw_timeline("name.wav", timeline, events, thumbnail, tmp_path / "picture.png")
        assert matplotlib.image.imread(tmp_path / "picture.png").shape[1] == 1650


def test_silence_can_be_drawn(tmp_path: Path) -> None:
    thumbnail = Thumbnail(CONFIG)
    thumbnail.add(np.full((3, 128), -1.2, np.float32))
    timeline = Timeline(["a", "b"], np.array([[0, 0.03]]), np.array([[0.5, 0.5]], np.float32))
    draw_timeline("silence.wav", timeline, [], thumbnail, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 1000
