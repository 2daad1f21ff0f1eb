"""A folder of recordings, a sub-folder a class: what somebody has who never wrote a table.

What lies deeper inside a class's folder belongs to that class. If the sub-folders are called train, test and
the like, they are the parts of a given split, and the classes are the folders inside them.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

from ..errors import UserError
from ..text import is_plain, shown
from .audio import ENDINGS
from .listing import NO_FOLD, Clip, Listing, Problem
from .splits import FOLD_OF_PART, MOST_NAMED, TEST, part_of

# Sound that libsndfile cannot read; left unsaid, a whole folder of it would look empty.
FOREIGN = {".m4a", ".aac", ".mp4", ".wma", ".amr", ".webm", ".mka", ".ape", ".wv", ".3gp"}
IGNORED = {"__MACOSX"}  # what a Mac leaves in archives


def read_folder(root: Path, leave_out: Collection[str] = ()) -> Listing:
    """List the sound files below the sub-folders of `root`, in the order of their paths.

    Args:
        root: The folder.
        leave_out: Sub-folders that are no class.

    Raises:
        UserError: if there is no folder, or no sound file in a sub-folder.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder.")
    listing, ignored = Listing(root), Counter[str]()
    parts = _parts(root, leave_out)
    for path in _files(root, listing):
        name = path.relative_to(root).as_posix()
        *folders, _ = name.split("/")
        if folders and folders[0] in leave_out:
            continue
        if path.suffix.lower() not in ENDINGS | FOREIGN:
            ignored[path.suffix.lower() or "no ending"] += 1
            continue
        depth = 1 if parts else 0  # of the class's folder
        if len(folders) > depth and is_plain(folders[depth]):
            listing.categories.add(folders[depth])
        if parts and folders:
            listing.folds.add(parts[folders[0]])
        if reason := _fault(path, name, root, depth):
            listing.problems.append(Problem(name, 0, f"{shown(path)}: {reason}"))
        else:
            fold = parts[folders[0]] if parts else NO_FOLD
            listing.clips.append(Clip(path, name, fold, -1, folders[depth]))
    if not listing.clips and not listing.problems:
        raise UserError(
            f"{root} holds no sound file in a sub-folder. Put the recordings of each class into a sub-folder "
            "of that name: dog/1.wav, dog/2.wav, cat/1.wav ..."
        )
    if ignored:
        endings = ", ".join(shown(ending) for ending, _ in ignored.most_common(5))
        listing.notes.append(
            f"{ignored.total()} files in {root} are no sound by their endings ({endings}): ignored."
        )
    listing.tested = (TEST,) if parts else ()
    return listing


def _parts(root: Path, leave_out: Collection[str]) -> dict[str, int]:
    """The fold of each sub-folder, if they are the parts of a given split; else none.

    Folders without sound, of notes or scripts, do not count.
    """
    parts = {name: part_of(name) for name in _folders(root) if name not in leave_out}
    if not {"train", "test"} <= set(parts.values()):
        return {}
    parts = {name: part for name, part in parts.items() if _sound_in(root / name)}
    if not {"train", "test"} <= set(parts.values()):
        return {}
    if others := [shown(name) for name, part in parts.items() if part is None]:
        raise UserError(
            f"{root} has folders for training and testing, and others with sound beside them: "
            f"{', '.join(others[:MOST_NAMED])}. Move those away if train and test are a split, else give the "
            "two classes other names."
        )
    return {name: FOLD_OF_PART[str(part)] for name, part in parts.items()}


def holds_sound(root: Path) -> bool:
    """Whether a file in a sub-folder of `root` is sound by its ending; stops at the first."""
    return root.is_dir() and any(_sound_in(root / name) for name in _folders(root))


def _sound_in(folder: Path) -> bool:
    return any(path.suffix.lower() in ENDINGS | FOREIGN for path in _files(folder, Listing(folder)))


def _folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not _hidden(entry.name))


def _files(folder: Path, listing: Listing) -> Iterator[Path]:
    """All files that are not hidden, sorted by their paths; links to folders become problems."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if _hidden(entry.name):
            continue
        path = folder / entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _files(path, listing)
        elif entry.is_dir():
            reason = f"{shown(path)}: is a link to a folder; links are not followed. Move the folder here."
            listing.problems.append(Problem(path.relative_to(listing.source).as_posix(), 0, reason))
        else:
            yield path


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in IGNORED


def _fault(path: Path, name: str, root: Path, depth: int) -> str:
    """What is wrong with a sound file before it is opened, or nothing."""
    if name.count("/") <= depth:
        return "lies in no sub-folder, so it has no class. Move it into the folder of its class."
    if not is_plain(name):
        return "its name or a folder's is no plain text. Rename it."
    if path.suffix.lower() in FOREIGN:
        return f"{path.suffix} cannot be read. Convert it to wav or flac, with ffmpeg for example."
    if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
        return f"is a link to {path.resolve()}, outside the data folder {root}. Copy the file here."
    return ""
