"""The pictures of a run, in one style: curves, confusion matrix, accuracy per class, spectrograms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ..data.dataset import AudioDataset
from ..data.spectrogram import HOP_SECONDS
from ..files import write_whole
from .metrics import class_accuracies, confusion
from .run_folder import PLOTS, Run, read_run

Matrix = npt.NDArray[np.int64]

STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 150,
    "text.parse_math": False,  # a dollar sign in a class name is one
}
TRAIN_COLOUR, VALIDATION_COLOUR, BAR_COLOUR = "#3b6ea8", "#c8553d", "#3b6ea8"
COLOURMAP = "magma"
CLIPS_PER_SHEET_CLASS, CLASSES_PER_SHEET = 3, 10
SHEET_RANGE = {"vmin": -1.5, "vmax": 1.0}  # normalised values: from near silence to loud


def draw_run(folder: Path) -> list[Path]:
    """Draw from a run's files everything that they alone allow; returns the pictures written."""
    run = read_run(folder)
    if run.multi_label:
        several = {"curves.png": lambda: curves(run), "average_precision.png": lambda: precision_figure(run)}
        for name, draw in several.items():
            save(draw, folder / PLOTS / name)
        return [folder / PLOTS / name for name in several]
    names = run.class_names
    rows = [row for fold in run.predictions.values() for row in fold]
    matrix = confusion(
        [names.index(r["class"]) for r in rows], [names.index(r["last"]) for r in rows], len(names)
    )
    pictures: dict[str, Callable[[], Figure]] = {
        "curves.png": lambda: curves(run),
        "confusion_matrix.png": lambda: confusion_figure(
            matrix, names, f"test folds, last epoch, {len(rows)} clips"
        ),
        "class_accuracy.png": lambda: class_accuracy_figure(matrix, names, run.summary["last"]["mean"]),
    }
    for name, draw in pictures.items():
        save(draw, folder / PLOTS / name)
    return [folder / PLOTS / name for name in pictures]


def draw_spectrograms(dataset: AudioDataset, folder: Path) -> Path:
    """Draw the sheet of spectrograms, some clips of each class, as the model sees them."""
    path = folder / "spectrograms.png"
    save(lambda: spectrogram_sheet(dataset), path)
    return path


def save(draw: Callable[[], Figure], path: Path) -> None:
    """Draw in the common style and write the picture whole."""
    with matplotlib.rc_context(STYLE):
        figure = draw()
        write_whole(path, lambda temporary: figure.savefig(temporary, format="png"))


def curves(run: Run) -> Figure:
    """Loss, accuracy, learning rate and gradient norm per epoch: every fold thin, their mean bold."""
    figure = Figure(figsize=(10, 6.4))
    axes = figure.subplots(2, 2)
    for axis, quantity in ((axes[0, 0], "loss"), (axes[0, 1], "accuracy")):
        _fold_lines(axis, run, f"train_{quantity}", TRAIN_COLOUR, "training (augmented)")
        _fold_lines(axis, run, f"validation_{quantity}", VALIDATION_COLOUR, "validation")
        axis.set(xlabel="epoch", ylabel=quantity, title=f"{quantity.capitalize()} (thin: folds, bold: mean)")
    if run.multi_label:
        _fold_lines(axes[0, 1], run, "validation_map", VALIDATION_COLOUR, "validation, mAP", "--")
        axes[0, 1].set_title("Accuracy of yes and no, and mAP")
    axes[0, 1].set_ylim(0, 1.02)
    axes[0, 1].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    _fold_lines(axes[1, 0], run, "gradient_norm", TRAIN_COLOUR, "2-norm, mean over steps")
    axes[1, 0].set(xlabel="epoch", ylabel="gradient norm", title="Gradient norm")
    _fold_lines(axes[1, 1], run, "learning_rate", TRAIN_COLOUR, "at the epoch's start")
    axes[1, 1].set(xlabel="epoch", ylabel="learning rate", title="Learning rate")
    axes[1, 1].ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    for axis in axes.flat:
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(next(iter(run.metrics.values()))) == 1:
            axis.set_xticks([1])
        axis.legend(frameon=False)
    return figure


def confusion_figure(matrix: Matrix, names: list[str], subtitle: str) -> Figure:
    """Confusion matrix: rows are true classes, shades are shares of the row, figures are clips."""
    classes = len(names)
    size = max(5.5, 0.28 * classes + 2.5)
    figure = Figure(figsize=(size + 0.8, size))
    axis = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.set(xlabel="predicted class", ylabel="true class", title=f"Confusion matrix\n({subtitle})")
    axis.set_xticks(range(classes), [_label(n) for n in names], rotation=90, fontsize=8)
    axis.set_yticks(range(classes), [_label(n) for n in names], fontsize=8)
    axis.grid(False)
    for row, column in zip(*np.nonzero(matrix), strict=True):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axis.text(column, row, str(matrix[row, column]), ha="center", va="center", color=colour, fontsize=7)
    figure.colorbar(image, ax=axis, fraction=0.046, label="share of the class's clips")
    return figure


