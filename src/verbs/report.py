"""petl-ast report: pictures and the LaTeX report of a run."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from ..imports import quick_imports
from .verb import Verb


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("run", type=str, help="Folder of a run, such as outputs/demo.")
    parser.add_argument(
        "--output", type=str, default="docs/report/generated", help="Where the LaTeX report looks."
    )


def _run(options: Namespace) -> int:
    """Draw a run's pictures anew and fill the LaTeX report's tables and figures.

    petl-ast report outputs/demo
    """
    with quick_imports():
        from ..utils.report import write_report

    for path in write_report(Path(options.run), Path(options.output)):
        print(path)
    return 0


VERB = Verb(_add_options, _run, "RUN ")
