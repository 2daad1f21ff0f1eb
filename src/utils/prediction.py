"""From audio files to the most probable classes of each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from ..data.audio import read_waveform
from ..data.spectrogram import log_mel, samples_heard
from ..errors import UserError
from ..models.build import load_adapter
from .environment import make_accelerator


@dataclass(frozen=True)
class Prediction:
    """The most probable classes of one file with their probabilities, best first; or what is wrong with the
    file.
    """

    path: Path
    classes: list[tuple[str, float]]
    error: str | None = None


def predict(
    folder: Path,
    paths: Sequence[Path],
    top_k: int = 3,
    backbone: str | None = None,
    batch_size: int = 32,
    device: str = "auto",
) -> Iterator[Prediction]:
    """Classify files, and the audio files below folders, in the order given.

    A clip is cut or padded to the length that the adapter was trained on. A file that cannot be read is told
    in its place, and the others go on.

    Raises:
        UserError: if the adapter cannot be loaded, or a path holds no audio file at all.
    """
    if top_k < 1 or batch_size < 1:
        raise UserError(f"top_k is {top_k} and batch_size {batch_size}; both must be at least 1.")
    files = iter([file for path in paths for file in audio_files(path)])
    accelerator = make_accelerator(device)
    model = load_adapter(folder, backbone).to(accelerator.device)
    spectrogram, labels = model.spectrogram, model.labels
    wanted = samples_heard(spectrogram)

    def read(path: Path) -> Tensor | UserError:
        try:
            return log_mel([read_waveform(path, spectrogram.sampling_rate, wanted)], spectrogram)[0]
        except UserError as error:
            return error

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        while batch := list(islice(files, batch_size)):
            read_clips = list(pool.map(read, batch))
            clips = [clip for clip in read_clips if isinstance(clip, Tensor)]
            with torch.inference_mode():
                logits = (
                    model(torch.stack(clips).to(accelerator.device)) if clips else torch.empty(0, len(labels))
                )
            if not logits.isfinite().all():
                raise UserError(f"{folder} computes values that are not finite: its weights are of no use.")
            probabilities = iter(logits.float().softmax(1).cpu())
            for path, clip in zip(batch, read_clips, strict=True):
                if isinstance(clip, UserError):
                    yield Prediction(path, [], str(clip))
                    continue
                best = next(probabilities).topk(min(top_k, len(labels)))
                pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
                yield Prediction(path, [(labels[i], value) for i, value in pairs])


def audio_files(path: Path) -> list[Path]:
    """The file itself, or every audio file below a folder, sorted.

    Raises:
        UserError: if there is nothing at `path`, or no audio file below it.
    """
    if not path.is_dir():
        if not path.exists():
            raise UserError(f"{path}: no such file or folder.")
        return [path]
    formats = soundfile.available_formats().keys() - {"RAW"}  # raw samples do not say what they are
    endings = {f".{name.lower()}" for name in formats} | {".aif", ".oga", ".opus"}
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in endings and file.is_file())
    if not files:
        raise UserError(f"{path}: no audio file in this folder.")
    return files
