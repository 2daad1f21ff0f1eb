"""petl-ast import-reference: a state dict of the paper's code as an adapter folder."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from ..imports import quick_imports
from .verb import Verb, add_run_options, run_config


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("file", type=str, help="State dict that the reference code saved with torch.save.")
    parser.add_argument("adapter", type=str, help="Adapter folder to write.")
    parser.add_argument(
        "--labels", type=list[str] | None, default=None, help="Class names in the head's order."
    )
    add_run_options(parser)


def _run(options: Namespace) -> int:
    """Turn a state dict of the paper's reference code into an adapter folder.

    petl-ast import-reference best_params.pth outputs/imported --config configs/esc50_conformer.yaml
    The file is read without running any code from it. Its tensors must fit the method, its options and the
    backbone of the configuration, to the last name.
    """
    with quick_imports():
        from ..utils.reference_import import import_reference

    file, adapter, labels = (options.pop(name) for name in ("file", "adapter", "labels"))
    import_reference(Path(file), Path(adapter), run_config(options), labels)
    print(adapter)
    return 0


VERB = Verb(_add_options, _run, "FILE ADAPTER ")
