"""Several labels a clip: what is scored, by which thresholds, and what classes without examples come to."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score
from torch.nn import functional as F

from petl_ast.prediction.events import Timeline
from petl_ast.utils import loss
from petl_ast.utils.engine import EvalResult, average_windows
from petl_ast.utils.loss import plain_loss, right_answers
from petl_ast.utils.multi_label import (
    average_precisions,
    best_thresholds,
    mean_average_precision,
    probabilities,
)


def result(seed: int, clips: int = 25, classes: int = 4) -> EvalResult:
    """Logits that know something of the labels; the last class has no clip."""
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(clips, classes, generator=generator) < 0.3).float()
    labels[0], labels[:, -1] = 1.0, 0.0
    logits = 2 * labels + torch.randn(clips, classes, generator=generator)
    return EvalResult(0.0, 0.0, logits, labels)


@pytest.mark.parametrize("seed", range(5))
def test_thresholds_give_the_best_f1_there_is(seed: int) -> None:
    found = result(seed)
    thresholds, scores = best_thresholds(found), probabilities(found)
    for number in range(3):
        truth = found.labels[:, number].numpy()
        every = [f1_score(truth, scores[:, number] >= t) for t in scores[:, number]]
        chosen = scores[:, number] >= thresholds[number]
        assert f1_score(truth, chosen) == pytest.approx(max(every))
        assert np.abs(scores[:, number] - thresholds[number]).min() > 0, "rounding turns no decision"
    assert thresholds[3] == 0.5


@pytest.mark.parametrize("seed", range(3))
def test_average_precision_where_it_is_defined(seed: int) -> None:
    found = result(seed)
    *defined, last = average_precisions(found)
    assert last is None
    expected = average_precision_score(found.labels[:, :3].numpy(), found.logits[:, :3].numpy(), average=None)
    assert defined == pytest.approx(list(expected))
    assert mean_average_precision(found) == pytest.approx(expected.mean())


def test_loss_and_right_answers() -> None:
    found = result(0)
    expected = F.binary_cross_entropy_with_logits(found.logits, found.labels)
    assert plain_loss(found.logits, found.labels) == expected
    yes = found.logits.sigmoid() >= 0.5
    assert right_answers(found.logits, found.labels).mean() == pytest.approx(
        (yes == found.labels).double().mean()
    )


def test_sums_are_of_the_kind_that_the_device_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apple's GPUs have no float64."""
    found = result(0)
    assert right_answers(found.logits, found.labels).dtype == torch.float64
    monkeypatch.setattr(loss, "sum_type", lambda device: torch.float32)
    assert right_answers(found.logits, found.labels).dtype == torch.float32


def test_windows_of_several_labels_are_averaged_as_probabilities() -> None:
    logits = torch.tensor([[3.0, -2.0], [-1.0, -4.0], [0.5, 80.0]])
    found = average_windows(logits, [2, 1], several=True)
    torch.testing.assert_close(found[0].sigmoid(), logits[:2].sigmoid().mean(0))
    assert torch.equal(found[1], logits[2])


def test_each_class_has_events_of_its_own() -> None:
    values = np.array([[0.9, 0.1], [0.8, 0.7], [0.1, 0.6], [0.3, 0.1]], np.float32)
    windows = np.array([(i, i + 2) for i in range(4)], float)
    events = Timeline(["dog", "rain"], windows, values, [0.5, 0.6]).events(0.99)
    assert [(e.name, e.start, e.end, e.windows) for e in events] == [
        ("dog", 0.0, 2.5, 2),
        ("rain", 1.5, 3.5, 2),
    ]
    one = Timeline(["dog", "rain"], windows[:1], values[3:], [0.5, 0.6])
    assert one.events(0.5) == [], "a clip may be of none of the classes"
