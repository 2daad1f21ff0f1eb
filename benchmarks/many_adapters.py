"""Many adapters on one loaded backbone: what each adds in memory, what loading and swapping takes, and a
mixed batch beside separate passes.

python -m benchmarks.many_adapters

The full-size model with random weights at 500 frames, and adapter folders of the paper's Conformer adapters.
The clips belong to the adapters in turn; separate passes, one for each adapter, the mixed batch, and a batch
of one adapter alone take turns.
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


def seconds(function: Callable[..., object], *arguments: Any) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


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
    first = seconds(load_adapter, folders[0])  # the libraries' first use is not counted below
    backbone = load_backbone(folder / "backbone")
    onto = [seconds(load_adapter, folders[0], backbone) for _ in range(5)]
    model = load_adapter(folders[0], backbone)
    before = resident()
    adding = [seconds(model.add_adapter, path.name, path) for path in folders[1:]]
    grown = (resident() - before) / len(adding)
    names = model.adapters
    models = [model.get_adapter(name) for name in names]
    frozen = {p.data_ptr() for p in models[0].parameters()}
    own = sum(t.nbytes for t in models[1].state_dict().values() if t.data_ptr() not in frozen)
    swapping = [seconds(model.set_adapter, name) for _ in range(10) for name in names]

    x = torch.randn(clips, FRAMES, model.backbone.config.num_mel_bins)
    chosen = [names[clip % len(names)] for clip in range(clips)]

    def separate() -> dict[int, torch.Tensor]:
        logits: dict[int, torch.Tensor] = {}
        for name in dict.fromkeys(chosen):
            model.set_adapter(name)
            rows = [row for row, other in enumerate(chosen) if other == name]
            logits.update(zip(rows, model(x[rows]), strict=True))
        return logits

    passes: dict[str, list[float]] = {"separate": [], "mixed": [], "one adapter": []}
    with torch.inference_mode():
        alone, together = separate(), model(x, adapters=chosen)
        difference = max(float((alone[row] - own).abs().max()) for row, own in enumerate(together))
        for _ in range(rounds):
            passes["separate"].append(seconds(separate))
            passes["mixed"].append(seconds(model, x, chosen))
            passes["one adapter"].append(seconds(model, x))
    return {
        "backbone_bytes": sum(p.nbytes for p in backbone.parameters()),
        "file_bytes": (folders[0] / "adapter_model.safetensors").stat().st_size,
        "tensor_bytes_per_adapter": own,
        "resident_bytes_per_adapter": grown,
        "load_adapter_from_disk": first,
        "load_adapter_onto_backbone_first": onto[0],
        "load_adapter_onto_backbone": spread(onto[1:]),
        "add_adapter": spread(adding),
        "set_adapter": spread(swapping),
        **{name: spread(taken) for name, taken in passes.items()},
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
    rows = [
        ["`load_adapter` from disk", f"{1e3 * found['load_adapter_from_disk']:.0f}"],
        ["... onto a backbone in memory, first", f"{1e3 * found['load_adapter_onto_backbone_first']:.0f}"],
    ]
    rows += [[f"`{name}`", _milliseconds(found[name])] for name in ("add_adapter", "set_adapter")]
    rows.insert(2, ["... and again", _milliseconds(found["load_adapter_onto_backbone"])])
    table(["", "ms"], rows)
    print()
    rows = [
        [name, *(f"{found[name][key]:.2f}" for key in ("median", "min", "max"))]
        for name in ("separate", "mixed", "one adapter")
    ]
    table([f"{options.clips} clips, s", "median", "min", "max"], rows)
    print(f"\nLargest difference of a logit: {found['largest_difference']:.1e}")
    keep("many_adapters", {**vars(options), **found})


def _milliseconds(found: dict[str, float]) -> str:
    return f"{1e3 * found['median']:.3g} ({1e3 * found['min']:.3g} to {1e3 * found['max']:.3g})"


if __name__ == "__main__":
    main()
