"""The forms in which predictions are written. Alone in this file, for the command's options need no torch."""

from __future__ import annotations

from typing import Literal

Format = Literal["table", "csv", "jsonl", "audacity"]
ENDINGS = {"csv": ".csv", "jsonl": ".jsonl", "audacity": ".txt"}  # of files; a table goes to the screen alone
