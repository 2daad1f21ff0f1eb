"""petl-ast params: what a configuration trains and costs."""

from __future__ import annotations

import json

from jsonargparse import ArgumentParser, Namespace

from ..imports import quick_imports
from .verb import Verb, add_run_options, run_config


def _add_options(parser: ArgumentParser) -> None:
    add_run_options(parser)
    parser.add_argument(
        "--all_methods", type=bool, default=False, help="Every method with its default options."
    )
    parser.add_argument(
        "--cost", type=bool, default=False, help="Operations, memory and predicted time of a run instead."
    )
    parser.add_argument("--num_classes", type=int, default=50, help="Classes that the head tells apart.")
    parser.add_argument("--json", type=bool, default=False, help="Print JSON instead of a table.")


def _run(options: Namespace) -> int:
    """Count what a configuration trains: the method, LayerNorms, the head, and the whole model.

    petl-ast params --config configs/esc50_conformer.yaml
    petl-ast params --all_methods
    petl-ast params --cost              what a step costs, how long a run takes here and on some GPUs
    Weights are not needed and not loaded.
    """
    with quick_imports():
        from ..costs.estimate import estimate, plain, tables
        from ..costs.parameters import count_parameters, parameter_table
        from ..utils import console as screen

    num_classes, as_json, every, cost = (
        options.pop(name) for name in ("num_classes", "json", "all_methods", "cost")
    )
    config, console = run_config(options), screen.output()
    title = f"{config.model.backbone}, {num_classes} classes"
    if cost:
        found = estimate(config, num_classes, every)
        if as_json:
            print(json.dumps(plain(found)))
        else:
            console.print(*tables(found, f"{title}, {config.spectrogram.max_length} frames"), sep="\n")
            console.print(found.assumptions)
        return 0
    counts = count_parameters(config, num_classes, every)
    if as_json:
        print(json.dumps(counts if every else counts[config.model.method]))
    else:
        console.print(parameter_table(counts, title))
    return 0


VERB = Verb(_add_options, _run)
