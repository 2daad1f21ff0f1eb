"""The pictures: they are there, of a sensible size, readable, and show the run's numbers."""

from __future__ import annotations

import csv
import json
import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from petl_ast import ESC50Dataset
from petl_ast.config import RunConfig, SpectrogramConfig, to_yaml
from petl_ast.utils.run_folder import Run, read_run
from petl_ast.utils.visualization import (
    class_accuracy_figure,
    confusion_figure,
    curves,
    draw_run,
    draw_spectrograms,
    save,
    spectrogram_sheet,
)

FROM_FILES = ["curves.png", "confusion_matrix.png", "class_accuracy.png"]
LONG_NAMES = [f"crackling_fire_and_so_on_{i:02}" for i in range(50)]
COLUMNS = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "gradient_norm")


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def make_run(folder: Path, names: list[str], epochs: int, folds: int) -> Path:
    """The files of a run with made-up numbers: a class is taken for the next one in every third clip."""
    rng = np.random.default_rng(0)
    results = []
    for fold in range(1, folds + 1):
        rates = np.linspace(0.005, 0, epochs, endpoint=False)
        write(
            folder / f"fold_{fold}" / "metrics.csv",
            [
                {"epoch": e, **{c: rng.random() for c in COLUMNS}, "learning_rate": r, "seconds": 1}
                for e, r in enumerate(rates, start=1)
            ],
        )
        clips = [
            (name, names[(i + (take == 0)) % len(names)]) for i, name in enumerate(names) for take in range(3)
        ]
        write(
            folder / f"fold_{fold}" / "predictions.csv",
            [{"clip": f"{i}.wav", "class": a, "last": b, "best": a} for i, (a, b) in enumerate(clips)],
        )
        adapter = folder / f"fold_{fold}" / "last" / "adapter_config.json"
        adapter.parent.mkdir()
        adapter.write_text(json.dumps({"labels": names}))
        kinds = {kind: {"test_accuracy": 2 / 3, "epoch": epochs} for kind in ("last", "best")}
        results.append({"test": fold, "clips": {"test": len(clips)}, **kinds})
    mean = {"mean": 2 / 3, "standard_deviation": None, "low": None, "high": None}
    (folder / "summary.json").write_text(json.dumps({"folds": results, "last": mean, "best": mean}))
    (folder / "environment.json").write_text(json.dumps({"device": "cpu: made up"}))
    (folder / "config.yaml").write_text(to_yaml(RunConfig(output=str(folder))))
    return folder


