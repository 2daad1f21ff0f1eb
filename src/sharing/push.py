"""An adapter folder onto the Hugging Face hub: its two files, its card and its picture, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import yaml

from ..adapter_folder import CARD, CONFIG, FORMAT, PICTURE, WEIGHTS, read_adapter, read_weights
from ..errors import UserError
from ..files import json_text
from ..hub import LOG_IN, clear_errors, is_hub_id
from ..text import shown
from ..utils.card import card_text
from ..utils.card_metadata import UNKNOWN, is_local, last_name, section

if TYPE_CHECKING:
    from huggingface_hub import HfApi

LICENCE = ("license", "license_name", "license_link")  # what of a card's metadata says it


@dataclass(frozen=True)
class Pushed:
    """Where an adapter is now, and what whoever takes it from there has to know."""

    address: str
    notes: list[str]


def push(
    folder: Path,
    repository: str,
    private: bool | None = None,
    licence: str | None = None,
    overwrite: bool = False,
) -> Pushed:
    """Upload an adapter as one commit; the repository is made if there is none.

    In adapter_config.json the paths of the data and of a local backbone lose all but their last name on the
    way: they are nobody else's business, and lead nowhere elsewhere.

    Args:
        folder: The adapter folder; it stays as it is.
        repository: USER/NAME.
        private: Whether a new repository is private; None: as the account's default says.
        licence: The hub's name of the licence, such as apache-2.0; None: what the card says, which is
            "unknown" if nobody said anything else.
        overwrite: Replace the repository's card if it has another one.

    Raises:
        UserError: if the folder is no sound adapter, the id is none, nobody is logged in, or the hub refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, get_token

    if not is_hub_id(repository):
        raise UserError(f"{repository!r:.200} is no id of a repository on the hub; it must be USER/NAME.")
    if licence is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", licence):
        raise UserError(
            f"--licence is {licence!r:.100}; it must be one of the hub's names, such as apache-2.0 or "
            "cc-by-4.0 (https://huggingface.co/docs/hub/repositories-licenses)."
        )
    _, config = read_adapter(folder)
    read_weights(folder)  # all of it, so that nothing damaged is handed on
    card, licences = _card(folder, licence)
    if get_token() is None:
        raise UserError(f"Nobody is logged in on the hub. {LOG_IN}")
    contents: dict[str, bytes | str] = {
        CONFIG: json_text({"format": FORMAT, **_without_places(config, folder)}).encode(),
        CARD: card,
        WEIGHTS: str(folder / WEIGHTS),
    }
    if (folder / PICTURE).is_file():
        contents[PICTURE] = str(folder / PICTURE)
    notes = []
    with clear_errors(repository), _no_bars():
        api = HfApi(library_name="petl-ast")
        address = api.create_repo(repository, private=private, exist_ok=True)
        if not overwrite and _card_there(api, repository) not in (None, card):
            del contents[CARD]
            notes.append(
                f"The {CARD} there is another than this one and stays, its licence too; replace it with "
                "--overwrite."
            )
        additions = [CommitOperationAdd(name, content) for name, content in contents.items()]
        api.create_commit(repository, additions, commit_message="An adapter of petl-ast")
    if is_local(config["model"].get("backbone"), folder):
        notes.append("Its backbone is a local one: whoever uses it needs that too, for --backbone.")
    if CARD in contents and licences in (UNKNOWN, [UNKNOWN]):
        notes.append("Its licence is unknown, so nobody may use it yet: give one with --licence.")
    return Pushed(str(address), notes)


def _card(folder: Path, licence: str | None) -> tuple[bytes, object]:
    """The card, with another licence in its metadata where one is given and all else as it is; and what
    licence, or licences, it tells.
    """
    from huggingface_hub import metadata_load, metadata_save

    with TemporaryDirectory() as place:
        copy = Path(place) / CARD
        copy.write_bytes(
            (folder / CARD).read_bytes() if (folder / CARD).is_file() else card_text(folder).encode()
        )
        try:
            metadata = metadata_load(copy) or {}
        except (ValueError, yaml.YAMLError) as error:
            why = shown(str(error).splitlines()[0])
            raise UserError(
                f"{folder / CARD} does not begin with metadata that the hub can read ({why}). Mend it, or "
                "remove it for a new one."
            ) from error
        if licence is not None:
            others = {name: value for name, value in metadata.items() if name not in LICENCE}
            metadata_save(copy, {"license": licence, **others})
        return copy.read_bytes(), licence or metadata.get("license")


def _card_there(api: HfApi, repository: str) -> bytes | None:
    """The card that a repository on the hub has, if it has one."""
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        return Path(api.hf_hub_download(repository, CARD)).read_bytes()
    except LocalEntryNotFoundError:  # the hub did not answer
        raise
    except EntryNotFoundError:
        return None


@contextmanager
def _no_bars() -> Iterator[None]:
    """No progress bars of huggingface_hub, for now."""
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _without_places(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The configuration with the last names of the data's and of a local backbone's place alone."""
    data, model = section(config, "data"), config["model"]
    told = dict(config)
    if isinstance(root := data.get("root"), str):
        told["data"] = {**data, "root": last_name(root) or "data"}
    if isinstance(backbone := model.get("backbone"), str) and is_local(backbone, folder):
        told["model"] = {**model, "backbone": last_name(backbone) or "backbone"}
    return told
