"""Spectrograms computed once, by all cores, into a memory-mapped file that all folds and later runs share.

An entry is a folder named after what it depends on (the files and the settings): a changed clip or setting is
another entry, never a stale one. It appears whole or not at all, because it is built under a temporary name
and then renamed. A lock of the operating system, which no killed process holds, keeps two from building the
same entry at once.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from ..config import SpectrogramConfig
from ..errors import UserError
from ..files import clear_write_errors, list_some, read_json, write_json
from ..text import shown

FORMAT = 2  # part of every key: raised when the same files and settings would give other values
SPECTROGRAMS, CONTENT = "spectrograms.npy", "content.json"
MOST_NAMED = 50  # unusable clips that a message lists

Spectrograms = npt.NDArray[np.float32]
OnClip = Callable[[], None]


@dataclass(frozen=True)
class Entry:
    """What the cache holds of some clips.

    Attributes:
        spectrograms: float32 [usable clips, max_length, num_mel_bins] mapped from disk, in the clips' order;
            writing to it changes no file.
        silent: Names of silent clips.
        problems: By name, what is wrong with the clips that cannot be used.
        notes: What the user should know of how the entry came about: one line each.
    """

    spectrograms: Spectrograms
    silent: list[str]
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
) -> Entry:
    """Spectrograms of `paths`, from the cache in `folder` or else computed into it.

    Args:
        paths: Audio files, each of another name.
        config: What the spectrograms shall be.
        folder: Where entries live; made if missing.
        on_clip: Called once for every clip computed, and never on a warm start; for progress bars.
        keep_problems: Go on without the clips that cannot be used, as long as there are others.

    Raises:
        UserError: naming every clip that cannot be used, or why the folder cannot be written.
    """
    place, notes = folder / _key(paths, config), list[str]()
    with clear_write_errors(folder):
        entry = _existing(place, paths, config, notes)
        if entry is None:
            folder.mkdir(parents=True, exist_ok=True)
            with _lock(place):
                entry = _existing(place, paths, config, [])  # another process may have built it meanwhile
                if entry is None:
                    shutil.rmtree(place, ignore_errors=True)
                    _build(place, paths, config, on_clip, keep_problems)
                    entry = _load(place, paths, config)
    if entry.problems and not keep_problems:
        raise _unusable(list(entry.problems.values()), len(paths))
    return dataclasses.replace(entry, notes=notes)


def _existing(
    place: Path, paths: Sequence[Path], config: SpectrogramConfig, notes: list[str]
) -> Entry | None:
    """The finished entry, if there is one and it still holds; else a note on why not."""
    if not place.is_dir():
        return None
    try:
        entry = _load(place, paths, config)
    except Exception as error:  # whatever numpy or json make of a file that anything may have happened to
        reason = shown(str(error) or type(error).__name__)
        notes.append(f"The cache entry {place} is damaged ({reason}); it is computed again.")
        return None
    # What went wrong may have lain outside the file, and the key would not show that it is mended.
    bad = [path for path in paths if path.name in entry.problems]
    if any(not isinstance(result, UserError) for result in _compute(bad, config)):
        notes.append(
            f"Clips that the cache entry {place} lists as unusable are usable now; it is computed again."
        )
        return None
    return entry


def _load(place: Path, paths: Sequence[Path], config: SpectrogramConfig) -> Entry:
    """Raises whatever a damaged entry gives rise to."""
    content = read_json(place / CONTENT)
    silent, problems = content["silent"], content["problems"]
    names = {shown(path.name) for path in paths}
    if not (isinstance(silent, list) and isinstance(problems, dict) and {*silent, *problems} <= names):
        raise ValueError(f"{CONTENT} names other clips")
    if not all(isinstance(reason, str) for reason in problems.values()):
        raise ValueError(f"{CONTENT} gives no reasons")
    file = place / SPECTROGRAMS
    if not file.is_file():
        raise ValueError(f"{SPECTROGRAMS} is missing")
    # Never unpickles; copied on writing, for torch wants it writable.
    spectrograms = np.lib.format.open_memmap(file, mode="c")  # type: ignore[no-untyped-call]
    expected = (len(paths) - len(problems), config.max_length, config.num_mel_bins)
    if spectrograms.shape != expected or spectrograms.dtype != np.float32:
        raise ValueError(f"it holds {spectrograms.dtype} {spectrograms.shape}, not float32 {expected}")
    if (
        not spectrograms.flags.c_contiguous
        or file.stat().st_size != spectrograms.offset + spectrograms.nbytes
    ):
        raise ValueError(f"{SPECTROGRAMS} has another size or order than its header says")
    return Entry(spectrograms, silent, problems, [])


def _key(paths: Sequence[Path], config: SpectrogramConfig) -> str:
    """Changes whenever a file (place, size, time of change) or a setting does."""
    digest = hashlib.sha256(json.dumps([FORMAT, dataclasses.asdict(config)], sort_keys=True).encode())
    for path in paths:
        try:
            stat = path.stat()
        except OSError:
            digest.update(f"{path} missing\n".encode("utf-8", "surrogateescape"))
            continue  # the build reports every missing clip together
        digest.update(
            f"{path.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode("utf-8", "surrogateescape")
        )
    return digest.hexdigest()[:16]


@contextmanager
def _lock(place: Path) -> Iterator[None]:
    """Be the only one who builds the entry `place`, and clear away what killed builders of it left."""
    lock = FileLock(place.with_name(f".{place.name}.lock"), fallback_to_soft=False)
    try:
        lock.acquire()
    except (NotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
            raise
        yield  # a file system without locks: two may do the same work, which the renaming keeps harmless
        return
    try:
        for left in place.parent.glob(f".{place.name}.*.tmp"):
            shutil.rmtree(left, ignore_errors=True)
        yield
    finally:
        with suppress(OSError):  # Windows removes no open file; those who wait for a removed one make another
            os.unlink(lock.lock_file)
        lock.release()


def _build(
    place: Path, paths: Sequence[Path], config: SpectrogramConfig, on_clip: OnClip | None, keep_problems: bool
) -> None:
    _check_space(place.parent, len(paths) * config.max_length * config.num_mel_bins * 4)
    temporary = place.with_name(f".{place.name}.{uuid.uuid4().hex}.tmp")
    temporary.mkdir()
    silent: list[str] = []
    problems: dict[str, str] = {}
    try:
        with (temporary / SPECTROGRAMS).open("wb") as file:
            # Written, not mapped: on a full disk that is an error to report, not a signal that kills.
            size = _write_header(file, len(paths), config)
            for path, result in zip(paths, _compute(paths, config), strict=True):
                if isinstance(result, UserError):
                    problems[shown(path.name)] = shown(result)
                else:
                    spectrogram, is_silent = result
                    file.write(spectrogram.tobytes())
                    silent += [shown(path.name)] * is_silent
                if on_clip:
                    on_clip()
            file.seek(0)
            if _write_header(file, len(paths) - len(problems), config) != size:
                raise RuntimeError("numpy's header changed its length")
            file.flush()
            os.fsync(file.fileno())
        if problems and (not keep_problems or len(problems) == len(paths)):
            raise _unusable(list(problems.values()), len(paths))
        write_json(
            temporary / CONTENT,
            {
                "clips": [shown(path.name) for path in paths],
                "silent": silent,
                "problems": problems,
                "spectrogram": dataclasses.asdict(config),
            },
        )
        _sync(temporary)
        try:
            temporary.rename(place)
        except OSError:
            if not place.is_dir():  # otherwise one that could not be locked out built it meanwhile: use that
                raise
        _sync(place.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_header(file: IO[bytes], clips: int, config: SpectrogramConfig) -> int:
    """Write numpy's header, which leaves room for another number of clips, and tell how long it is."""
    shape = (clips, config.max_length, config.num_mel_bins)
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)  # type: ignore[no-untyped-call]
    return int(file.tell())


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"The spectrograms need {needed:,} bytes, but the disk of {folder} has {free:,} free. "
            "Make room, or choose another folder with --data.cache (evaluate: --cache)."
        )


