"""An operating system that refuses one write: a full disk, a failing one, a folder that became read-only."""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Callable
from typing import Any

WRITES = "wax+"
REFUSED = "REFUSED"  # what is printed when it happens


def refuse(which: int, error: int) -> None:
    """Let the write of that number in this process, counted from 1, fail with that errno, and none after it.

    Counted are opening a file to write, flushing one to disk, renaming, deleting, and making a folder.
    """
    seen = 0

    def counted(what: str, call: Callable[..., Any], is_write: Callable[..., bool]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **more: Any) -> Any:
            nonlocal seen
            if is_write(*arguments, **more):
                seen += 1
                if seen == which:
                    print(f"{REFUSED} {which}: {what} {arguments[:1]} {errno.errorcode[error]}", flush=True)
                    raise OSError(error, os.strerror(error), str(arguments[0]))
            return call(*arguments, **more)

        return wrapped

    def always(*arguments: Any, **more: Any) -> bool:
        return True

    def opens_to_write(file: Any, mode: str = "r", *rest: Any, **more: Any) -> bool:
        return bool(set(mode) & set(WRITES)) and "/dev/" not in str(file)

    builtins.open = io.open = counted("open", open, opens_to_write)
    for name in ("fsync", "replace", "rename", "unlink", "mkdir"):
        setattr(os, name, counted(name, getattr(os, name), always))
