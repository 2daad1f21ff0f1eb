"""Text from strangers: what may be printed or written as it is, and how to show what may not."""

from __future__ import annotations

import re

# Control characters move the cursor, rename the window, or end a line early; a lone surrogate, as in a file
# name that is no UTF-8, cannot be written at all.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def is_plain(text: str) -> bool:
    """Whether `text` is one line that any terminal and any file can take."""
    return not _UNSAFE.search(text)


def shown(value: object) -> str:
    """`value` as one plain line: whatever is not plain is written as an escape."""
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode(), str(value))


def plural(number: int, noun: str) -> str:
    """1 clip, 2 clips."""
    return f"{number} {noun}{'s' * (number != 1)}"
