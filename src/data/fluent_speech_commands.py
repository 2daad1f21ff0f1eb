"""Fluent Speech Commands: data/train_data.csv, valid_data.csv and test_data.csv; a class is an intent.

Source: L. Lugosch, M. Ravanelli, P. Ignoto, V. S. Tomar, Y. Bengio, "Speech Model Pre-training for End-to-End
Spoken Language Understanding", Interspeech 2019. An intent is action, object and location together; there
are 31.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from .csv_rows import read_rows
from .inside import inside
from .listing import Clip, Listing, Problem, Rows
from .splits import TEST, TRAIN, VALIDATION

TABLES = {"train_data.csv": TRAIN, "valid_data.csv": VALIDATION, "test_data.csv": TEST}
SLOTS = ("action", "object", "location")


def read_fluent_speech_commands(root: Path) -> Listing:
    """List the clips of the three tables, one after the other, as folds 1, 2 and 3.

    Raises:
        UserError: if a table is missing or cannot be read; one row's own faults are in `Listing.problems`.
    """
    whole, check = Listing(root / "data", tested=(TEST,)), inside(root)
    names: set[str] = set()
    for table, fold in TABLES.items():
        rows = Rows(root / "data" / table, "action, object or location")
        for line, row in read_rows(root / "data" / table, ("path", *SLOTS)):
            name, slots = row["path"], [row[slot] for slot in SLOTS]
            intent = "_".join(slots)
            if not all(slots):
                rows.report(name, line, "action, object and location are needed.")
                continue
            whole.categories.add(intent)
            if reason := check(name):
                rows.report(name, line, reason)
            else:
                rows.add(line, Clip(root / name, name, fold, -1, intent))
        part = rows.finish()
        whole.problems += part.problems
        twice = {clip.name for clip in part.clips} & names
        whole.problems += [
            Problem(name, 0, f"{root / name}: is in several tables.") for name in sorted(twice)
        ]
        names |= {clip.name for clip in part.clips}
        whole.clips += [clip for clip in part.clips if clip.name not in twice]
    whole.targets = dict(enumerate(sorted(whole.categories)))
    numbers = {name: number for number, name in whole.targets.items()}
    whole.clips = [replace(clip, target=numbers[clip.category]) for clip in whole.clips]
    whole.folds = {TRAIN, VALIDATION, TEST}
    return whole
