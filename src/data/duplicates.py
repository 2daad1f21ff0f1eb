"""Files with the same bytes: one recording under several names, which no split may tear apart."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path

BLOCK = 4096  # read from the middle, where two recordings of one length differ if they differ at all


def identical(files: Mapping[str, Path]) -> list[list[str]]:
    """Which files hold the same bytes: lists of two or more of their names, in their order.

    Only files of one size are opened, and only those whose middle is the same too are read. A file that
    cannot be read is like no other.
    """
    alike = [list(files)]
    for key in (_size, _middle, checksum):
        alike = [same for names in alike for same in _by(key, names, files)]
    return alike


def _by(key: Callable[[Path], Hashable], names: list[str], files: Mapping[str, Path]) -> list[list[str]]:
    found: defaultdict[Hashable, list[str]] = defaultdict(list)
    for name in names:
        try:
            found[key(files[name])].append(name)
        except OSError:
            continue
    return [same for same in found.values() if len(same) > 1]


def _size(path: Path) -> int:
    return path.stat().st_size


def _middle(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size // 2 - BLOCK // 2))
        return hashlib.sha256(file.read(BLOCK)).digest()


def checksum(path: Path) -> bytes:
    """SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.digest()
