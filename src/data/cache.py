"""Spectrograms computed once, by all cores, into a memory-mapped file that all folds and later runs share.

An entry is a folder named after what it depends on (the files and the settings): a changed clip or setting is
another entry, never a stale one. It appears whole or not at all, because it is built under a temporary name
and then renamed. A lock of the operating system, which no killed process holds, keeps two from building the
same entry at once.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..config import SpectrogramConfig
from ..errors import UserError
from ..files import clear_write_errors, locked, read_json
from ..text import shown
from .cache_builder import (
    CONTENT,
    SPECTROGRAMS,
    Frames,
    OnClip,
    Spectrograms,
    build,
    compute,
    entry_shape,
    unusable,
)

FORMAT = 3  # part of every key: raised when the same files and settings would give other values


@dataclass(frozen=True)
class Entry:
    """What the cache holds of some clips.

    Attributes:
        spectrograms: float32 [usable clips, max_length, num_mel_bins] mapped from disk, in the clips' order;
            writing to it changes no file. If a clip is kept with more frames, [frames, num_mel_bins], one
            clip behind the other.
        frames: Of each usable clip, at least `max_length`.
        silent: Names of silent clips.
        checksum: Of the usable clips' files, in order.
        problems: By name, what is wrong with the clips that cannot be used.
        notes: What the user should know of how the entry came about: one line each.
    """

    spectrograms: Spectrograms
    frames: Frames
    silent: list[str]
    checksum: str
    problems: dict[str, str]
    notes: list[str]


def cached_spectrograms(
    paths: Sequence[Path], config: SpectrogramConfig, folder: Path, on_clip: OnClip | None = None
) -> tuple[Spectrograms, list[str]]:
    """Spectrograms of `paths`, all of them, as `open_entry` gives them, and the names of silent clips.

    Raises:
        UserError: naming every clip that cannot be used, or why the folder cannot be written.
    """
    entry = open_entry(paths, config, folder, on_clip)
    return entry.spectrograms, entry.silent


def open_entry(
    paths: Sequence[Path],
    config: SpectrogramConfig,
    folder: Path,
    on_clip: OnClip | None = None,
    keep_problems: bool = False,
    on_wait: Callable[[], None] | None = None,
    names: Sequence[str] | None = None,
    whole: bool = False,
) -> Entry:
    """Spectrograms of `paths`, from the cache in `folder` or else computed into it.

    Args:
        paths: Audio files, each of another name if `names` are not given.
        config: What the spectrograms shall be.
        folder: Where entries live; made if missing.
        on_clip: Called once for every clip computed, and never on a warm start; for progress bars.
        keep_problems: Go on without the clips that cannot be used, as long as there are others.
        on_wait: Called before waiting for another process that builds the same entry.
        names: What the clips are called, each differently; if not given, as their files.
        whole: Keep all frames of clips that have more than `config.max_length`.

    Raises:
        UserError: naming every clip that cannot be used, or why the folder cannot be written.
    """
    clips = dict(zip(names or [path.name for path in paths], paths, strict=True))
    place, notes = folder / _key(clips, config, whole), list[str]()
    with clear_write_errors(folder):
        entry = _existing(place, clips, config, whole, notes)
        if entry is None:
            folder.mkdir(parents=True, exist_ok=True)
            with locked(place.with_name(f".{place.name}.lock"), on_wait=on_wait) as alone:
                if alone:
                    for left in place.parent.glob(f".{place.name}.*.tmp"):  # by builders that were killed
                        shutil.rmtree(left, ignore_errors=True)
                # Another process may have built it meanwhile.
                entry = _existing(place, clips, config, whole, [])
                if entry is None:
                    shutil.rmtree(place, ignore_errors=True)
                    build(place, clips, config, on_clip, keep_problems, whole)
                    entry = _load(place, clips, config, whole)
    if entry.problems and not keep_problems:
        raise unusable(list(entry.problems.values()), len(paths))
    return dataclasses.replace(entry, notes=notes)


def _existing(
    place: Path, clips: Mapping[str, Path], config: SpectrogramConfig, whole: bool, notes: list[str]
) -> Entry | None:
    """The finished entry, if there is one and it still holds; else a note on why not."""
    if not place.is_dir():
        return None
    try:
        entry = _load(place, clips, config, whole)
    except Exception as error:  # whatever numpy or json make of a file that anything may have happened to
        reason = shown(str(error) or type(error).__name__)
        notes.append(f"The cache entry {place} is damaged ({reason}); it is computed again.")
        return None
    # What went wrong may have lain outside the file, and the key would not show that it is mended.
    bad = [path for name, path in clips.items() if shown(name) in entry.problems]
    if any(not isinstance(result, UserError) for result in compute(bad, config)):
        notes.append(
            f"Clips that the cache entry {place} lists as unusable are usable now; it is computed again."
        )
        return None
    return entry


def _load(place: Path, clips: Mapping[str, Path], config: SpectrogramConfig, whole: bool) -> Entry:
    """Raises whatever a damaged entry gives rise to."""
    content = read_json(place / CONTENT)
    silent, problems, checksum = content["silent"], content["problems"], content["checksum"]
    names = {shown(name) for name in clips}
    if not (isinstance(silent, list) and isinstance(problems, dict) and {*silent, *problems} <= names):
        raise ValueError(f"{CONTENT} names other clips")
    if not all(isinstance(text, str) for text in (checksum, *problems.values())):
        raise ValueError(f"{CONTENT} gives no checksum or no reasons")
    usable, length = len(clips) - len(problems), config.max_length
    frames = content["frames"] if whole else [length] * usable
    if not (len(frames) == usable and all(type(count) is int and count >= length for count in frames)):
        raise ValueError(f"{CONTENT} gives other numbers of frames")
    file = place / SPECTROGRAMS
    if not file.is_file():
        raise ValueError(f"{SPECTROGRAMS} is missing")
    # Never unpickles; copied on writing, for torch wants it writable.
    spectrograms = np.lib.format.open_memmap(file, mode="c")  # type: ignore[no-untyped-call]
    expected = entry_shape(sum(frames) if whole else usable, config, whole)
    if spectrograms.shape != expected or spectrograms.dtype != np.float32:
        raise ValueError(f"it holds {spectrograms.dtype} {spectrograms.shape}, not float32 {expected}")
    if (
        not spectrograms.flags.c_contiguous
        or file.stat().st_size != spectrograms.offset + spectrograms.nbytes
    ):
        raise ValueError(f"{SPECTROGRAMS} has another size or order than its header says")
    if max(frames) == length:  # no clip is longer
        spectrograms = spectrograms.reshape(usable, length, config.num_mel_bins)
    return Entry(spectrograms, frames, silent, checksum, problems, [])


def _key(clips: Mapping[str, Path], config: SpectrogramConfig, whole: bool) -> str:
    """Changes whenever a file (place, size, time of change), a setting, or a name not the file's own does."""
    digest = hashlib.sha256(json.dumps([FORMAT, dataclasses.asdict(config)], sort_keys=True).encode())
    if whole:
        digest.update(b"whole\0")
    for name, path in clips.items():
        if name != path.name:
            digest.update(f"{name}\0".encode("utf-8", "surrogateescape"))
        try:
            stat = path.stat()
        except OSError:
            digest.update(f"{path} missing\n".encode("utf-8", "surrogateescape"))
            continue  # the build reports every missing clip together
        digest.update(
            f"{path.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode("utf-8", "surrogateescape")
        )
    return digest.hexdigest()[:16]
