"""Importing torch and transformers without stopping a thousand times to look for garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_imports() -> Iterator[None]:
    """Hold the garbage collector back while a command imports what it needs.

    That makes 400,000 objects, which stay until the process ends, and the collector would go through them a
    thousand times in vain: a sixth of the time (docs/benchmarks.md). Afterwards it works as before, but
    leaves alone what was there by then; else its first round would go through all of it after all.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
