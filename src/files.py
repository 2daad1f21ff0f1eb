"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import csv
import errno
import io
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

MOST_JSON_BYTES, MOST_JSON_DEPTH = 2**24, 50


@contextmanager
def clear_write_errors(target: Path) -> Iterator[None]:
    """Turn an operating system's refusal to write `target` (permission, full disk, a file in the way) into a
    UserError.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        remedy = "Choose another folder, or mend its permissions or free space."
        if isinstance(error, FileExistsError | NotADirectoryError):
            remedy = "A file is where a folder is meant: choose another folder, or move that file."
        raise UserError(f"Cannot write {target}: {reason}. {remedy}") from error


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a temporary file beside `path`, flush it to disk, then rename it into place.

    Raises:
        UserError: if the operating system refuses; `path` is then as it was before.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp{path.suffix}")
    with clear_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(temporary)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.chmod(0o666 & ~_umask())  # some libraries write for the owner alone
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Have a rename outlive a loss of power, where the system and the file system can."""
    with suppress(OSError):  # Windows opens no folders; some network file systems flush none
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_litter(folder: Path) -> None:
    """Remove the temporary files that killed processes left below `folder`; nobody may be writing there."""
    with clear_write_errors(folder):
        for path in folder.rglob(".*.tmp*"):
            if re.fullmatch(r"\..+\.\d+\.tmp(\.\w+)?", path.name):  # see write_whole
                path.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, busy: str | None = None, on_wait: Callable[[], None] | None = None) -> Iterator[bool]:
    """Hold the lock file `path`; the operating system lets it go when its owner ends, however it ends.

    Yields whether it is held: on a file system without locks it is not, and nobody is kept out.

    Args:
        path: Made, with its folder, and removed afterwards.
        busy: What to say if another process holds it; if not given, wait for that.
        on_wait: Called before waiting.

    Raises:
        UserError: with the message `busy`, or if the file cannot be written.
    """
    from filelock import FileLock, Timeout  # only where something is locked

    lock = FileLock(path, fallback_to_soft=False)
    with clear_write_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            try:
                lock.acquire(blocking=False)
            except Timeout as error:
                if busy is not None:
                    raise UserError(busy) from error
                if on_wait:
                    on_wait()
                lock.acquire()
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
                raise
    try:
        yield lock.is_locked
    finally:
        with suppress(OSError):  # Windows removes no open file; who waits for a removed one makes another
            os.unlink(path)
        lock.release()


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file whole; its tensors are contiguous and on the CPU."""
    from safetensors import SafetensorError  # both need torch
    from safetensors.torch import save_file

    def write(temporary: Path) -> None:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:  # how it says that the operating system refused
            raise OSError(str(error)) from error

    write_whole(path, write)


def _umask() -> int:
    mask = os.umask(0)  # it can only be read by setting it
    os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text whole; line ends stay as they are in `text`."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes whole."""
    write_whole(path, lambda temporary: temporary.write_bytes(content))


def write_json(path: Path, value: Any) -> None:
    """Write JSON that a person can read."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """JSON that a person can read.

    Raises:
        TypeError: for what JSON has no form for.
        ValueError: for NaN and infinity, which are no JSON.
    """
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows that share their keys, the header first."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read a table that `write_csv` wrote.

    Raises:
        UserError: if it is missing or is no csv.
    """
    try:
        return list(csv.DictReader(io.StringIO(_read(path), newline="")))
    except csv.Error as error:
        raise UserError(f"{path} is not a readable csv: {error}") from error


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: if it is missing, too large or nested too deeply for what this package writes, or not JSON.
    """
    try:
        if (size := path.stat().st_size) > MOST_JSON_BYTES:
            raise ValueError(f"it has {size:,} bytes, more than {MOST_JSON_BYTES:,}")
        value = json.loads(_read(path), parse_constant=_finite, parse_float=_finite)
        level = [value]
        for _ in range(MOST_JSON_DEPTH):
            level = [inner for outer in level for inner in _parts(outer)]
        if level:
            raise ValueError(f"it is nested more than {MOST_JSON_DEPTH} levels deep")
        return value
    except RecursionError as error:
        raise UserError(f"{path} is not valid JSON (it is nested too deeply). Was it edited?") from error
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}.") from error
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}). Was it edited or cut short?") from error


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text[:30]} is no number of JSON, or too large for one")
    return value


def _parts(value: object) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode()  # not as text, which would change line ends inside cells
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read {path}: {getattr(error, 'strerror', None) or error}.") from error


def list_some(items: Iterable[object], most: int = 10) -> str:
    """The first items, one an indented line, and how many more there are: for messages."""
    lines = [f"  {item}" for item in items]
    more = [f"  ... and {len(lines) - most} more"] if len(lines) > most else []
    return "\n".join(lines[:most] + more)
