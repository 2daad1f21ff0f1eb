"""petl-ast predict: classes of clips, and what was heard when in recordings."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from ..errors import UserError
from ..imports import quick_imports
from ..prediction.formats import Format
from .verb import Verb, add_adapter_argument, add_place_options


def _add_options(parser: ArgumentParser) -> None:
    add_adapter_argument(parser)
    parser.add_argument(
        "--adapter",
        dest="more_adapters",
        type=str,
        action="append",
        default=[],
        help="An adapter in ADAPTER's place; given again, each hears the same files on the same backbone.",
    )
    parser.add_argument(
        "paths",
        type=str,
        nargs="+",
        help='Audio files, folders, quoted patterns ("site*/**/*.wav"), or -: a list on standard input.',
    )
    parser.add_argument("--top_k", type=int, default=3, help="How many classes to name per clip.")
    parser.add_argument(
        "--hop", type=float | None, default=None, help="Seconds from window to window; null: half a window."
    )
    parser.add_argument(
        "--threshold",
        type=float | None,
        default=None,
        help="Least probability of an event; null: 0.5, or each class's own where clips have several labels.",
    )
    parser.add_argument(
        "--ignore",
        type=str,
        action="append",
        default=[],
        help="A class that makes no event, such as a background; given again, another one.",
    )
    parser.add_argument("--format", type=Format, default="table", help="How to write what was found.")
    parser.add_argument("--json", type=bool, default=False, help="The same as --format jsonl.")
    parser.add_argument(
        "--output", type=str | None, default=None, help="Folder for a file per recording, named after it."
    )
    parser.add_argument(
        "--picture", type=bool, default=False, help="Also draw each recording (with --output)."
    )
    parser.add_argument("--overwrite", type=bool, default=False, help="Replace files that are there already.")
    add_place_options(parser)
    parser.add_argument("--batch_size", type=int, default=32, help="Windows per forward pass.")


def _first_adapter_first(words: list[str]) -> list[str]:
    """The first `--adapter FOLDER` as ADAPTER, before all else, for the parser wants one there."""
    adapters: list[str] = []
    others: list[str] = []
    coming = iter(words)
    for word in coming:
        if word == "--adapter" and (folder := next(coming, None)) is not None:
            adapters.append(folder)
        elif word.startswith("--adapter="):
            adapters.append(word.removeprefix("--adapter="))
        else:
            others += [word, *coming] if word == "--" else [word]
    return [*adapters[:1], *(f"--adapter={folder}" for folder in adapters[1:]), *others]


def _run(options: Namespace) -> int:
    """Name the most probable classes of audio files, and in long recordings what was heard when.

    petl-ast predict outputs/demo/fold_1/last recording.wav folder/ --top_k 3
    petl-ast predict outputs/demo/fold_1/last "site*/**/*.flac" --output found --format csv --picture
    petl-ast predict --adapter outputs/birds/fold_1/last --adapter outputs/frogs/fold_1/last pond.wav
    A recording that is longer than the adapter's clips is heard window by window; neighbouring windows of
    the same class become one event. A file that cannot be read is told and left out; the exit code is then 2.
    """
    with quick_imports():
        from ..data.inputs import find_recordings
        from ..prediction.output import destination, write_predictions
        from ..prediction.predict import adapter_names, predict
        from ..utils import console as screen

    if options.json and options.format not in ("table", "jsonl"):
        raise UserError(
            f"--json and --format {options.format} are two answers to one question; leave one out."
        )
    adapters = [options.adapter, *options.more_adapters]
    for path in map(Path, options.paths):
        if (path / "adapter_config.json").is_file():
            raise UserError(f"{path} is an adapter, no recording. Give several with --adapter before each.")
    recordings = find_recordings(options.paths)
    where = destination(
        "jsonl" if options.json else options.format,
        options.top_k,
        Path(options.output) if options.output else None,
        options.picture,
        options.overwrite,
        recordings,
        adapter_names(adapters),
    )
    with screen.progress(screen.messages()) as bars:
        listening = screen.Listening(bars, len(recordings))
        found = predict(
            adapters,
            recordings,
            top_k=options.top_k,
            backbone=options.backbone,
            batch_size=options.batch_size,
            device=options.device,
            hop=options.hop,
            threshold=options.threshold,
            thumbnail=where.picture,
            on_heard=listening.heard,
            ignored=options.ignore,
        )
        return 2 if write_predictions(listening.counted(found), where) else 0


VERB = Verb(_add_options, _run, "ADAPTER PATH ... ", arranged=_first_adapter_first)
