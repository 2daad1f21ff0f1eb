"""Many adapters on one loaded backbone: what each adds in memory, what loading and swapping takes, and a
mixed batch beside separate passes.

python -m benchmarks.many_adapters

The full-size model with random weights at 500 frames, and adapter folders of the paper's Conformer adapters.
The clips belong to the adapters in turn; separate passes, one for each adapter, the mixed batch, and a batch
of one adapter alone take turns. Everything is counted by the clock and in processor time (of all threads),
which other programs on the machine lengthen less.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.common import CLASSES, FRAMES, in_new_process, keep, spread, table


def prepare(folder: Path, adapters: int, layers: int) -> None:
    """A backbone in the hub's format, and adapter folders whose weights differ."""
    import torch
    from transformers import ASTConfig

    from petl_ast import build_model
    from petl_ast.models.backbone import save_random_backbone

    save_random_backbone(folder / "backbone", ASTConfig(num_hidden_layers=layers, max_length=1024), seed=10)
    model = build_model(folder / "backbone", CLASSES, FRAMES)
    for number in range(adapters):
        with torch.no_grad():
            for parameter in model.trainable_parameters():
                parameter += 0.01 * torch.randn_like(parameter)
        model.save_adapter(folder / f"adapter_{number}")


def both(function: Callable[..., object], *arguments: Any) -> tuple[float, float]:
    """Seconds of a call by the clock, and of processor time."""
    start, worked = time.perf_counter(), time.process_time()
    function(*arguments)
    return time.perf_counter() - start, time.process_time() - worked


def resident() -> int:
    """Bytes of this process that are in memory."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def measure(folder: Path, clips: int, rounds: int) -> dict[str, Any]:
    """In this process: memory in bytes, times in seconds."""
    import torch

    from petl_ast import load_adapter
    from petl_ast.models.backbone import load_backbone

    folders = sorted(folder.glob("adapter_*"))
    load_adapter(folders[0])  # the libraries' first use is not counted
    calls = {"`load_adapter` from disk": [both(load_adapter, folders[0])]}
    backbone = load_backbone(folder / "backbone")
    onto = [both(load_adapter, folders[0], backbone) for _ in range(6)]
    calls |= {"... onto a backbone in memory, first": onto[:1], "... and again": onto[1:]}
    model = load_adapter(folders[0], backbone)
    before = resident()
    calls["`add_adapter`"] = [both(model.add_adapter, path.name, path) for path in folders[1:]]
    grown = (resident() - before) / len(folders[1:])
    names = model.adapters
    models = [model.get_adapter(name) for name in names]
    frozen = {p.data_ptr() for p in models[0].parameters()}
    own = sum(t.nbytes for t in models[1].state_dict().values() if t.data_ptr() not in frozen)
    calls["`set_adapter`"] = [both(model.set_adapter, name) for _ in range(10) for name in names]

    x = torch.randn(clips, FRAMES, model.backbone.config.num_mel_bins)
    chosen = [names[clip % len(names)] for clip in range(clips)]

    def separate() -> dict[int, torch.Tensor]:
        logits: dict[int, torch.Tensor] = {}
        for name in dict.fromkeys(chosen):
            model.set_adapter(name)
            rows = [row for row, other in enumerate(chosen) if other == name]
            logits.update(zip(rows, model(x[rows]), strict=True))
        return logits

    found: dict[str, Any] = {}
    contenders = {
        "separate passes": lambda: found.update(separate=separate()),
        "mixed batch": lambda: found.update(mixed=model(x, adapters=chosen)),
        "one adapter's batch": lambda: model(x),
    }
    passes: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    with torch.inference_mode():
        model(x[:1])  # not counted
        for _ in range(rounds):
            for name, contender in contenders.items():
                passes[name].append(both(contender))
    pairs = zip(found["mixed"], (found["separate"][row] for row in range(clips)), strict=True)
    difference = max(float((mixed - alone).abs().max()) for mixed, alone in pairs)
    return {
        "backbone_bytes": sum(p.nbytes for p in backbone.parameters()),
        "file_bytes": (folders[0] / "adapter_model.safetensors").stat().st_size,
        "tensor_bytes_per_adapter": own,
        "resident_bytes_per_adapter": grown,
        "calls": _spreads(calls),
        "passes": _spreads(passes),
        "largest_difference": difference,
    }


def main() -> None:
    """Measure in a new process, print the tables, keep the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--adapters", type=int, default=10)
    parser.add_argument("--clips", type=int, default=20, help="Of a mixed batch.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--measure", metavar="FOLDER", help="One process.")
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(Path(options.measure), options.clips, options.rounds)))
        return
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), options.adapters, options.layers)
        words = ["--clips", str(options.clips), "--rounds", str(options.rounds)]
        found = in_new_process("benchmarks.many_adapters", "--measure", folder, *words)
    sizes = ("backbone", "file", "tensor", "resident")
    cells = [f"{found[key] / 1e6:.2f}" for name in sizes for key in found if key.startswith(f"{name}_bytes")]
    table(["MB: backbone", "an adapter's file", "its own tensors", "growth of the process"], [cells])
    print()
    for head, unit, figures in (("", 1e-3, found["calls"]), (f"{options.clips} clips", 1, found["passes"])):
        rows = [[name, *(_shown(clock, unit) for clock in clocks)] for name, clocks in figures.items()]
        table(
            [head, *(f"{'ms' if unit < 1 else 's'} {of}" for of in ("by the clock", "of processor time"))],
            rows,
        )
        print()
    print(f"Largest difference of a logit: {found['largest_difference']:.1e}")
    keep("many_adapters", {**vars(options), **found})


def _spreads(taken: dict[str, list[tuple[float, float]]]) -> dict[str, list[dict[str, float]]]:
    """By the clock, and in processor time."""
    return {name: [spread(clock) for clock in zip(*pairs, strict=True)] for name, pairs in taken.items()}


def _shown(clock: dict[str, float], unit: float) -> str:
    median, least, most = (f"{clock[key] / unit:.3g}" for key in ("median", "min", "max"))
    return median if least == most else f"{median} ({least} to {most})"


if __name__ == "__main__":
    main()
