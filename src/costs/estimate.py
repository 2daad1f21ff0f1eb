"""`petl-ast params --cost`: what methods cost and how long a run would take, as tables and plain values."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from rich.table import Column, Table

from ..config import RunConfig
from .cost import Cost, Work, cost_of, work_of
from .machines import ATTAINABLE, HERE, Machine, cards, measure
from .parameters import models


@dataclass(frozen=True)
class Estimate:
    """Costs by method, the clips of a run, and the machines it could run on."""

    costs: dict[str, Cost]
    work: Work
    machines: list[Machine]

    @property
    def assumptions(self) -> str:
        """What a reader must know to judge the figures."""
        work = self.work
        return (
            f"A run: {work.source}. That is {work.training:,} clips in training and {work.evaluation:,} in "
            f"validation and test.\n{HERE.capitalize()} was measured just now, other work and all.\n"
            f"Of the cards' published peak rates {ATTAINABLE:.0%} are assumed to be attainable."
        )


def estimate(config: RunConfig, num_classes: int, all_methods: bool = False) -> Estimate:
    """Count costs, read the csv of the data set, if there is one, and measure this machine for some seconds.

    Args:
        config: Of the run.
        num_classes: Outputs of the head.
        all_methods: Every registered method with its default options.

    Raises:
        UserError: if the backbone's configuration or the data set's csv cannot be used, an option does not
            fit, or this machine lacks the device that the configuration asks for.
    """
    work = work_of(config)
    costs: dict[str, Cost] = {}
    here: list[Machine] = []
    for name, model in models(config, num_classes, all_methods):
        here = here or measure(model.backbone.config, config.train.device)
        costs[name] = cost_of(model, config, work.long_clips)
    return Estimate(costs, work, [*here, *cards()])


def plain(found: Estimate) -> dict[str, Any]:
    """Everything as JSON has it: operations and seconds a clip, bytes, seconds of a run."""
    return {
        "run": dataclasses.asdict(found.work),
        "attainable": ATTAINABLE,
        "machines": [dataclasses.asdict(machine) for machine in found.machines],
        "methods": {name: _plain_cost(cost, found) for name, cost in found.costs.items()},
    }


def _plain_cost(cost: Cost, found: Estimate) -> dict[str, Any]:
    parts = {"training": cost.training, "evaluation": cost.evaluation, "features": cost.features}
    return {
        "flops_per_clip": {name: part.flops for name, part in parts.items() if part},
        "bytes": {
            "parameters": cost.parameters,
            "adapter": cost.adapter,
            "optimizer": cost.optimizer,
            "activations_per_clip": cost.training.kept // cost.training.clips,
            "memory": cost.memory,
        },
        "seconds": [
            {
                "machine": machine.name,
                "precision": machine.precision,
                "run": cost.seconds(found.work, machine),
            }
            | {f"{name}_per_clip": part.seconds(machine) for name, part in parts.items() if part}
            for machine in found.machines
        ],
    }


def tables(found: Estimate, title: str) -> list[Table]:
    """Costs by method; the time of a run, of one method in every precision, of several in the fastest."""
    one = len(found.costs) == 1
    times = _times_of_one(found, *found.costs.values()) if one else _times_of_many(found)
    return [_costs(found, title), times]


def _costs(found: Estimate, title: str) -> Table:
    """A row per method."""
    once = any(cost.features for cost in found.costs.values())
    table = Table(Column("method", no_wrap=True), title=title)
    headings = ["training,\nGFLOP a clip", "evaluation,\nGFLOP a clip", "features once,\nGFLOP a clip"]
    headings = headings if once else headings[:2]
    headings += [
        "weights,\nMB",
        "adapter,\nMB",
        "AdamW's\nstate, MB",
        "activations,\nMB a clip",
        "memory,\nGB",
    ]
    for heading in headings:
        table.add_column(heading, justify="right")
    for name, cost in found.costs.items():
        parts = [cost.training, cost.evaluation, *([cost.features] if once else [])]
        operations = [_figure(part.flops / 1e9) if part else "" for part in parts]
        kept = cost.training.kept / cost.training.clips
        sizes = [
            cost.parameters / 1e6,
            cost.adapter / 1e6,
            cost.optimizer / 1e6,
            kept / 1e6,
            cost.memory / 1e9,
        ]
        table.add_row(name, *operations, *map(_figure, sizes))
    return table


def _times_of_one(found: Estimate, cost: Cost) -> Table:
    """A row per machine and precision: its rates, and what follows from them."""
    table = Table("machine", "precision", title="Predicted time")
    for heading in (
        *("products,\nTFLOP/s", "attention,\nTFLOP/s", "bandwidth,\nGB/s"),
        *("training,\nms a clip", "evaluation,\nms a clip"),
    ):
        table.add_column(heading, justify="right")
    table.add_column("a run", justify="right", style="bold")
    for machine in found.machines:
        table.add_row(
            machine.name,
            machine.precision,
            *(_figure(rate / 1e12) for rate in (machine.products, machine.attention)),
            _figure(machine.bandwidth / 1e9),
            *(_figure(1e3 * part.seconds(machine)) for part in (cost.training, cost.evaluation)),
            duration(cost.seconds(found.work, machine)),
        )
    return table


def _times_of_many(found: Estimate) -> Table:
    """A row per method, a column per machine, each in the precision that is fastest there."""
    table = Table("method", title="Predicted time of a run, each machine in its fastest precision")
    names = list(dict.fromkeys(machine.name for machine in found.machines))
    for name in names:
        table.add_column(name, justify="right")
    for method, cost in found.costs.items():
        fastest = (
            min(cost.seconds(found.work, machine) for machine in found.machines if machine.name == name)
            for name in names
        )
        table.add_row(method, *map(duration, fastest))
    return table


def _figure(value: float) -> str:
    """Three digits that count, and no exponent."""
    whole = math.floor(math.log10(value)) if value else 0
    return f"{value:,.{min(max(0, 2 - whole), 6)}f}"


def duration(seconds: float) -> str:
    """In the unit that a person would choose."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
