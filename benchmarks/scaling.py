"""What a training step of the full-size model costs by frames, batch, layers, classes and method.

python -m benchmarks.scaling
"""

from __future__ import annotations

import argparse
import json

from benchmarks.common import in_new_process, keep, spread, table

BATCH = 4
VARIATIONS: dict[str, list[list[str]]] = {
    "frames": [["--frames", str(n)] for n in (125, 250, 500, 1000)],
    "batch": [["--batch", str(n)] for n in (1, 2, 8, 16)],
    "layers": [["--layers", str(n)] for n in (3, 6)],
    "classes": [["--classes", str(n)] for n in (10, 1000)],
    "method": [
        ["--method", name, "--method_options", json.dumps(options)]
        for name, options in {
            "linear": {},
            "bitfit": {},
            "lora": {},
            "prompt_tuning": {},
            "prefix_tuning": {},
            "adapter": {"block": "bottleneck"},
            "dense_moa": {},
            "soft_moa": {},
            "full_ft": {},
        }.items()
    ],
}


def main() -> None:
    """One process a variation; print the table, keep the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--vary", nargs="+", choices=list(VARIATIONS), default=list(VARIATIONS))
    options = parser.parse_args()
    rows, results = [], []
    for name in options.vary:
        variations = VARIATIONS[name]
        for arguments in ([], *variations) if not results else variations:
            words = ["--batch", str(BATCH), "--steps", str(options.steps), *arguments]
            measured = in_new_process("benchmarks.step", "ours", *words)
            training, evaluation = spread(measured["training"]), spread(measured["evaluation"])
            what = " ".join(arguments).replace("--", "") or f"500 frames, batch {BATCH}, 12 layers, adapter"
            results.append({"varied": name, "arguments": arguments, **measured})
            rows.append(
                [what, f"{training['median']:.3f}", f"{evaluation['median']:.3f}", measured["peak_gb"]]
            )
    table(["", "training, s a clip", "evaluation, s a clip", "peak, GB"], rows)
    keep("scaling", results)


if __name__ == "__main__":
    main()
