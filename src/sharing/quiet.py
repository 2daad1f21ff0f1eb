"""Keep libraries' remarks on their own dealings from the user's screen, for as long as they work."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet(name: str = "") -> Iterator[None]:
    """Let a logger tell errors alone; afterwards it is as it was.

    Args:
        name: Of the logger; empty for the root's, which gets a handler when somebody calls `logging.warning`.
    """
    logger = logging.getLogger(name)
    level, handlers = logger.level, list(logger.handlers)
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.handlers[:] = handlers
