"""petl-ast synthetic: the demo's clips and a random backbone."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from ..imports import quick_imports
from .verb import Verb


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("folder", type=str, help="Where the data set goes; made if missing.")
    parser.add_argument("--clips_per_class", type=int, default=30, help="Clips of each of the ten classes.")
    parser.add_argument("--seed", type=int, default=10, help="Same seed: the same files, to the byte.")


def _run(options: Namespace) -> int:
    """Make a data set of ten procedural sound classes in ESC-50's layout, and a tiny random AST beside it.

    petl-ast synthetic data/synthetic
    """
    with quick_imports():
        from ..utils.demo import make_demo_data

    for path in make_demo_data(Path(options.folder), options.clips_per_class, options.seed):
        print(path)
    return 0


VERB = Verb(_add_options, _run, "FOLDER ")
