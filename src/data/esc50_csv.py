"""Reading meta/esc50.csv: each row becomes a clip or a problem, and none reaches outside the data folder."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..errors import UserError
from ..files import list_some
from ..text import is_plain, shown

CSV = Path("meta/esc50.csv")
MOST_DIGITS = 9
MOST_ROWS = 1_000_000
COLUMNS = ("filename", "fold", "target", "category")


@dataclass(frozen=True, slots=True)
class Clip:
    """One row of the csv; `label` is the contiguous class id, `target` the csv's own."""

    path: Path
    fold: int
    target: int
    category: str
    label: int


@dataclass(frozen=True)
class Problem:
    """A clip that cannot be used: its name, the csv's line if that is to blame, else 0, and the reason."""

    clip: str
    line: int
    reason: str


@dataclass
class Listing:
    """What a csv lists.

    Attributes:
        clips: The rows that can be used, in the csv's order.
        problems: The others.
        folds: Numbers of all folds that any row names, also one that cannot be used.
        targets: The same of the targets, with a category of each.
    """

    clips: list[Clip] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    folds: set[int] = field(default_factory=set)
    targets: dict[int, str] = field(default_factory=dict)


def read_listing(root: Path, subset: Literal["all", "esc10"]) -> Listing:
    """Read the csv of the data set in `root`.

    Raises:
        UserError: if there is none, it is no csv with the columns needed, lists nothing, or its targets and
            categories contradict each other; one row's own faults are in `Listing.problems`.
    """
    path = root / CSV
    if not path.is_file():
        raise UserError(
            f"No ESC-50 data set in {root}: {path} is missing.\n"
            "Download it with: bash download_data.sh\n"
            "or try without any download: make demo"
        )
    listing = _Reader(root, path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            _check_header(path, list(reader.fieldnames or []), subset)
            for row in reader:
                if subset == "esc10" and _text(row["esc10"]).lower() != "true":
                    continue
                if any(_text(value) for value in row.values()):
                    listing.add(reader.line_num, row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as a UTF-8 csv: {error}") from error
    if not listing.rows:
        raise UserError(f"{path} lists no clips" + (" marked as esc10." if subset == "esc10" else "."))
    return listing.finish()


def _check_header(path: Path, header: list[str], subset: str) -> None:
    wanted = (*COLUMNS, "esc10") if subset == "esc10" else COLUMNS
    if missing := [column for column in wanted if column not in header]:
        hint = " Save it with commas, not semicolons." if any(";" in column for column in header) else ""
        there = shown(", ".join(header))[:300] or "none"
        raise UserError(f"{path} has no column {', '.join(missing)}; its columns are: {there}.{hint}")
    if twice := [column for column in wanted if header.count(column) > 1]:
        raise UserError(f"{path} has the column {', '.join(twice)} more than once.")


class _Reader:
    """Sorts rows into clips and problems, one at a time, for a csv may hold a million."""

    def __init__(self, root: Path, path: Path) -> None:
        self.rows = 0
        self._path, self._audio = path, root / "audio"
        self._real_root = Path(os.path.realpath(root))
        self._listing = Listing()
        self._clips: dict[str, tuple[int, Clip]] = {}  # by name, with the line
        self._ambiguous: set[str] = set()  # listed twice, not with the same values
        if not (real := Path(os.path.realpath(self._audio))).is_relative_to(self._real_root):
            raise UserError(
                f"{self._audio} is a link to {real}, outside {root}: clips are read from inside the data "
                "folder alone. Copy them there, or give the folder that really holds meta/ and audio/."
            )

    def add(self, line: int, row: dict[str, str]) -> None:
        self.rows += 1
        if self.rows > MOST_ROWS:
            raise UserError(f"{self._path} lists more than {MOST_ROWS:,} clips.")
        values = {column: _text(row[column]) for column in COLUMNS}
        name = values["filename"]
        if reason := self._fault(values):
            self._report(name, line, reason)
            return
        clip = Clip(self._audio / name, int(values["fold"]), int(values["target"]), values["category"], -1)
        earlier, first = self._clips.setdefault(name, (line, clip))
        if earlier != line:
            self._report(name, line, f"{name} is listed more than once, in line {earlier} already.")
            if first != clip:
                self._ambiguous.add(name)

    def _report(self, name: str, line: int, reason: str) -> None:
        self._listing.problems.append(Problem(name, line, f"{self._path}, line {line}: {reason}"))

    def _fault(self, values: dict[str, str]) -> str:
        """What is wrong with a row on its own, or nothing."""
        if empty := [column for column, value in values.items() if not value]:
            return f"no {', '.join(empty)}."
        for column in ("fold", "target"):
            if not (values[column].isdecimal() and len(values[column]) <= MOST_DIGITS):
                given = _short(values[column])
                return f"{column} is {given}, not a whole number of at most {MOST_DIGITS} digits."
        self._listing.folds.add(int(values["fold"]))
        self._listing.targets.setdefault(int(values["target"]), values["category"])
        name = values["filename"]
        if name in (".", "..") or os.path.basename(name) != name or "\\" in name or not is_plain(name):
            return f"{_short(name)} is not a plain file name inside {self._audio}."
        if not is_plain(values["category"]):
            return f"category is {_short(values['category'])}; it must be plain text on one line."
        path = os.path.join(self._audio, name)
        if os.path.islink(path) and not Path(real := os.path.realpath(path)).is_relative_to(self._real_root):
            return f"{name} is a link to {real}, outside the data folder {self._real_root}."
        return ""

    def finish(self) -> Listing:
        for name in self._ambiguous:
            line, _ = self._clips.pop(name)
            self._report(name, line, f"{name} is listed again with another fold, target or category.")
        self._listing.clips = [clip for _, clip in self._clips.values()]
        self._listing.problems.sort(key=lambda problem: problem.line)
        return self._listing


def contradictions(path: Path, clips: list[Clip]) -> str:
    """Targets with several categories and categories with several targets, as a message; empty if none."""
    pairs = sorted({(clip.target, clip.category) for clip in clips})
    repeated = _repeated([target for target, _ in pairs]) or _repeated([category for _, category in pairs])
    if not repeated:
        return ""
    return f"{path}: target and category do not belong together one to one:\n{list_some(repeated)}"


def _short(value: str) -> str:
    return repr(value if len(value) <= 100 else f"{value[:100]}...")


def _text(value: object) -> str:
    """A csv cell without the space around it; a missing one is empty."""
    return value.strip() if isinstance(value, str) else ""


def _repeated(values: list[int] | list[str]) -> list[object]:
    seen: set[object] = set()
    return [value for value in values if value in seen or seen.add(value)]  # type: ignore[func-returns-value]
