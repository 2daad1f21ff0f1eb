"""Every clip gets a fold: the one that the data set gives it, or one of a division of our own.

The division keeps together what is one recording (clips of one group, files with the same bytes) and is
stratified: of every class each fold gets the same number of clips, give or take one where no group is in the
way. It follows from the clips' names, the number of folds and the seed alone, and from no library's random
numbers: an adapter keeps the last two, and finds its test clips again on any machine, with any version. With
a clip more or less the division is another, so an adapter keeps a checksum of its training clips' names too.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ..data_config import LEAST_FOLDS
from ..errors import UserError
from ..files import list_some
from ..text import shown
from .duplicates import identical
from .listing import NO_FOLD, Clip, Listing, Problem

PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
MOST_NAMED = 10
TRAIN, VALIDATION, TEST = 1, 2, 3  # a given split as folds: the fold before the tested one validates
FOLD_OF_PART = {"train": TRAIN, "validation": VALIDATION, "test": TEST}

Recordings = Mapping[str, str]  # by a clip's name, what recording it is of: the name of that one's first clip


def part_of(word: str) -> str | None:
    """Which part of a split a word means: "train", "validation", "test" or none."""
    return PARTS.get(word.casefold())


def with_folds(listing: Listing, number_of_folds: int, seed: int) -> Listing:
    """The listing with its classes numbered in the order of their names, and a fold for every clip.

    Clips that can be on no side of a split become problems: one recording under two labels, and classes of
    too few recordings to train, validate and test on.

    Raises:
        UserError: if there are fewer than two classes, two that differ by case only, or a given split lacks
            a part.
    """
    problems, notes = list(listing.problems), list(listing.notes)
    clips = {clip.name: clip for clip in listing.clips}
    several = listing.multi_label
    names = _class_names(listing.categories | {c.category for c in listing.clips if not several})
    same = identical({name: clip.path for name, clip in clips.items()})
    torn = [alike for alike in same if len({clips[name].category for name in alike}) > 1]
    same = [alike for alike in same if len({clips[name].category for name in alike}) == 1]
    for alike in torn:
        labelled = ", ".join(f"{name} ({clips[name].category})" for name in alike[:MOST_NAMED])
        reason = f"is the same recording under several labels: {labelled}."
        problems += [Problem(name, 0, f"{clips.pop(name).path}: {reason}") for name in alike]
    if same:
        notes.append(
            f"{sum(map(len, same))} files are {len(same)} recordings, byte for byte; those of one stay on "
            f"one side of every split:\n{list_some(' = '.join(alike) for alike in same)}"
        )
    recordings = _recordings(clips.values(), same)
    drawn = any(clip.fold == NO_FOLD for clip in clips.values())
    if drawn:
        # Where a clip may have several classes it stays for the others; a small class is told of later on.
        for small in [] if several else _small_classes(clips.values(), recordings, problems):
            names.remove(small)
        left = set(names)
        clips = {name: clip for name, clip in clips.items() if several or clip.category in left}
        folds = _own_folds(clips, recordings, number_of_folds, seed, notes)
    else:
        folds = {name: clip.fold for name, clip in clips.items()}
        if listing.tested:
            folds = _with_validation(listing, clips, recordings, folds, number_of_folds, seed, notes)
        notes += _torn(recordings, folds)
    if len(names) == 1:
        raise UserError(
            f"{listing.source} holds a single class, {names[0]}; there must be two to tell apart."
            f"{_besides(problems)}"
        )
    if several:
        if not names:
            raise UserError(f"{listing.source} gives no clip a label.{_besides(problems)}")
        names = sorted({clip.category for clip in clips.values()})
    targets = {name: number for number, name in enumerate(names)}
    return replace(
        listing,
        clips=[replace(c, fold=folds[c.name], target=targets[c.category]) for c in clips.values()],
        problems=problems,
        folds=listing.folds | set(folds.values()),
        targets=dict(enumerate(names)),
        drawn_folds=drawn,
        notes=notes,
    )


def divide(
    classes: Mapping[str, str] | Mapping[str, tuple[str, ...]], recordings: Recordings, number: int, seed: int
) -> dict[str, int]:
    """Deal recordings out to folds.

    The largest comes first, and equal ones in an order drawn from the seed; each goes to the fold that has
    least of its classes, and among equals to the smallest. A class has clips in every fold if it has as many
    recordings of its own.

    Args:
        classes: The class of each clip, or its classes; clips without any even out the folds' sizes.
        recordings: What recording each clip is of.
        number: Of folds.
        seed: Another seed, another division.

    Returns:
        The fold of each clip, from 1 to `number`.
    """
    clips_of: defaultdict[str, list[str]] = defaultdict(list)
    for name in classes:
        clips_of[recordings[name]].append(name)
    several = {name: (found,) if isinstance(found, str) else found for name, found in classes.items()}
    totals = Counter(label for found in several.values() for label in found)
    counts = [Counter[str]() for _ in range(number)]
    sizes = [0] * number
    folds: dict[str, int] = {}

    def draw(recording: str) -> bytes:
        return hashlib.sha256(f"{seed}\0{recording}".encode()).digest()

    for recording in sorted(clips_of, key=lambda name: (-len(clips_of[name]), draw(name))):
        new = Counter(label for name in clips_of[recording] for label in several[name])
        weights = {label: new[label] / totals[label] ** 2 for label in sorted(new)}

        def load(fold: int, weights: Mapping[str, float] = weights) -> tuple[float, int]:
            return sum(weight * counts[fold][label] for label, weight in weights.items()), sizes[fold]

        best = min(range(number), key=load)
        counts[best].update(new)
        sizes[best] += len(clips_of[recording])
        folds |= dict.fromkeys(clips_of[recording], best + 1)
    return folds


def _class_names(categories: Iterable[str]) -> list[str]:
    names = sorted(categories)
    spelt: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        spelt[unicodedata.normalize("NFKC", name).casefold()].append(name)
    if alike := [" and ".join(group) for group in spelt.values() if len(group) > 1]:
        raise UserError(
            f"Two classes differ by case or by the way letters are encoded only: {', '.join(alike)}. "
            "Give them one spelling if they are one class, else clearly different names."
        )
    return names


def _recordings(clips: Iterable[Clip], same: Iterable[Sequence[str]]) -> dict[str, str]:
    """Join clips of one group and files with the same bytes, also by way of others; see `Recordings`."""
    first = {clip.name: clip.name for clip in clips}

    def root(name: str) -> str:
        while first[name] != name:
            first[name] = first[first[name]]  # halves the way for the next
            name = first[name]
        return name

    together: defaultdict[str, list[str]] = defaultdict(list)
    for clip in clips:
        if clip.group:
            together[clip.group].append(clip.name)
    for names in (*together.values(), *same):
        ends = sorted({root(name) for name in names})
        first.update(dict.fromkeys(ends, ends[0]))
    return {name: root(name) for name in first}


def _numbers(classes: Mapping[str, str], recordings: Recordings) -> Counter[str]:
    """How many recordings each class has."""
    return Counter(label for label, _ in {(label, recordings[name]) for name, label in classes.items()})


def _small_classes(clips: Iterable[Clip], recordings: Recordings, problems: list[Problem]) -> list[str]:
    """Classes that cannot train, validate and test; each of their clips becomes a problem."""
    by_class: defaultdict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        by_class[clip.category].append(clip)
    small = []
    for name, found in sorted(by_class.items()):
        number = len({recordings[clip.name] for clip in found})
        if number < LEAST_FOLDS:
            small.append(name)
            reason = (
                f"class {name} has {number} recording{'s' * (number > 1)}, and needs {LEAST_FOLDS}: "
                "to train, to validate, to test."
            )
            problems += [Problem(clip.name, 0, f"{clip.path}: {reason}") for clip in found]
    return small


def _own_folds(
    clips: Mapping[str, Clip], recordings: Recordings, wanted: int, seed: int, notes: list[str]
) -> dict[str, int]:
    if any(clip.labels for clip in clips.values()):
        number = min(wanted, len({recordings[name] for name in clips}))
        return divide({name: clip.labels for name, clip in clips.items()}, recordings, number, seed)
    classes = {name: clip.category for name, clip in clips.items()}
    numbers = _numbers(classes, recordings)
    fewest = min(numbers, key=lambda label: (numbers[label], label), default="")
    number = min(wanted, numbers[fewest]) if numbers else wanted
    if number < wanted:
        notes.append(f"Class {fewest} has {number} recordings: there are {number} folds instead of {wanted}.")
    return divide(classes, recordings, number, seed)


def _with_validation(
    listing: Listing,
    clips: Mapping[str, Clip],
    recordings: Recordings,
    folds: dict[str, int],
    number: int,
    seed: int,
    notes: list[str],
) -> dict[str, int]:
    """A given split with clips to validate on: some of its own training clips if it has none."""
    there = set(folds.values()) | listing.folds
    if missing := [part for part, fold in FOLD_OF_PART.items() if fold in {TRAIN, TEST} - there]:
        raise UserError(
            f"{listing.source} gives a split without any clip to {' and '.join(missing)} on."
            f"{_besides(listing.problems)}"
        )
    if VALIDATION in there:
        return folds
    training = {
        name: clip.labels if listing.multi_label else (clip.category,)
        for name, clip in clips.items()
        if folds[name] == TRAIN
    }
    drawn = {name for name, fold in divide(training, recordings, number, seed).items() if fold == 1}
    notes.append(
        f"{listing.source} gives no clips for validation: {len(drawn)} of the {len(training)} for training, "
        f"one in {number}, are used for it."
    )
    return folds | dict.fromkeys(drawn, VALIDATION)


def _besides(problems: Sequence[Problem]) -> str:
    """The clips that cannot be used, which may be why others are not enough."""
    reasons = list_some(problem.reason for problem in problems)
    return f"\nThese cannot be used:\n{reasons}" if reasons else ""


def _torn(recordings: Recordings, folds: Mapping[str, int]) -> list[str]:
    """A note on recordings that the data set's own split has on two sides."""
    where: defaultdict[str, dict[int, str]] = defaultdict(dict)
    for name, recording in recordings.items():
        where[recording].setdefault(folds[name], name)
    torn = [
        " = ".join(f"{shown(name)} (fold {fold})" for fold, name in sorted(places.items()))
        for places in where.values()
        if len(places) > 1
    ]
    if not torn:
        return []
    return [
        f"{len(torn)} recordings or groups are in several folds of the given split, so that some of what is "
        f"tested was trained on:\n{list_some(torn)}"
    ]
