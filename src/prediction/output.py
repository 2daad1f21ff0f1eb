"""Predictions as people and programs want them: a table, csv, JSON lines, Audacity's labels, pictures."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from rich.table import Table

from ..errors import UserError
from ..files import list_some, write_text
from ..text import shown
from ..utils.console import output
from .events import Classes, clock
from .formats import ENDINGS, Format
from .predict import Prediction

COLUMNS = ("path", "start", "end", "class", "probability", "peak", "windows")
WIDEST = 10_000  # columns of a table in a file or a pipe: as wide as its longest path asks for
MOST_NAME_BYTES = 150  # file systems allow 255, of which a temporary file's name needs some


@dataclass(frozen=True)
class Destination:
    """Where predictions go.

    Attributes:
        form: How they are written.
        top_k: How many classes JSON names in each window.
        files: For each prediction, its file's path without an ending; None: to standard output.
        picture: Whether to draw each recording.
        adapters: How many predictions there are of each recording.
    """

    form: Format
    top_k: int
    files: list[Path] | None
    picture: bool
    adapters: int = 1


def destination(
    form: Format,
    top_k: int,
    folder: Path | None,
    picture: bool,
    overwrite: bool,
    recordings: Sequence[Path],
    adapters: Sequence[str] = ("",),
) -> Destination:
    """Settle where the predictions of `recordings` by `adapters` (`adapter_names`) go, before anything is
    computed.

    Raises:
        UserError: if the options contradict each other, or a file would be replaced without `overwrite`.
    """
    if folder is None:
        if picture or form == "audacity":
            what = "picture draws" if picture else "format audacity writes"
            raise UserError(f"{what} a file for each recording; name a folder for them with --output.")
        return Destination(form, top_k, None, False, len(adapters))
    endings = [ENDINGS[form]] if form in ENDINGS else []
    endings += [".png"] if picture else []
    if not endings:
        raise UserError(f"nothing to write to {folder}: add --format csv, jsonl or audacity, or --picture.")
    files = [folder / name for name in file_names(recordings, adapters)]
    there = [file for stem in files for end in endings if (file := with_ending(stem, end)).exists()]
    if there and not overwrite:
        raise UserError(f"these files are there already; --overwrite replaces them.\n{list_some(there)}")
    return Destination(form, top_k, files, picture, len(adapters))


def file_names(recordings: Iterable[Path], adapters: Sequence[str] = ("",)) -> list[str]:
    """A name without an ending for each recording, and each of several adapters; a number if it is taken.

    Letters, digits, spaces, dots and hyphens stay; whatever else a name may hold becomes "_".
    """
    names: list[str] = []
    taken: set[str] = set()
    for recording, adapter in product(recordings, adapters):
        whole = f"{recording.stem}_{adapter}" if adapter else recording.stem
        plain = re.sub(r"[^\w .-]", "_", whole).strip(" .") or "recording"
        name = plain = plain.encode()[:MOST_NAME_BYTES].decode(errors="ignore")
        number = 1
        while name.casefold() in taken:  # some file systems do not tell a from A
            number += 1
            name = f"{plain}_{number}"
        taken.add(name.casefold())
        names.append(name)
    return names


def with_ending(stem: Path, ending: str) -> Path:
    """`stem` with an ending behind it, dots and all."""
    return stem.with_name(stem.name + ending)


def write_predictions(predictions: Iterable[Prediction], where: Destination) -> int:
    """Write each prediction as soon as it is there (a table at the end, also of what a Ctrl-C left).

    Returns:
        How many files could not be read; each is told on standard error in its turn.
    """
    rows: list[tuple[str, ...]] = []
    failed = number = 0
    if where.form == "csv" and where.files is None:
        print(_csv_heading(where), end="")
    try:
        for found in predictions:
            if found.error:  # told once, whatever number of adapters there is
                failed += 1
                number += where.adapters
                print(f"petl-ast predict: error: {shown(found.error)}", file=sys.stderr)
                continue
            if where.form == "table":
                rows += [(clip, found.adapter, *row) for clip, *row in table_rows(found)]
            elif where.files is None:
                print(TEXTS[where.form](found, where.top_k), end="", flush=True)
            if where.files:
                _write_files(found, where, where.files[number])
            number += 1
    finally:
        if rows:
            output(WIDEST).print(_table(rows))
    return failed


def _write_files(found: Prediction, where: Destination, stem: Path) -> None:
    """The files of one recording; tells their names."""
    if where.form in ENDINGS:
        heading = _csv_heading(where) if where.form == "csv" else ""
        path = with_ending(stem, ENDINGS[where.form])
        write_text(path, heading + TEXTS[where.form](found, where.top_k))
        print(path, flush=True)
    if found.thumbnail:
        from .timeline import draw_timeline  # matplotlib

        path = with_ending(stem, ".png")
        name = f"{found.path.name}, {found.adapter}" if found.adapter else found.path.name
        draw_timeline(name, found.timeline, found.events, found.thumbnail, path)
        print(path, flush=True)


def table_rows(found: Prediction) -> list[tuple[str, ...]]:
    """A clip's best classes in one row; of a longer recording, a row for each event."""
    name = shown(found.path)
    (best, value), *others = found.classes
    following = ", ".join(f"{n} {v:.1%}" for n, v in others)
    if len(found.timeline.windows) == 1 and found.timeline.thresholds is not None:
        reached = (found.timeline.probabilities[0] >= found.timeline.thresholds).any()
        none = "nothing but what is ignored" if reached else "no label"
        labels = ", ".join(e.name for e in found.events) or f"{none}; likeliest {best}"
        values = ", ".join(f"{e.probability:.1%}" for e in found.events) or f"{value:.1%}"
        return [(name, "", labels, values, "")]
    if len(found.timeline.windows) == 1:
        return [(name, "", best, f"{value:.1%}", following)]
    if not found.events:
        whole = f"{clock(0)} - {clock(found.timeline.seconds)}"
        return [(name, whole, f"no event; on average {best}", f"{value:.1%}", following)]
    return [
        (name, f"{clock(e.start)} - {clock(e.end)}", e.name, f"{e.probability:.1%}", "") for e in found.events
    ]


