"""A csv with a path and a label, or several, a row, and perhaps a fold, a part (train, validation, test) or a
group.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from ..errors import UserError
from ..text import is_plain
from .csv_rows import number_fault, read_header, read_rows, short
from .inside import inside
from .listing import NO_FOLD, Clip, Listing, Rows
from .splits import FOLD_OF_PART, TEST, part_of

PATHS, LABELS = ("path", "filename", "file"), ("label", "class", "category")  # the first one there counts
SEVERAL, BETWEEN = "labels", ";"  # the column of several labels a clip, looked at if there is none of one


def tables_in(folder: Path) -> list[Path]:
    """The csv files of a folder that have a column of paths and one of labels, sorted."""
    return [path for path in sorted(folder.glob("*.csv")) if None not in _columns(read_header(path))]


def _columns(header: list[str]) -> tuple[str | None, str | None]:
    path, label = (next((n for n in names if n in header), None) for names in (PATHS, (*LABELS, SEVERAL)))
    return path, label


def read_table(root: Path) -> Listing:
    """List the clips of a csv, in its order.

    Args:
        root: The csv, or the folder of the only one that has the columns. Paths are relative to the folder.

    Raises:
        UserError: if there is no such csv, it cannot be read, or it lists nothing; one row's own faults are
            in `Listing.problems`.
    """
    path = _only_table(root) if root.is_dir() else root
    if not path.is_file():
        raise UserError(f"{path}: no such csv file.")
    header = read_header(path)
    named, labelled = _columns(header)
    columns = {"path": named or PATHS[0], "label": labelled or LABELS[0]}
    columns |= {name: name for name in ("fold", "split", "group") if name in header}
    if "fold" in columns:
        columns.pop("split", None)  # both would be two answers to one question
    reader = _Reader(path, several=labelled == SEVERAL)
    for line, row in read_rows(path, list(columns.values())):
        reader.add(line, {name: row[column] for name, column in columns.items()})
    listing = reader.rows.finish()
    if not listing.clips and not listing.problems:
        raise UserError(f"{path} lists no clips.")
    listing.tested = (TEST,) if "split" in columns else ()
    return listing


def _only_table(folder: Path) -> Path:
    found = tables_in(folder)
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise UserError(
            f"{folder} must hold one csv with a column {' or '.join(PATHS)} and a column "
            f"{' or '.join((*LABELS, SEVERAL))}; it holds: {names}. "
            f"Name the file itself: --data.root {folder}/FILE.csv"
        )
    return found[0]


class _Reader:
    """Looks at one row after the other."""

    def __init__(self, path: Path, several: bool) -> None:
        self.rows = Rows(path, "label, fold, split or group")
        self.rows.listing.multi_label = several
        self._several = several
        self._folder = path.parent
        self._check = inside(path.parent)

    def add(self, line: int, values: dict[str, str]) -> None:
        name = PurePosixPath(values["path"]).as_posix()
        if reason := self._fault(values):
            self.rows.report(name, line, reason)
            return
        fold = int(values["fold"]) if "fold" in values else NO_FOLD
        if "split" in values:
            fold = FOLD_OF_PART[str(part_of(values["split"]))]
        if fold != NO_FOLD:
            self.rows.listing.folds.add(fold)
        labels = self._labels(values["label"]) if self._several else ()
        self.rows.listing.categories |= set(labels) if self._several else {values["label"]}
        if reason := self._check(values["path"]):
            self.rows.report(name, line, reason)
            return
        group = values.get("group", "")
        category = BETWEEN.join(labels) if self._several else values["label"]
        clip = Clip(self._folder / name, name, fold, -1, category, group=group, labels=labels)
        self.rows.add(line, clip)

    def _labels(self, cell: str) -> tuple[str, ...]:
        """The labels of a cell; an empty one says that the clip is of none of the classes."""
        return tuple(sorted({label.strip() for label in cell.split(BETWEEN)} - {""}))

    def _fault(self, values: dict[str, str]) -> str:
        """What is wrong with a row's values, or nothing."""
        may_be_empty = {"group", "label"} if self._several else {"group"}
        if empty := [name for name, value in values.items() if not value and name not in may_be_empty]:
            return f"no {', '.join(empty)}."
        if fault := number_fault(values, [name for name in ("fold",) if name in values]):
            return fault
        if "split" in values and part_of(values["split"]) is None:
            return f"split is {short(values['split'])}; it must be train, validation or test."
        for name in ("label", "group"):
            if not is_plain(values.get(name, "")):
                return f"{name} is {short(values[name])}; it must be plain text on one line."
        return ""
