"""Numbers that one reports."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from petl_ast.utils.metrics import balanced_accuracy, class_accuracies, confusion, macro_f1, over_folds


def test_interval_of_five_folds_by_hand() -> None:
    result = over_folds([0.80, 0.82, 0.84, 0.86, 0.88])
    assert result.mean == pytest.approx(0.84)
    assert result.standard_deviation == pytest.approx(0.0316228, abs=1e-6)
    half = 2.776445 * 0.0316228 / 5**0.5  # Student's t with four degrees of freedom
    assert (result.low, result.high) == (pytest.approx(0.84 - half), pytest.approx(0.84 + half))


def test_one_fold_has_no_interval() -> None:
    assert over_folds([0.5]).standard_deviation is None
    assert over_folds([0.5]).low is None


@given(st.lists(st.floats(0, 1), min_size=2, max_size=10))
def test_interval_holds_the_mean_and_stays_in_range(accuracies: list[float]) -> None:
    result = over_folds(accuracies)
    assert result.low is not None
    assert result.high is not None
    assert 0 <= result.low <= result.mean + 1e-12
    assert result.mean - 1e-12 <= result.high <= 1


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1))
def test_confusion_counts_every_clip_once(pairs: list[tuple[int, int]]) -> None:
    matrix = confusion([t for t, _ in pairs], [p for _, p in pairs], 4)
    assert matrix.shape == (4, 4)
    for truth in range(4):
        for predicted in range(4):
            assert matrix[truth, predicted] == pairs.count((truth, predicted))


def test_class_accuracy_is_recall_and_unknown_without_clips() -> None:
    accuracies = class_accuracies(np.array([[3, 1], [0, 0]]))
    assert accuracies[0] == 0.75
    assert np.isnan(accuracies[1])


@pytest.mark.parametrize("seed", range(5))
def test_every_class_counts_the_same_however_many_clips_it_has(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, predicted = (rng.choice(4, 30, p=[0.7, 0.2, 0.1, 0.0]).tolist() for _ in range(2))
    predicted[0] = 3  # named, though it has no clip
    present = sorted(set(labels))
    recalls = [np.mean([p == c for t, p in zip(labels, predicted, strict=True) if t == c]) for c in present]
    assert balanced_accuracy(labels, predicted) == pytest.approx(np.mean(recalls))
    scores = []
    for c in sorted({*labels, *predicted}):
        hits = sum(t == p == c for t, p in zip(labels, predicted, strict=True))
        scores.append(2 * hits / (labels.count(c) + predicted.count(c)))
    assert macro_f1(labels, predicted) == pytest.approx(np.mean(scores))


def test_of_several_labels_too_a_class_that_is_nowhere_does_not_count() -> None:
    labels = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0]], dtype=np.float32)
    assert macro_f1(labels, labels > 0) == 1
    named = labels > 0
    named[0, 2] = True  # which is a mistake, so that it counts
    assert macro_f1(labels, named) == pytest.approx(2 / 3)