def _table(rows: Sequence[tuple[str, ...]]) -> Table:
    """A table of such rows, without the columns that are empty."""
    table = Table()
    headings = ("clip", "adapter", "time", "class", "probability", "next")
    used = [number for number in range(len(headings)) if any(row[number] for row in rows)]
    for number in used:
        table.add_column(headings[number], overflow="fold")  # a long name is broken, never cut
    for row in rows:
        table.add_row(*(row[number] for number in used))
    return table


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Rows as csv."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _csv_heading(where: Destination) -> str:
    path, *others = COLUMNS
    return csv_text([[path, *(["adapter"] if where.adapters > 1 else []), *others]])


def csv_rows(found: Prediction, top_k: int) -> str:
    """An event a row, in the order of `COLUMNS`; a clip of one window is one event."""
    whose = [shown(found.path), *([found.adapter] if found.adapter else [])]
    return csv_text(
        [*whose, f"{e.start:.3f}", f"{e.end:.3f}", e.name, f"{e.probability:.6f}", f"{e.peak:.6f}", e.windows]
        for e in found.events
    )


def json_line(found: Prediction, top_k: int) -> str:
    """A recording a line: the best classes, of each window too, and the events."""
    windows = [
        {
            "start": round(start, 3),
            "end": round(end, 3),
            "classes": _plain(found.timeline.best(top_k, number)),
        }
        for number, (start, end) in enumerate(found.timeline.windows.tolist())
    ]
    events = [
        {"class": e.name, "start": round(e.start, 3), "end": round(e.end, 3)}
        | {"probability": round(e.probability, 6), "peak": round(e.peak, 6), "windows": e.windows}
        for e in found.events
    ]
    whole = {
        "clip": shown(found.path),
        **({"adapter": found.adapter} if found.adapter else {}),
        "classes": _plain(found.classes),
        "seconds": round(found.timeline.seconds, 3),
        "events": events,
        "windows": windows,
    }
    return json.dumps(whole, ensure_ascii=False) + "\n"


def audacity_labels(found: Prediction, top_k: int) -> str:
    """Start, end and class of each event, as Audacity's File > Import > Labels reads them."""
    whose = f"{found.adapter}: " if found.adapter else ""
    return "".join(f"{e.start:.6f}\t{e.end:.6f}\t{whose}{e.name}\n" for e in found.events)


TEXTS = {"csv": csv_rows, "jsonl": json_line, "audacity": audacity_labels}


def _plain(classes: Classes) -> list[dict[str, Any]]:
    return [{"class": name, "probability": round(value, 6)} for name, value in classes]
