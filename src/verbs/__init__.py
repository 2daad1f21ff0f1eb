"""The verbs of `petl-ast`: options and functions, no logic. What one needs is imported only when it runs."""

from __future__ import annotations

from . import (
    evaluate,
    export,
    few_shot,
    import_reference,
    params,
    predict,
    pretrain,
    push,
    report,
    samples,
    synthetic,
    train,
)
from .verb import Verb

__all__ = ["VERBS", "Verb"]

VERBS = {
    "train": train.VERB,
    "evaluate": evaluate.VERB,
    "predict": predict.VERB,
    "push": push.VERB,
    "export": export.VERB,
    "few-shot": few_shot.VERB,
    "report": report.VERB,
    "samples": samples.VERB,
    "params": params.VERB,
    "pretrain": pretrain.VERB,
    "import-reference": import_reference.VERB,
    "synthetic": synthetic.VERB,
}
