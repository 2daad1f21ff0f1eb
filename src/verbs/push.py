"""petl-ast push: an adapter onto the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from ..imports import quick_imports
from .verb import Verb


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("adapter", type=str, help="Adapter folder, such as outputs/demo/fold_1/last.")
    parser.add_argument("repository", type=str, help="Where to, USER/NAME; made if there is none.")
    parser.add_argument(
        "--private", type=bool | None, default=None, help="Whether a new repository is private."
    )
    parser.add_argument(
        "--licence", type=str | None, default=None, help="Such as apache-2.0; null: as the card has it."
    )
    parser.add_argument(
        "--overwrite", type=bool, default=False, help="Replace a README.md there that is another."
    )


def _run(options: Namespace) -> int:
    """Share an adapter on the Hugging Face hub, with its card; others then use it by its id.

    petl-ast push outputs/demo/fold_1/last USER/NAME --private true --licence apache-2.0
    petl-ast predict USER/NAME recording.wav
    Needs a token that may write: `hf auth login`, or HF_TOKEN. Paths of this machine stay here.
    """
    with quick_imports():
        from ..sharing.push import push

    pushed = push(
        Path(options.adapter), options.repository, options.private, options.licence, options.overwrite
    )
    print(pushed.address)
    for note in pushed.notes:
        print(note)
    return 0


VERB = Verb(_add_options, _run, "ADAPTER USER/NAME ")
