"""Reading meta/esc50.csv: each row becomes a clip or a problem, and none reaches outside the data folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from ..errors import UserError
from ..text import is_plain
from .csv_rows import number_fault, read_rows, short
from .inside import inside
from .listing import Clip, Listing, Rows

CSV = Path("meta/esc50.csv")
COLUMNS = ("filename", "fold", "target", "category")


def read_listing(root: Path, subset: Literal["all", "esc10"] = "all") -> Listing:
    """Read the csv of the data set in `root`.

    Raises:
        UserError: if there is none, it is no csv with the columns needed, or lists nothing; one row's own
            faults are in `Listing.problems`.
    """
    path = root / CSV
    if not path.is_file():
        raise UserError(
            f"No ESC-50 data set in {root}: {path} is missing.\n"
            "Download it with: bash download_data.sh\n"
            "or try without any download: make demo"
        )
    reader, found = _Reader(root, path), False
    for line, row in read_rows(path, (*COLUMNS, "esc10") if subset == "esc10" else COLUMNS):
        if subset == "esc10" and row["esc10"].lower() != "true":
            continue
        found = True
        reader.add(line, {column: row[column] for column in COLUMNS})
    if not found:
        raise UserError(f"{path} lists no clips" + (" marked as esc10." if subset == "esc10" else "."))
    return reader.rows.finish()


class _Reader:
    """Looks at one row after the other."""

    def __init__(self, root: Path, path: Path) -> None:
        self.rows = Rows(path, "fold, target or category")
        self._audio = root / "audio"
        self._check = inside(root)
        if not (real := Path(os.path.realpath(self._audio))).is_relative_to(os.path.realpath(root)):
            raise UserError(
                f"{self._audio} is a link to {real}, outside {root}: clips are read from inside the data "
                "folder alone. Copy them there, or give the folder that really holds meta/ and audio/."
            )

    def add(self, line: int, values: dict[str, str]) -> None:
        name = values["filename"]
        if reason := self._fault(values):
            self.rows.report(name, line, reason)
        else:
            fold, target = int(values["fold"]), int(values["target"])
            self.rows.add(line, Clip(self._audio / name, name, fold, target, values["category"]))

    def _fault(self, values: dict[str, str]) -> str:
        """What is wrong with a row on its own, or nothing."""
        if empty := [column for column, value in values.items() if not value]:
            return f"no {', '.join(empty)}."
        if fault := number_fault(values, ("fold", "target")):
            return fault
        self.rows.listing.folds.add(int(values["fold"]))
        self.rows.listing.targets.setdefault(int(values["target"]), values["category"])
        name = values["filename"]
        if name in (".", "..") or os.path.basename(name) != name or "\\" in name or not is_plain(name):
            return f"{short(name)} is not a plain file name inside {self._audio}."
        if not is_plain(values["category"]):
            return f"category is {short(values['category'])}; it must be plain text on one line."
        return self._check(f"{self._audio.name}/{name}")
