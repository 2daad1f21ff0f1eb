"""Where a clip may have several labels, or none: average precision, thresholds, classes without examples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, precision_recall_curve

from ..data.dataset import AudioDataset, FoldSplit
from .engine import EvalResult

Values = npt.NDArray[np.float64]
PLAIN_THRESHOLD = 0.5  # where neither a user nor an adapter gives one


def probabilities(result: EvalResult) -> Values:
    """Of every clip and class, [clips, classes]."""
    values: Values = result.logits.double().sigmoid().numpy()
    return values


def average_precisions(result: EvalResult) -> list[float | None]:
    """Average precision of each class; None for one without a clip, of which it is not defined."""
    truth, scores = result.labels.numpy(), result.logits.numpy()
    return [
        float(average_precision_score(truth[:, number], scores[:, number]))
        if truth[:, number].any()
        else None
        for number in range(truth.shape[1])
    ]


def mean_average_precision(result: EvalResult) -> float:
    """Mean of the average precisions that are defined; there must be one."""
    return float(np.mean([value for value in average_precisions(result) if value is not None]))


def best_thresholds(result: EvalResult) -> list[float]:
    """For each class the probability from which on to affirm it, for the best F1 on these clips.

    It lies half-way between the last clip that is affirmed and the first that is not, so that rounding turns
    none. A class without a clip here keeps 0.5.
    """
    truth, scores = result.labels.numpy(), probabilities(result)
    return [_best_threshold(truth[:, number], scores[:, number]) for number in range(truth.shape[1])]


def _best_threshold(truth: npt.NDArray[np.float32], scores: Values) -> float:
    if not truth.any():
        return PLAIN_THRESHOLD
    precision, recall, thresholds = precision_recall_curve(truth, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    lowest = float(thresholds[int(np.argmax(f1[:-1]))])
    return (lowest + float(max(scores[scores < lowest], default=0.0))) / 2


def named(names: list[str], affirmed: npt.NDArray[np.bool_]) -> str:
    """The classes that are affirmed, as a csv of labels has them."""
    return ";".join(name for name, yes in zip(names, affirmed, strict=True) if yes)


def lacking(dataset: AudioDataset, split: FoldSplit) -> list[str]:
    """What classes without a clip in a part of the split mean; a line each."""
    meaning = {
        "training": "the model cannot learn them",
        "validation": f"their threshold is {PLAIN_THRESHOLD}, their average precision there is not defined",
        "test": "their average precision is not defined, and the mean is over the others",
    }
    notes = []
    for part, folds in split.parts.items():
        there = {label for index in dataset.indices(folds) for label in dataset.labels_of(index)}
        if missing := [name for label, name in enumerate(dataset.class_names) if label not in there]:
            notes.append(
                f"Testing on fold {split.test}, no clip for {part} has: {', '.join(missing)}. "
                f"So {meaning[part]}."
            )
    return notes
