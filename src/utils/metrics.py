"""From predictions to the numbers that one reports."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

import numpy as np
import numpy.typing as npt
from scipy import stats
from sklearn.metrics import confusion_matrix, f1_score, recall_score
from torch import Tensor

from ..errors import UserError


@dataclass(frozen=True)
class Interval:
    """Mean over folds, sample standard deviation, and the mean's 95 % t-interval; None where one fold gives
    none.
    """

    mean: float
    standard_deviation: float | None
    low: float | None
    high: float | None


def over_folds(accuracies: Sequence[float]) -> Interval:
    """Summarise fold accuracies in [0, 1]; the interval is cut to that range."""
    middle = mean(accuracies)
    if len(accuracies) == 1:
        return Interval(middle, None, None, None)
    deviation = stdev(accuracies)
    half = float(stats.t.ppf(0.975, len(accuracies) - 1)) * deviation / math.sqrt(len(accuracies))
    return Interval(middle, deviation, max(0.0, middle - half), min(1.0, middle + half))


def share_interval(hits: int, trials: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, good for few trials and shares near 0 and 1 too.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927.
    """
    interval = stats.binomtest(hits, trials).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def refuse_nonfinite(logits: Tensor, whose: str) -> None:
    """Refuse to score logits that are no numbers.

    Args:
        logits: Of any shape.
        whose: What computed them, for the message.

    Raises:
        UserError: if one of them is not finite.
    """
    if not logits.isfinite().all():
        raise UserError(f"{whose} computes values that are not finite: its weights are of no use.")


def confusion(labels: Sequence[int], predicted: Sequence[int], classes: int) -> npt.NDArray[np.int64]:
    """How often each class (row) was taken for each class (column): [classes, classes]."""
    matrix: npt.NDArray[np.int64] = confusion_matrix(labels, predicted, labels=range(classes))
    return matrix


def balanced_accuracy(labels: Sequence[int], predicted: Sequence[int]) -> float:
    """Mean over the classes that have clips of the share of their clips that was recognised."""
    present = sorted(set(labels))
    return float(recall_score(labels, predicted, labels=present, average="macro", zero_division=0.0))


def classes_in_play(labels: npt.ArrayLike, predicted: npt.ArrayLike) -> list[int]:
    """The classes that have clips or were named, sorted: those that a mean over classes is over.

    Args:
        labels: [clips] classes, or [clips, classes] of 0 and 1.
        predicted: The same.
    """
    both = np.concatenate((np.asarray(labels), np.asarray(predicted)))
    found: list[int] = (np.unique(both) if both.ndim == 1 else np.flatnonzero(both.any(axis=0))).tolist()
    return found


def macro_f1(labels: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Mean F1 over the classes that have clips or were named, one at least; 0 for one that was never right.

    Args:
        labels: [clips] classes, or [clips, classes] of 0 and 1.
        predicted: The same.
    """
    classes = classes_in_play(labels, predicted)
    return float(f1_score(labels, predicted, labels=classes, average="macro", zero_division=0.0))


def class_accuracies(matrix: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Share of each class's clips that were recognised (recall): [classes], NaN for a class without clips."""
    totals = matrix.sum(axis=1)
    shares = np.full(len(matrix), np.nan)
    np.divide(np.diag(matrix), totals, out=shares, where=totals > 0)
    return shares
