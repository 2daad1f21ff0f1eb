"""What a data set is before any clip is read: clips with classes and folds, and what is wrong with the
others. Each format is one file with a function that returns a `Listing`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..files import list_some

NO_FOLD = -1  # of a clip that no fold was given; see splits.py


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip.

    Attributes:
        path: The file.
        name: What messages and tables call it; no other clip of the data set has the same.
        fold: The number of its fold, or `NO_FOLD`.
        target: The class's number in the data set, which may leave gaps.
        category: The class's name.
        label: The class's number without gaps; -1 until all clips are known.
        labels: Where clips may have several classes or none, the names of this one's, sorted; `category` is
            then all of them joined by ";".
        group: Clips of one group are never on two sides of a split; empty for a clip on its own.
    """

    path: Path
    name: str
    fold: int
    target: int
    category: str
    label: int = -1
    group: str = ""
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Problem:
    """A clip that cannot be used: its name, the csv's line if that is to blame, else 0, and the reason."""

    clip: str
    line: int
    reason: str


@dataclass
class Listing:
    """What a data set lists.

    Attributes:
        source: The csv or folder that says so; messages name it.
        clips: Those that can be used, in the data set's order.
        problems: The others.
        folds: Numbers of all folds that are named, also by a clip that cannot be used.
        targets: The same of the targets, with a category of each.
        categories: The same of the classes, where they have no numbers yet.
        multi_label: Whether clips may have several classes, or none.
        tested: The folds that may be tested; all if empty.
        drawn_folds: Whether the folds are no given ones but dealt out by the clips' names.
        notes: What the user should know of it: one line each.
    """

    source: Path
    clips: list[Clip] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    folds: set[int] = field(default_factory=set)
    targets: dict[int, str] = field(default_factory=dict)
    categories: set[str] = field(default_factory=set)
    tested: tuple[int, ...] = ()
    multi_label: bool = False
    drawn_folds: bool = False
    notes: list[str] = field(default_factory=list)


class Rows:
    """Sorts the rows of a csv into clips and problems, one at a time, for a csv may hold a million.

    A clip that is listed twice is a problem; listed with different values, it is none that can be used.
    """

    def __init__(self, path: Path, what: str) -> None:
        """Begin with no rows.

        Args:
            path: The csv.
            what: The values that must agree, for the message: "fold, target or category".
        """
        self.listing = Listing(path)
        self._path, self._what = path, what
        self._clips: dict[str, tuple[int, Clip]] = {}  # by name, with the line
        self._ambiguous: set[str] = set()  # listed twice, not with the same values

    def add(self, line: int, clip: Clip) -> None:
        """Take a row that can be used."""
        earlier, first = self._clips.setdefault(clip.name, (line, clip))
        if earlier != line:
            self.report(clip.name, line, f"{clip.name} is listed more than once, in line {earlier} already.")
            if first != clip:
                self._ambiguous.add(clip.name)

    def report(self, name: str, line: int, reason: str) -> None:
        """Take a row that cannot be used."""
        self.listing.problems.append(Problem(name, line, f"{self._path}, line {line}: {reason}"))

    def finish(self) -> Listing:
        """All rows, the problems in the csv's order."""
        for name in self._ambiguous:
            line, _ = self._clips.pop(name)
            self.report(name, line, f"{name} is listed again with another {self._what}.")
        self.listing.clips = [clip for _, clip in self._clips.values()]
        self.listing.problems.sort(key=lambda problem: problem.line)
        return self.listing


def contradictions(listing: Listing) -> str:
    """Targets with several categories and categories with several targets, as a message; empty if none."""
    pairs = sorted({(clip.target, clip.category) for clip in listing.clips})
    repeated = _repeated([target for target, _ in pairs]) or _repeated([category for _, category in pairs])
    if not repeated:
        return ""
    return f"{listing.source}: target and category do not belong together one to one:\n{list_some(repeated)}"


def _repeated(values: list[int] | list[str]) -> list[object]:
    seen: set[object] = set()
    return [value for value in values if value in seen or seen.add(value)]  # type: ignore[func-returns-value]
