"""Speech Commands: a sub-folder a word, and two lists that say which clips validate and which test.

Source: P. Warden, "Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition", arXiv 1804.03209.
Version 0.02 has 35 words. The long recordings in _background_noise_ are no word and are left alone.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..errors import UserError
from .folder import read_folder
from .listing import Listing, Problem
from .splits import TEST, TRAIN, VALIDATION

LISTS = {"validation_list.txt": VALIDATION, "testing_list.txt": TEST}  # what neither names is for training
NO_WORD = "_background_noise_"


def read_speech_commands(root: Path) -> Listing:
    """List the clips in the order of their paths, with the official split as folds 1, 2 and 3.

    Raises:
        UserError: if a list is missing or cannot be read; what a list names and is not there is a problem.
    """
    listing = read_folder(root, leave_out={NO_WORD})
    part_of: dict[str, int] = {}
    for name, fold in LISTS.items():
        part_of |= dict.fromkeys(_lines(root / name), fold)
    there = {clip.name for clip in listing.clips}
    words = sorted(listing.categories)
    targets = {word: number for number, word in enumerate(words)}
    missing = [name for name in part_of if name not in there]
    listing.problems += [Problem(name, 0, f"{root / name}: is in a list, but not there.") for name in missing]
    listing.clips = [
        replace(clip, fold=part_of.get(clip.name, TRAIN), target=targets[clip.category])
        for clip in listing.clips
    ]
    listing.folds, listing.targets = {TRAIN, VALIDATION, TEST}, dict(enumerate(words))
    listing.tested = (TEST,)
    return listing


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
