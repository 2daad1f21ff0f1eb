"""The rows of a csv from anybody: UTF-8 with commas, its header checked, of bounded length."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ..errors import UserError
from ..text import shown

MOST_ROWS = 1_000_000
MOST_DIGITS = 9  # of a fold or a target


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows that are not empty, each with the number of its last line.

    Args:
        path: The csv.
        columns: Those that it must have, once each. There may be others.

    Raises:
        UserError: if it is no UTF-8 csv, or a column is missing or there twice.
    """
    rows = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            reader.fieldnames = [text(name) for name in reader.fieldnames or []]
            _check_header(path, list(reader.fieldnames), columns)
            for row in reader:
                values = {name: text(value) for name, value in row.items() if isinstance(name, str)}
                if any(values.values()):
                    rows += 1
                    if rows > MOST_ROWS:
                        raise UserError(f"{path} lists more than {MOST_ROWS:,} clips.")
                    yield reader.line_num, values
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        remedy = "" if isinstance(error, OSError) else ". Save it as a csv with UTF-8 from the spreadsheet."
        raise UserError(f"{path} cannot be read as a UTF-8 csv: {error}{remedy}") from error


def read_header(path: Path) -> list[str]:
    """The names of a csv's columns, or none if it cannot be read."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [text(name) for name in next(csv.reader(file), [])]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _check_header(path: Path, header: list[str], columns: Sequence[str]) -> None:
    if missing := [column for column in columns if column not in header]:
        hint = " Save it with commas, not semicolons." if any(";" in column for column in header) else ""
        there = shown(", ".join(header))[:300] or "none"
        raise UserError(f"{path} has no column {', '.join(missing)}; its columns are: {there}.{hint}")
    if twice := [column for column in columns if header.count(column) > 1]:
        raise UserError(f"{path} has the column {', '.join(twice)} more than once.")


def text(value: object) -> str:
    """A csv cell without the space around it; a missing one is empty."""
    return value.strip() if isinstance(value, str) else ""


def number_fault(values: Mapping[str, str], columns: Iterable[str]) -> str:
    """What is wrong with the first of these cells that is no whole number, or a huge one; empty if none."""
    for column in columns:
        if not values[column].isdecimal() or len(values[column]) > MOST_DIGITS:
            given = short(values[column])
            return f"{column} is {given}, not a whole number of at most {MOST_DIGITS} digits."
    return ""


def short(value: str) -> str:
    """A cell as a message quotes it."""
    return repr(value if len(value) <= 100 else f"{value[:100]}...")
