"""The hub as a place where adapter folders lie: ids instead of folders, and errors one can act on.

Only the two files of an adapter are ever asked for, and neither runs code: safetensors and JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .adapter_folder import CONFIG, KEPT, WEIGHTS
from .errors import UserError
from .text import shown

_ID = re.compile(r"(?!.*(--|\.\.))[A-Za-z0-9_][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)
LOG_IN = "Log in with `hf auth login`, or set HF_TOKEN, with a token that may do this."


def is_hub_id(text: str) -> bool:
    """Whether `text` has the form USER/NAME."""
    return bool(_ID.fullmatch(text)) and not text.endswith((".git", ".", "-"))


def local_adapter(source: str | Path) -> Path:
    """The folder of an adapter: `source` itself, or where the hub's files are in this machine's cache.

    Args:
        source: A folder, or a hub id USER/NAME, with a revision if need be: USER/NAME@REVISION. A folder of
            that name comes first, and outputs/x is a folder's name alone wherever there is a folder outputs.

    Raises:
        UserError: if it is neither; if there is no such repository, revision, network or permission; or if
            the repository holds no adapter.
    """
    text, folder = source.as_posix() if isinstance(source, Path) else source, Path(source)
    repository, _, revision = text.partition("@")
    if folder.exists():
        return folder
    if not is_hub_id(repository):
        raise UserError(f"{shown(text)} is no adapter folder, nor an id on the hub, USER/NAME. {KEPT}")
    if folder.parent.is_dir():  # a slip in the rest of a path shall not wait for the network
        raise UserError(
            f"{shown(text)} is no adapter folder. It was not looked for on the hub, for there is a folder "
            f"{shown(folder.parent)} here; if the hub's is meant, work in another folder. {KEPT}"
        )
    from huggingface_hub import hf_hub_download

    with clear_errors(repository, f"{shown(text)} is no folder here, and"):
        config = Path(hf_hub_download(repository, CONFIG, revision=revision or None))
        # The weights of the very commit whose configuration this is: its folder is named after it.
        hf_hub_download(repository, WEIGHTS, revision=config.parent.name)
    return config.parent


@contextmanager
def clear_errors(repository: str, beginning: str = "The hub:") -> Iterator[None]:
    """Turn the hub's refusals and the network's into one message that says what to do.

    Args:
        repository: The id asked for.
        beginning: Of the message.
    """
    from huggingface_hub import constants, errors

    try:
        yield
    except errors.LocalEntryNotFoundError as error:
        if constants.is_offline_mode():
            why = f"HF_HUB_OFFLINE is set while {repository} is not in this machine's cache. Unset it once."
        else:
            why = f"{constants.ENDPOINT} does not answer while {repository} is not in this machine's cache."
        raise UserError(f"{beginning} {why}") from error
    except errors.EntryNotFoundError as error:
        raise UserError(
            f"{beginning} the repository {repository} holds no adapter of petl-ast ({CONFIG} and {WEIGHTS})."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UserError(f"{beginning} the repository {repository} has no such revision.") from error
    except errors.GatedRepoError as error:
        raise UserError(
            f"{beginning} the repository {repository} asks for its owner's permission: ask on "
            f"{constants.ENDPOINT}/{repository}. {LOG_IN}"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise UserError(
            f"{beginning} there is no repository {repository} on {constants.ENDPOINT}, or it is private. "
            f"{LOG_IN}"
        ) from error
    except Exception as error:  # of httpx in several versions, of the operating system, of xet
        status = getattr(getattr(error, "response", None), "status_code", None)
        reason = shown((str(error).strip() or type(error).__name__).splitlines()[0])[:300]
        remedy = LOG_IN if status in (401, 403) else f"Is {constants.ENDPOINT} reachable?"
        raise UserError(f"{beginning} {reason.rstrip('.')}. {remedy}") from error
