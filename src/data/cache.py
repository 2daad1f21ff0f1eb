"""Spectrograms computed once, by all cores, into a memory-mapped file that all folds and later runs share.

An entry is a folder named after what it depends on (the files and the settings): a changed clip or setting is
another entry, never a stale one. It appears whole or not at all, because it is built under a temporary name
and then renamed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..config import SpectrogramConfig
from ..errors import UserError
from ..files import clear_write_errors, list_some, read_json, write_json

FORMAT = 1  # part of every key: raised when the same files and settings would give other values
SPECTROGRAMS, CONTENT = "spectrograms.npy", "content.json"

Spectrograms = npt.NDArray[np.float32]
OnClip = Callable[[], None]


def cached_spectrograms(
    paths: Sequence[Path], config: SpectrogramConfig, folder: Path, on_clip: OnClip | None = None
) -> tuple[Spectrograms, list[str]]:
    """Spectrograms of `paths`, from the cache in `folder` or else computed into it.

    Args:
        paths: Audio files.
        config: What the spectrograms shall be.
        folder: Where entries live; made if missing.
        on_clip: Called once for every clip computed, and never on a warm start; for progress bars.

    Returns:
        float32 [clips, max_length, num_mel_bins] mapped from disk (writing to it changes no file), and the
            names of silent clips.

    Raises:
        UserError: naming every clip that cannot be used, or why the folder cannot be written.
    """
    entry = folder / _key(paths, config)
    if not entry.is_dir():
        with clear_write_errors(folder):
            _build(entry, paths, config, on_clip)
    try:
        spectrograms = np.load(entry / SPECTROGRAMS, mmap_mode="c")  # torch wants it writable
        silent = list(read_json(entry / CONTENT)["silent"])
        if spectrograms.shape != (expected := (len(paths), config.max_length, config.num_mel_bins)):
            raise ValueError(f"it holds {spectrograms.shape}, not {expected}")
    except (OSError, ValueError, EOFError, KeyError, TypeError, UserError) as error:
        raise UserError(
            f"The cache entry {entry} is damaged ({error}). Delete that folder and start again."
        ) from error
    return spectrograms, silent


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


def _build(entry: Path, paths: Sequence[Path], config: SpectrogramConfig, on_clip: OnClip | None) -> None:
    entry.parent.mkdir(parents=True, exist_ok=True)
    temporary = entry.with_name(f".{entry.name}.{uuid.uuid4().hex}")
    temporary.mkdir()
    silent: list[str] = []
    problems: list[str] = []
    try:
        with (temporary / SPECTROGRAMS).open("wb") as file:
            shape = (len(paths), config.max_length, config.num_mel_bins)
            # Written, not mapped: on a full disk that is an error to report, not a signal that kills.
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)  # type: ignore[no-untyped-call]
            for path, result in zip(paths, _compute(paths, config), strict=True):
                if isinstance(result, UserError):
                    problems.append(str(result))
                else:
                    spectrogram, is_silent = result
                    file.write(spectrogram.tobytes())
                    silent += [path.name] * is_silent
                if on_clip:
                    on_clip()
            file.flush()
            os.fsync(file.fileno())
        if problems:
            raise UserError(
                f"{len(problems)} of {len(paths)} clips cannot be used:\n{list_some(problems)}\n"
                "Mend or replace them, or take their rows out of the csv."
            )
        write_json(
            temporary / CONTENT,
            {"clips": [p.name for p in paths], "silent": silent, "spectrogram": dataclasses.asdict(config)},
        )
        try:
            temporary.rename(entry)
        except OSError:
            if not entry.is_dir():  # otherwise another run built the same entry in the meantime: use that
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _compute(
    paths: Sequence[Path], config: SpectrogramConfig
) -> Iterator[tuple[Spectrograms, bool] | UserError]:
    """One result per path, in order: the spectrogram and whether the clip is silent, or what is wrong with
    it.

    Threads suffice, for decoding, resampling and torch all release the interpreter; one torch thread each,
    for the arrays are too small to share (measured: 13 ms a clip with one worker, 6 with two on two cores).
    """
    import torch

    from .audio import read_waveform
    from .spectrogram import log_mel

    def compute(path: Path) -> tuple[Spectrograms, bool] | UserError:
        try:
            waveform = read_waveform(path, config.sampling_rate)
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
