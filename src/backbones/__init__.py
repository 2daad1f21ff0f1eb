"""Backbones that come with the package, so that a fresh installation hears something without a download."""

from __future__ import annotations

from pathlib import Path

NAMES = ("ast-mini",)


def shipped(name: str) -> Path | None:
    """The folder of the backbone that goes by this name here, or None.

    A folder of the same name elsewhere is given as a path: ./ast-mini.
    """
    return Path(__file__).parent / name if name in NAMES else None
