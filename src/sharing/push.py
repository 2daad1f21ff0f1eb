"""An adapter folder onto the Hugging Face hub: its two files, its card and its picture, and nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

from ..adapter_folder import CARD, CONFIG, FORMAT, PICTURE, WEIGHTS, read_adapter, read_weights
from ..errors import UserError
from ..files import json_text
from ..hub import LOG_IN, clear_errors, is_hub_id
from ..utils.card import card_text
from ..utils.card_metadata import UNKNOWN, is_local, last_name

HEADER = re.compile(r"\A---\r?\n(.*?)\r?\n---(?=\r?\n|\Z)", re.DOTALL)


@dataclass(frozen=True)
class Pushed:
    """Where an adapter is now, and what whoever takes it from there has to know."""

    address: str
    notes: list[str]


def push(folder: Path, repository: str, private: bool | None = None, licence: str | None = None) -> Pushed:
    """Upload an adapter as one commit; the repository is made if there is none.

    Absolute paths in adapter_config.json (where the data and a local backbone were) lose all but their last
    name on the way: they are nobody else's business, and lead nowhere elsewhere.

    Args:
        folder: The adapter folder; it stays as it is.
        repository: USER/NAME.
        private: Whether a new repository is private; None: as the account's default says.
        licence: The hub's name of the licence, such as apache-2.0; None: what the card says, which is
            "unknown" if nobody said anything else.

    Raises:
        UserError: if the folder is no sound adapter, the id is none, nobody is logged in, or the hub refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, get_token
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if not is_hub_id(repository):
        raise UserError(f"{repository!r:.200} is no id of a repository on the hub; it must be USER/NAME.")
    if licence is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", licence):
        raise UserError(
            f"--licence is {licence!r:.100}; it must be one of the hub's names, such as apache-2.0 or "
            "cc-by-4.0 (https://huggingface.co/docs/hub/repositories-licenses)."
        )
    _, config = read_adapter(folder)
    read_weights(folder)  # all of it, so that nothing damaged is handed on
    card = _with_licence(_card(folder), licence)
    if get_token() is None:
        raise UserError(f"Nobody is logged in on the hub. {LOG_IN}")
    contents: dict[str, bytes | str] = {
        CONFIG: json_text({"format": FORMAT, **_without_places(config)}).encode(),
        CARD: card.encode(),
        WEIGHTS: str(folder / WEIGHTS),
    }
    if (folder / PICTURE).is_file():
        contents[PICTURE] = str(folder / PICTURE)
    disable_progress_bars()
    with clear_errors(repository):
        api = HfApi(library_name="petl-ast")
        address = api.create_repo(repository, private=private, exist_ok=True)
        additions = [CommitOperationAdd(name, content) for name, content in contents.items()]
        api.create_commit(repository, additions, commit_message="An adapter of petl-ast")
    notes = []
    if is_local(config["model"].get("backbone")):
        notes.append("Its backbone is a local one: whoever uses it needs that too, for --backbone.")
    header = HEADER.match(card)
    if header and re.search(rf"^license: {UNKNOWN}$", header[1], re.MULTILINE):
        notes.append("Its licence is unknown, so nobody may use it yet: give one with --licence.")
    return Pushed(str(address), notes)


def _card(folder: Path) -> str:
    try:
        return (folder / CARD).read_bytes().decode() if (folder / CARD).is_file() else card_text(folder)
    except UnicodeDecodeError as error:
        raise UserError(f"{folder / CARD} is no UTF-8 text. Mend it, or remove it for a new one.") from error


def _with_licence(card: str, licence: str | None) -> str:
    """The card with another licence in its header, where one is given; all else as it is."""
    if licence is None:
        return card
    header = HEADER.match(card)
    lines = header[1].splitlines() if header else []
    others = [line for line in lines if not re.match(r"license\s*:", line)]
    body = card[header.end() :] if header else f"\n\n{card}"
    return "\n".join(["---", f"license: {licence}", *others, "---"]) + body


def _without_places(value: Any) -> Any:
    """Plain values with the last name of every absolute path in its place."""
    if isinstance(value, dict):
        return {name: _without_places(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_without_places(part) for part in value]
    absolute = isinstance(value, str) and (value.startswith(("/", "~")) or PureWindowsPath(value).drive)
    return last_name(value) if absolute else value
