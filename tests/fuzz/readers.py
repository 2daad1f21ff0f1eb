"""Where each reader's inputs come from and what a right answer of it is."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Protocol

NAMES = ("csv", "yaml", "adapter", "cache", "audio", "reference")


class Reader(Protocol):
    """One reader of files from strangers."""

    def make(self, rng: random.Random, case: Path) -> None:
        """Write a spoilt input into the empty folder `case`."""

    def judge(self, rng: random.Random, case: Path) -> None:
        """Read it.

        Raises:
            UserError: as a user would see it.
            AssertionError: if what was read is wrong.
        """


def reader(name: str, workshop: Path) -> Reader:
    """The reader of that name, with its valid originals in the folder `workshop`."""
    from importlib import import_module

    return import_module(f"tests.fuzz.{name}_files").Files(workshop)  # type: ignore[no-any-return]
