"""How many parameters a method trains, for one configuration or for all methods side by side."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from ..config import RunConfig
from ..models.ast_with_adapter import ASTWithAdapter
from ..models.backbone import random_backbone
from ..models.build import build_model
from ..models.method import method_names

Counts = dict[str, dict[str, int]]


def models(
    config: RunConfig, num_classes: int, all_methods: bool = False
) -> Iterator[tuple[str, ASTWithAdapter]]:
    """Methods and the models they make, one after the other, with random weights; none are loaded.

    Args:
        config: Backbone, length and, unless all methods are asked for, method and options.
        num_classes: Outputs of the head.
        all_methods: Every registered method with its default options.

    Raises:
        UserError: if the backbone's configuration cannot be read or an option does not fit it.
    """
    model = config.model
    methods = {name: {} for name in method_names()} if all_methods else {model.method: model.method_options}
    for name, options in methods.items():
        yield (
            name,
            build_model(
                random_backbone(model.backbone),
                num_classes,
                config.spectrogram.max_length,
                name,
                options,
                model.position_embeddings,
                model.pooling,
            ),
        )


def count_parameters(config: RunConfig, num_classes: int, all_methods: bool = False) -> Counts:
    """Parameters by method and group, of `models`.

    Raises:
        UserError: as `models`.
    """
    return {name: model.parameter_counts() for name, model in models(config, num_classes, all_methods)}


def parameter_table(counts: Counts, title: str) -> Table:
    """A row per method, a column per group, and the trained share of the whole model."""
    table = Table("method", title=title)
    groups = list(next(iter(counts.values())))
    for heading in (*groups, "trained"):
        table.add_column(heading, justify="right")
    for name, count in counts.items():
        share = f"{count['trainable'] / count['total']:.2%}"
        table.add_row(name, *(f"{count[group]:,}" for group in groups), share)
    return table
