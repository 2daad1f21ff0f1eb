"""Paths from strangers: a csv or a link must not lead out of the data folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from ..text import is_plain
from .csv_rows import short


def inside(folder: Path) -> Callable[[str], str]:
    """A check of paths from strangers: what is wrong with one, or nothing if it lies in `folder`.

    Links may lead anywhere inside the folder. Each sub-folder is looked at once.
    """
    real_folder = Path(os.path.realpath(folder))
    is_inside: dict[PurePosixPath, bool] = {}

    def lies_in(path: Path) -> bool:
        return Path(os.path.realpath(path)).is_relative_to(real_folder)

    def check(given: str) -> str:
        path = PurePosixPath(given)
        if path.is_absolute() or ".." in path.parts or "\\" in given or given[1:2] == ":":
            return f"{short(given)} is not a path inside {folder}, with / between folders."
        if not is_plain(given) or path == PurePosixPath("."):
            return f"{short(given)} is not a plain file name inside {folder}."
        if path.parent not in is_inside:
            is_inside[path.parent] = lies_in(folder / path.parent)
        if not is_inside[path.parent] or (os.path.islink(folder / path) and not lies_in(folder / path)):
            real = os.path.realpath(folder / path)
            return f"{given} leads to {real} by a link, outside the data folder {real_folder}."
        return ""

    return check
