"""Computing an entry of the spectrogram cache, by all cores; its folder appears whole or not at all."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from ..config import SpectrogramConfig
from ..errors import UserError
from ..files import flush_folder, list_some, write_json
from ..text import shown
from .duplicates import checksum

SPECTROGRAMS, CONTENT = "spectrograms.npy", "content.json"
MOST_NAMED = 50  # problems that a message lists; skipped.csv holds them all

Spectrograms = npt.NDArray[np.float32]
OnClip = Callable[[], None]
Computed = tuple[Spectrograms, bool, bytes]  # spectrogram, whether it is silent, SHA-256 of the file
Frames = list[int]


def build(
    place: Path,
    clips: Mapping[str, Path],
    config: SpectrogramConfig,
    on_clip: OnClip | None,
    keep_problems: bool,
    whole: bool,
) -> None:
    """Compute the entry `place`, under a temporary name until it is complete and on disk.

    Args:
        place: The entry's folder; there is none yet.
        clips: Audio files by the names of the clips.
        config: What the spectrograms shall be.
        on_clip: Called once for every clip.
        keep_problems: Keep an entry of the other clips if some cannot be used.
        whole: Keep all frames of long clips: the spectrograms are then [frames of all clips, bins].

    Raises:
        UserError: naming the clips that cannot be used, or if there is no room for the entry.
    """
    _check_space(place.parent, _frames_to_come(clips.values(), config, whole) * config.num_mel_bins * 4)
    temporary = place.with_name(f".{place.name}.{uuid.uuid4().hex}.tmp")
    temporary.mkdir()
    shape = entry_shape(len(clips), config, whole)
    silent: list[str] = []
    digest = hashlib.sha256()
    problems: dict[str, str] = {}
    frames: Frames = []
    try:
        with (temporary / SPECTROGRAMS).open("wb") as file:
            # Written, not mapped: on a full disk that is an error to report, not a signal that kills.
            size = _write_header(file, (len(clips), *shape[1:]))
            computed = compute(list(clips.values()), config, whole)
            for name, result in zip(map(shown, clips), computed, strict=True):
                if isinstance(result, UserError):
                    problems[name] = shown(result)
                else:
                    spectrogram, is_silent, checksum = result
                    digest.update(checksum)
                    file.write(spectrogram.tobytes())
                    frames.append(len(spectrogram))
                    silent += [name] * is_silent
                if on_clip:
                    on_clip()
            file.seek(0)
            if _write_header(file, (sum(frames) if whole else len(frames), *shape[1:])) != size:
                raise RuntimeError("numpy's header changed its length")
            file.flush()
            os.fsync(file.fileno())
        if problems and (not keep_problems or len(problems) == len(clips)):
            raise unusable(list(problems.values()), len(clips))
        write_json(
            temporary / CONTENT,
            {
                "clips": [shown(name) for name in clips],
                "silent": silent,
                "checksum": digest.hexdigest(),
                "problems": problems,
                **({"frames": frames} if whole else {}),
                "spectrogram": dataclasses.asdict(config),
            },
        )
        flush_folder(temporary)
        try:
            temporary.rename(place)
        except OSError:
            if not place.is_dir():  # otherwise one that could not be locked out built it meanwhile: use that
                raise
        flush_folder(place.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_header(file: IO[bytes], shape: tuple[int, ...]) -> int:
    """Write numpy's header, which leaves room for another first number, and tell how long it is."""
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)  # type: ignore[no-untyped-call]
    return int(file.tell())


def entry_shape(first: int, config: SpectrogramConfig, whole: bool) -> tuple[int, ...]:
    """Of an entry's spectrograms: so many clips, or so many frames where clips are kept as a whole."""
    return (first, config.num_mel_bins) if whole else (first, config.max_length, config.num_mel_bins)


def _frames_to_come(paths: Iterable[Path], config: SpectrogramConfig, whole: bool) -> int:
    """Of all clips, if each is what its header says; a wrong header counts no more than the longest clip."""
    if not whole:
        return len(list(paths)) * config.max_length
    from .recording import MOST_WHOLE_FRAMES
    from .survey import frames_of, survey

    found = survey(list(paths))
    frames = (frames_of(seconds, config.sampling_rate) for seconds in found.seconds)
    return sum(min(max(count, config.max_length), MOST_WHOLE_FRAMES) for count in frames)


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"The spectrograms need {needed:,} bytes, but the disk of {folder} has {free:,} free. "
            "Make room, or choose another folder with --data.cache (evaluate: --cache)."
        )


def unusable(reasons: Sequence[str], clips: int) -> UserError:
    """The error that names unusable clips."""
    return UserError(
        f"{len(reasons)} of {clips} clips cannot be used:\n{list_some(reasons, MOST_NAMED)}\n"
        "Mend or replace them, take them out of the data, or use the others with --data.on_error skip."
    )


def compute(
    paths: Sequence[Path], config: SpectrogramConfig, whole: bool = False
) -> Iterator[Computed | UserError]:
    """One result per path, in order, or what is wrong with it; of long clips the beginning or the `whole`.

    Threads suffice, for decoding, resampling and torch all release the interpreter; one torch thread each,
    for the arrays are too small to share (measured: 13 ms a clip with one worker, 6 with two on two cores).
    Only a few clips are computed ahead: with all of them submitted, as `Executor.map` does, what is done
    behind a slow first clip would fill the memory.
    """
    if not paths:
        return
    import torch

    from .audio import read_waveform
    from .recording import whole_spectrogram
    from .spectrogram import log_mel, samples_heard

    wanted = samples_heard(config)

    def one(path: Path) -> Computed | UserError:
        try:
            if whole:
                frames, silent = whole_spectrogram(path, config)
                return frames.numpy(), silent, checksum(path)
            waveform = read_waveform(path, config.sampling_rate, wanted)
        except UserError as error:
            return error
        spectrogram: Spectrograms = log_mel([waveform], config)[0].numpy()
        return spectrogram, not waveform.any(), checksum(path)

    threads, cores = torch.get_num_threads(), os.cpu_count() or 1
    torch.set_num_threads(1)
    pool = ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,))
    coming, waiting = iter(paths), deque["Future[Computed | UserError]"]()
    try:
        waiting.extend(pool.submit(one, path) for path in islice(coming, 2 * cores))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(one, path) for path in islice(coming, 1))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupted build stops at once
        torch.set_num_threads(threads)
