"""What the folds of a run come to, as plain values, as rows of a csv, and as a table for the screen."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from .metrics import over_folds

KINDS = ("last", "best")  # which epoch's weights
FAIR = ("balanced_accuracy", "macro_f1")  # every class counts the same, however many clips it has
STATISTICS = ("mean", "standard_deviation", "low", "high")


def score(result: Mapping[str, Any]) -> float:
    """What an epoch's weights are judged by on the test fold: accuracy, or mean average precision where clips
    may have several labels.
    """
    return float(result.get("test_map", result["test_accuracy"]))


def validation_score(row: Mapping[str, Any]) -> float:
    """The same of an epoch on the validation fold."""
    return float(row.get("validation_map", row["validation_accuracy"]))


def summarise(results: Sequence[dict[str, Any]], unfinished: Sequence[int] = ()) -> dict[str, Any]:
    """The finished folds, and over them the mean, deviation and 95 % interval of both kinds of weights; and
    the folds that are still to be done. The same of what counts every class the same, where all folds have it
    (earlier versions did not keep it).
    """
    over = {kind: dataclasses.asdict(over_folds([score(r[kind]) for r in results])) for kind in KINDS}
    fair = {
        name: {
            kind: dataclasses.asdict(over_folds([r[kind][f"test_{name}"] for r in results])) for kind in KINDS
        }
        for name in FAIR
        if all(f"test_{name}" in r[kind] for r in results for kind in KINDS)
    }
    return {"folds": list(results), "unfinished": list(unfinished), **over, **fair}


def summary_rows(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """The summary as a table: a row per fold, then mean, standard deviation and the interval's ends."""
    rows = [
        {"fold": r["test"], **{kind: score(r[kind]) for kind in KINDS}}
        | {"best_epoch": r["best"]["epoch"]}
        | {f"{kind}_{name}": r[kind][f"test_{name}"] for name in _fair(summary) for kind in KINDS}
        for r in summary["folds"]
    ]
    for name in STATISTICS:
        fair = {f"{kind}_{what}": summary[what][kind][name] for what in _fair(summary) for kind in KINDS}
        rows.append({"fold": name, **{kind: summary[kind][name] for kind in KINDS}, "best_epoch": "", **fair})
    return rows


def _fair(summary: dict[str, Any]) -> list[str]:
    return [name for name in FAIR if name in summary]


def summary_table(summary: dict[str, Any], title: str) -> Table:
    """The summary for the screen; "last epoch" is the paper's way."""
    left = ", ".join(map(str, summary["unfinished"]))
    notes = [f"not finished: fold {left}"] if left else []
    if any("test_map" in r["last"] for r in summary["folds"]):
        notes.insert(0, "mean average precision")
    table = Table("tested on fold", title=title, caption="; ".join(notes) or None)
    for heading in ("clips", "last epoch", "best epoch", "best is epoch", "seconds"):
        table.add_column(heading, justify="right")
    for r in summary["folds"]:
        accuracies = [f"{score(r[kind]):.2%}" for kind in KINDS]
        best = str(r["best"]["epoch"])
        table.add_row(str(r["test"]), str(r["clips"]["test"]), *accuracies, best, f"{r['seconds']:.0f}")
    table.add_section()
    table.add_row("mean", "", *(f"{summary[kind]['mean']:.2%}" for kind in KINDS), style="bold")
    if summary["last"]["standard_deviation"] is not None:
        deviations = (f"{summary[kind]['standard_deviation']:.2%}" for kind in KINDS)
        intervals = (f"{summary[kind]['low']:.1%} to {summary[kind]['high']:.1%}" for kind in KINDS)
        table.add_row("standard deviation", "", *deviations)
        table.add_row("95 % interval", "", *intervals)
    for name in _fair(summary):
        means = (f"{summary[name][kind]['mean']:.2%}" for kind in KINDS)
        table.add_row(f"mean {name.replace('_', ' ').replace('f1', 'F1')}", "", *means)
    return table