def check_picture(path: Path) -> None:
    """PNG, some hundred to a few thousand pixels either way, and not blank."""
    start = path.read_bytes()[:24]
    assert start[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", start[16:24])
    assert 400 <= width <= 4000
    assert 300 <= height <= 4000
    assert matplotlib.image.imread(path)[..., :3].std() > 0.01


def drawn(draw: Callable[[], Figure], folder: Path) -> Figure:
    """The figure as `save` styles it, after its layout."""
    figures: list[Figure] = []

    def keep() -> Figure:
        figures.append(draw())
        FigureCanvasAgg(figures[0])
        return figures[0]

    save(keep, folder / "picture.png")
    check_picture(folder / "picture.png")
    return figures[0]


def check_labels(labels: list[Text], figure: Figure, axis: str) -> None:
    """No label is covered by its neighbour or leaves the picture."""
    figure.draw_without_rendering()  # saving leaves positions of another resolution behind
    boxes = [label.get_window_extent() for label in labels]
    spans = sorted((box.y0, box.y1) if axis == "y" else (box.x0, box.x1) for box in boxes)
    assert all(end <= start + 0.5 for (_, end), (start, _) in pairwise(spans))
    width, height = figure.canvas.get_width_height()
    for box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height


@pytest.mark.parametrize(("classes", "epochs", "folds"), [(3, 2, 5), (50, 1, 1), (50, 50, 5), (2, 1, 3)])
def test_a_run_of_any_size_is_drawn(classes: int, epochs: int, folds: int, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", LONG_NAMES[:classes], epochs, folds)
    assert draw_run(run) == [run / "plots" / name for name in FROM_FILES]
    for name in FROM_FILES:
        check_picture(run / "plots" / name)
    assert len(list((run / "plots").iterdir())) == len(FROM_FILES)


def test_a_real_runs_pictures(finished_run: Path) -> None:
    for name in (*FROM_FILES, "spectrograms.png"):
        check_picture(finished_run / "plots" / name)


def test_pictures_are_drawn_over(finished_run: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", LONG_NAMES[:2], 1, 1)
    (run / "plots").mkdir()
    for name in FROM_FILES:
        (run / "plots" / name).write_text("no picture")
    draw_run(run)
    for name in FROM_FILES:
        check_picture(run / "plots" / name)


def read_made(folder: Path, names: list[str], epochs: int, folds: int) -> Run:
    return read_run(make_run(folder / "run", names, epochs, folds))


def test_curves_show_the_metrics(tmp_path: Path) -> None:
    run = read_made(tmp_path, LONG_NAMES[:3], 4, 2)
    loss, accuracy, norm, rate = drawn(lambda: curves(run), tmp_path).axes
    for axis, columns in (
        (loss, ["train_loss", "validation_loss"]),
        (accuracy, ["train_accuracy", "validation_accuracy"]),
        (norm, ["gradient_norm"]),
        (rate, ["learning_rate"]),
    ):
        shown = [list(line.get_ydata()) for line in axis.lines]
        assert all(list(line.get_xdata()) == [1, 2, 3, 4] for line in axis.lines)
        assert len(shown) == 3 * len(columns)  # two folds and their mean
        for column in columns:
            folds = [[row[column] for row in rows] for rows in run.metrics.values()]
            assert all(values in shown for values in folds)
            assert any(np.allclose(values, np.mean(folds, axis=0)) for values in shown)
        assert axis.get_xlabel() == "epoch"
        assert axis.get_legend() is not None


def test_one_epoch_is_visible(tmp_path: Path) -> None:
    """A line through one point is not: it needs a marker."""
    run = read_made(tmp_path, LONG_NAMES[:3], 1, 1)
    for axis in drawn(lambda: curves(run), tmp_path).axes:
        assert all(line.get_marker() not in (None, "None", "") for line in axis.lines)


@pytest.mark.parametrize(
    "epochs",
    [1, 2, 3, 50],
)
def test_epochs_are_whole_numbers(epochs: int, tmp_path: Path) -> None:
    run = read_made(tmp_path, LONG_NAMES[:3], epochs, 2)
    for axis in drawn(lambda: curves(run), tmp_path).axes:
        low, high = axis.get_xlim()
        ticks = [tick for tick in axis.get_xticks() if low <= tick <= high]
        assert ticks
        assert all(float(tick).is_integer() for tick in ticks)


def test_the_confusion_matrix_shows_every_count(tmp_path: Path) -> None:
    matrix = np.array([[5, 0, 1], [0, 4, 0], [2, 0, 0]])
    figure = drawn(lambda: confusion_figure(matrix, ["a_dog", "cat", "cow"], "some clips"), tmp_path)
    axis = figure.axes[0]
    shown = {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in axis.texts}
    assert shown == {(0, 0): "5", (0, 2): "1", (1, 1): "4", (2, 0): "2"}  # (true, predicted)
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a dog", "cat", "cow"]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["a dog", "cat", "cow"]
    np.testing.assert_allclose(axis.images[0].get_array()[0], [5 / 6, 0, 1 / 6])
    assert "some clips" in axis.get_title()


def test_accuracies_are_in_order(tmp_path: Path) -> None:
    """Best on top; a class without test clips has no bar and stands last."""
    matrix = np.array([[1, 3, 0, 0], [0, 4, 0, 0], [1, 1, 2, 0], [0, 0, 0, 0]])
    names = ["dog", "cat", "cow", "absent"]
    axis = drawn(lambda: class_accuracy_figure(matrix, names, 0.58), tmp_path).axes[0]
    upwards = [label.get_text() for label in axis.get_yticklabels()]
    assert upwards == ["absent (0)", "dog (4)", "cow (4)", "cat (4)"]
    widths = [bar.get_width() for bar in axis.patches]
    np.testing.assert_allclose(np.nan_to_num(widths), [0, 0.25, 0.5, 1])
    assert list(axis.lines[0].get_xdata()) == [0.58, 0.58]


def test_fifty_long_names_are_readable(tmp_path: Path) -> None:
    matrix = 30 * np.eye(50, dtype=int)
    figure = drawn(lambda: confusion_figure(matrix, LONG_NAMES, "all"), tmp_path)
    check_labels(figure.axes[0].get_yticklabels(), figure, "y")
    check_labels(figure.axes[0].get_xticklabels(), figure, "x")
    figure = drawn(lambda: class_accuracy_figure(matrix, LONG_NAMES, 0.9), tmp_path)
    check_labels(figure.axes[0].get_yticklabels(), figure, "y")


def test_a_name_with_dollar_signs_is_text(tmp_path: Path) -> None:
    names = ["coins_5$\\x6$", "b"]
    axis = drawn(lambda: confusion_figure(np.eye(2, dtype=int), names, "all"), tmp_path).axes[0]
    assert len(axis.texts) == 2


@pytest.fixture
def dataset(shared_miniature: Path, tmp_path: Path) -> ESC50Dataset:
    return ESC50Dataset(shared_miniature, "all", SpectrogramConfig(max_length=48), tmp_path / "cache")


def test_the_sheet_shows_what_the_model_sees(dataset: ESC50Dataset, tmp_path: Path) -> None:
    assert draw_spectrograms(dataset, tmp_path / "plots") == tmp_path / "plots" / "spectrograms.png"
    check_picture(tmp_path / "plots" / "spectrograms.png")
    figure = drawn(lambda: spectrogram_sheet(dataset), tmp_path)
    pictures = [axis for axis in figure.axes if axis.images and axis.get_title()]
    assert len(pictures) == 9  # three clips of each of three classes
    by_name = {clip.path.name: i for i, clip in enumerate(dataset.clips)}
    for number, axis in enumerate(pictures):
        index = by_name[axis.get_title()]
        assert dataset.clips[index].label == number // 3
        np.testing.assert_array_equal(axis.images[0].get_array(), dataset[index][0].numpy().T)
