"""What is told of a run that was read back."""

from __future__ import annotations

from pathlib import Path

import pytest

from petl_ast.config import RunConfig
from petl_ast.utils.run_folder import Run
from petl_ast.utils.visualization import precision_figure


def run_of(*folds: dict[str, float | None]) -> Run:
    """A run whose test folds came to such average precisions."""
    results = [{"last": {"test_average_precision": fold}} for fold in folds]
    summary = {"folds": results, "last": {"mean": 0.5}}
    return Run(Path("run"), RunConfig(), {}, summary, list(folds[0]), {}, {}, True)


def test_average_precisions_are_means_over_the_folds_that_have_the_class() -> None:
    run = run_of(
        {"dog": 0.5, "rain": 0.25, "owl": None},
        {"dog": 1.0, "rain": None, "owl": None},
    )
    assert run.average_precisions() == {"dog": 0.75, "rain": 0.25, "owl": None}


def test_the_picture_tells_a_class_without_a_clip_from_one_never_found() -> None:
    (axis,) = precision_figure(run_of({"dog_bark": 0.5, "rain": 0.0, "owl": None})).axes
    labels = [label.get_text() for label in axis.get_yticklabels()]
    assert sorted(labels) == ["dog bark", "owl (no test clip)", "rain"]
    widths = dict(zip(labels, (bar.get_width() for bar in axis.patches), strict=True))
    assert widths["dog bark"] == pytest.approx(0.5)
    assert widths["rain"] == widths["owl (no test clip)"] == 0