def class_accuracy_figure(matrix: Matrix, names: list[str], mean: float) -> Figure:
    """Accuracy per class, best on top, with the mean over folds as a line."""
    accuracies = class_accuracies(matrix)
    order = np.argsort(np.nan_to_num(accuracies, nan=-1.0), kind="stable")
    figure = Figure(figsize=(7.5, max(3.0, 0.25 * len(names) + 1.2)))
    axis = figure.subplots()
    axis.barh(range(len(names)), accuracies[order], color=BAR_COLOUR, height=0.7)
    axis.axvline(mean, color=VALIDATION_COLOUR, linestyle="--", label=f"mean over folds, {mean:.1%}")
    axis.set_yticks(range(len(names)), [f"{_label(names[i])} ({matrix[i].sum()})" for i in order], fontsize=8)
    axis.set(xlabel="accuracy", title="Accuracy per class (test clips)", xlim=(0, 1.02))
    axis.set_ylim(-0.7, len(names) - 0.3)
    axis.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axis.grid(False, axis="y")
    figure.legend(frameon=False, loc="outside lower right")
    return figure


def precision_figure(run: Run) -> Figure:
    """Average precision per class on the test clips, last epoch, mean over the folds that have the class."""
    found = run.average_precisions()
    means = {name: value or 0.0 for name, value in found.items()}
    order = sorted(means, key=means.__getitem__)
    figure = Figure(figsize=(7.5, max(3.0, 0.25 * len(order) + 1.2)))
    axis = figure.subplots()
    axis.barh(range(len(order)), [means[name] for name in order], color=BAR_COLOUR, height=0.7)
    mean = run.summary["last"]["mean"]
    axis.axvline(mean, color=VALIDATION_COLOUR, linestyle="--", label=f"mean over folds, {mean:.1%}")
    labels = [f"{_label(name)} (no test clip)" if found[name] is None else _label(name) for name in order]
    axis.set_yticks(range(len(order)), labels, fontsize=8)
    axis.set(xlabel="average precision", title="Average precision per class (test clips)", xlim=(0, 1.02))
    axis.set_ylim(-0.7, len(order) - 0.3)
    axis.grid(False, axis="y")
    figure.legend(frameon=False, loc="outside lower right")
    return figure


def spectrogram_sheet(dataset: AudioDataset) -> Figure:
    """The first clips of the first classes as normalised log-mel spectrograms."""
    names = dataset.class_names[:CLASSES_PER_SHEET]
    dataset.load_spectrograms()
    figure = Figure(figsize=(3.2 * CLIPS_PER_SHEET_CLASS + 1.5, 1.35 * len(names) + 0.8))
    axes = figure.subplots(len(names), CLIPS_PER_SHEET_CLASS, squeeze=False, sharex=True, sharey=True)
    seconds = dataset.spectrogram.max_length * HOP_SECONDS
    extent = (0.0, seconds, 0.0, float(dataset.spectrogram.num_mel_bins))
    image = None
    for label, name in enumerate(names):
        clips = [i for i in range(len(dataset)) if label in dataset.labels_of(i)]
        for axis, index in zip(axes[label], clips, strict=False):
            image = axis.imshow(
                dataset[index][0].numpy().T,
                origin="lower",
                aspect="auto",
                cmap=COLOURMAP,
                extent=extent,
                **SHEET_RANGE,
            )
            axis.set_title(dataset.clips[index].name, fontsize=6, pad=2)
        for axis in axes[label]:
            axis.grid(False)
        axes[label, 0].set_ylabel(_label(name).replace(" ", "\n"), fontsize=8)
    for axis in axes[-1]:
        axis.set_xlabel("seconds")
    figure.suptitle("Log-mel spectrograms, as the model sees them (rows: classes; upwards: mel bins)")
    if image is not None:
        figure.colorbar(image, ax=axes, fraction=0.02, label="normalised log-mel value")
    return figure


def _fold_lines(axis: Axes, run: Run, column: str, colour: str, label: str, style: str = "-") -> None:
    folds = [np.array([row[column] for row in rows]) for rows in run.metrics.values()]
    epochs = np.arange(1, len(folds[0]) + 1)
    marker = "o" if len(epochs) == 1 else None  # a line through one point is invisible
    for values in folds:
        axis.plot(epochs, values, color=colour, alpha=0.3, linewidth=0.8, marker=marker, linestyle=style)
    mean = np.mean(folds, axis=0)
    axis.plot(epochs, mean, color=colour, linewidth=2, label=label, marker=marker, linestyle=style)


def _label(name: str) -> str:
    return name.replace("_", " ")
