"""petl-ast evaluate: an adapter on a fold again."""

from __future__ import annotations

import dataclasses
import json

from jsonargparse import ArgumentParser, Namespace

from ..imports import quick_imports
from .verb import Verb, add_adapter_argument, add_place_options


def _add_options(parser: ArgumentParser) -> None:
    add_adapter_argument(parser)
    parser.add_argument(
        "--data_root", type=str | None, default=None, help="Data set, if it moved since training."
    )
    parser.add_argument(
        "--fold", type=int | None, default=None, help="Fold to score, if not the adapter's test fold."
    )
    add_place_options(parser)
    parser.add_argument("--cache", type=str, default="data/cache", help="Folder for computed spectrograms.")
    parser.add_argument("--json", type=bool, default=False, help="Print one JSON object instead of tables.")


def _run(options: Namespace) -> int:
    """Score an adapter on its test fold again: accuracy, per-class report, confusion matrix.

    petl-ast evaluate outputs/demo/fold_1/last
    """
    with quick_imports():
        from ..utils import console as screen
        from ..utils.evaluation import confusion_text, evaluate, report_table

    result = evaluate(
        options.adapter,
        options.data_root,
        options.fold,
        options.backbone,
        options.cache,
        options.device,
    )
    if options.json:
        matrix = None if result.matrix is None else result.matrix.tolist()
        plain = {**dataclasses.asdict(result), "matrix": matrix}
        print(json.dumps(plain, ensure_ascii=False))
        return 0
    console = screen.output()
    console.print(report_table(result))
    if result.matrix is not None:
        print(confusion_text(result))
    score = result.accuracy
    if result.mean_average_precision is not None:
        score = result.mean_average_precision
        print(
            f"\nFold {result.fold}: mean average precision {score:.2%}, "
            f"{result.clips} clips, loss {result.loss:.4f}"
        )
        print(f"With the adapter's thresholds: macro F1 {result.macro_f1:.2%}")
    else:
        print(f"\nFold {result.fold}: {score:.2%} of {result.clips} clips, loss {result.loss:.4f}")
        print(f"Balanced accuracy {result.balanced_accuracy:.2%}, macro F1 {result.macro_f1:.2%}")
    if result.seen:
        print(result.seen)
    if result.reported is not None:
        same = "the same" if result.reported == score else "NOT the same"
        print(f"Training reported {result.reported:.2%}: {same}.")
    return 0


VERB = Verb(_add_options, _run, "ADAPTER ")
