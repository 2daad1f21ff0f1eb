"""Opening a data set, whatever it looks like: the one place that knows which formats there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..config import RunConfig
from ..data_config import DataConfig, Format
from ..errors import UserError
from . import urbansound8k
from .dataset import AudioDataset
from .esc50_csv import CSV
from .esc50_dataset import ESC50Dataset
from .fluent_speech_commands import read_fluent_speech_commands
from .folder import holds_sound, read_folder
from .listing import Listing
from .speech_commands import read_speech_commands
from .splits import with_folds
from .survey import frames_needed
from .table import read_table, tables_in

READERS: dict[str, Callable[[Path], Listing]] = {"folder": read_folder, "csv": read_table}
# They number their classes and give every clip a fold; each is known by a file that no other has.
PUBLIC: dict[Format, tuple[Path, Callable[[Path], Listing]]] = {
    "urbansound8k": (urbansound8k.CSV, urbansound8k.read_urbansound8k),
    "speech_commands": (Path("testing_list.txt"), read_speech_commands),
    "fluent_speech_commands": (Path("data/valid_data.csv"), read_fluent_speech_commands),
}


def find_format(data: DataConfig) -> Format | None:
    """The format that a configuration names or, with "auto", that lies in its root; None if nothing does."""
    root = Path(data.root)
    if data.format != "auto":
        return data.format
    if (root / CSV).is_file():
        return "esc50"
    for name, (sign, _) in PUBLIC.items():
        if (root / sign).is_file():
            return name
    if root.is_file() or (root.is_dir() and tables_in(root)):
        return "csv"
    return "folder" if holds_sound(root) else None


def holds_data(data: DataConfig) -> bool:
    """Whether there is anything in the root that looks like the data set."""
    root, found = Path(data.root), find_format(data)
    return (root / CSV).is_file() if found == "esc50" else found is not None and root.exists()


def open_dataset(config: RunConfig) -> tuple[AudioDataset, RunConfig]:
    """The data set of a run, and the configuration with what `data.format` and `data.fit_length` came to.

    Raises:
        UserError: if there is no data set, or it cannot be used.
    """
    data, root = config.data, Path(config.data.root)
    found = find_format(data)
    if found is None and root.is_dir():
        raise UserError(
            f"{root} holds no data set: neither a sub-folder a class with sound files, nor a csv with paths "
            f"and labels, nor ESC-50's {CSV}. docs/data.md shows what each looks like."
        )
    if found is None or found == "esc50":  # which says how to get ESC-50 if nothing is there
        dataset: AudioDataset = ESC50Dataset.of(config)
    else:
        if found in PUBLIC:
            listing = PUBLIC[found][1](root)
        else:
            listing = with_folds(READERS[found](root), data.number_of_folds, data.split_seed)
        dataset = AudioDataset(root, listing, config.spectrogram, data.cache, data.on_error)
    if dataset.multi_label and (data.shots is not None or config.train.class_weights != "none"):
        option = "data.shots" if data.shots is not None else "train.class_weights"
        raise UserError(
            f"{option} is for clips of one class each; {dataset.source} gives clips several labels. "
            "Leave it out."
        )
    dataset.long_clips = data.long_clips
    if data.fit_length:
        frames = frames_needed(dataset.survey(), config.spectrogram.sampling_rate)
        fitted = replace(config.spectrogram, max_length=min(frames, config.spectrogram.max_length))
        dataset.spectrogram = fitted
    data = replace(data, format=found or "esc50")
    return dataset, replace(config, data=data, spectrogram=dataset.spectrogram)
