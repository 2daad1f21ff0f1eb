"""Which audio files are meant: by names, folders, patterns, or a list on standard input."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import UserError
from .audio import ENDINGS

STDIN = "-"


def find_recordings(words: Sequence[str]) -> list[Path]:
    """The audio files that `words` stand for, in their order.

    A word is a file, a folder (every audio file below it, sorted), a pattern such as "site*/**/*.wav" (the
    audio files that match, sorted), or "-": a list of files and folders on standard input, one a line. What
    leads to no file stays in the list, so that it is told in its turn (`missing`).

    Raises:
        UserError: if there is not one word in them.
    """
    found: list[Path] = []
    for word in words:
        if word == STDIN:
            lines = (os.fsdecode(line.rstrip(b"\r\n")) for line in sys.stdin.buffer)
            found += [file for line in lines if line for file in audio_files(Path(line))]
        elif glob.has_magic(word) and not os.path.lexists(word):
            matches = sorted(map(Path, glob.iglob(word, recursive=True)))
            found += _audio(matches) or [Path(word)]
        else:
            found += audio_files(Path(word))
    if not found:
        raise UserError("standard input names no file; it should hold one a line.")
    return found


def audio_files(path: Path) -> list[Path]:
    """The file itself, or every audio file below a folder, sorted; a folder without one stays as it is."""
    return (_audio(sorted(path.rglob("*"))) or [path]) if os.path.isdir(path) else [path]


def missing(path: Path) -> str | None:
    """What to say if there is no file at `path`, else None."""
    if os.path.isdir(path):
        return f"{path}: no audio file in this folder."
    if not os.path.exists(path):
        what = "no audio file matches this pattern" if glob.has_magic(str(path)) else "no such file or folder"
        return f"{path}: {what}."
    return None


def _audio(files: Iterable[Path]) -> list[Path]:
    return [file for file in files if file.suffix.lower() in ENDINGS and file.is_file()]