def _sync(folder: Path) -> None:
    """Have the names in a folder on disk too, where the operating system lets one ask for that."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unusable(reasons: Sequence[str], clips: int) -> UserError:
    return UserError(
        f"{len(reasons)} of {clips} clips cannot be used:\n{list_some(reasons, MOST_NAMED)}\n"
        "Mend or replace them, take their rows out of the csv, or use the others with --data.on_error skip."
    )


def _compute(
    paths: Sequence[Path], config: SpectrogramConfig
) -> Iterator[tuple[Spectrograms, bool] | UserError]:
    """One result per path, in order: the spectrogram and whether the clip is silent, or what is wrong with
    it.

    Threads suffice, for decoding, resampling and torch all release the interpreter; one torch thread each,
    for the arrays are too small to share (measured: 13 ms a clip with one worker, 6 with two on two cores).
    """
    if not paths:
        return
    import torch

    from .audio import read_waveform
    from .spectrogram import log_mel, samples_heard

    wanted = samples_heard(config)

    def compute(path: Path) -> tuple[Spectrograms, bool] | UserError:
        try:
            waveform = read_waveform(path, config.sampling_rate, wanted)
        except UserError as error:
            return error
        spectrogram: Spectrograms = log_mel([waveform], config)[0].numpy()
        return spectrogram, not waveform.any()

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    pool = ThreadPoolExecutor(os.cpu_count() or 1, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield from pool.map(compute, paths)
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupted build stops at once
        torch.set_num_threads(threads)
