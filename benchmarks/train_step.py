"""Seconds per clip of a training and an evaluation step, full-size model: the paper's way, ours, the limit.

python -m benchmarks.train_step

The contenders take turns, each time in a new process (benchmarks/step.py says what they are), because
machines change from minute to minute: only ratios within one run count.
"""

from __future__ import annotations

import argparse

from benchmarks.common import in_new_process, keep, spread, table

CONTENDERS = ("reference", "ours", "limit", "limit_torch")


def main() -> None:
    """Take turns, print the table, keep the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=8)
    options = parser.parse_args()

    figures: dict[str, dict[str, list[float]]] = {
        name: {"training": [], "evaluation": [], "peak_gb": []} for name in CONTENDERS
    }
    for _ in range(options.rounds):
        for name in CONTENDERS:
            measured = in_new_process("benchmarks.step", name, "--batch", str(options.batch))
            figures[name]["training"] += measured["training"]
            figures[name]["evaluation"] += measured["evaluation"]
            figures[name]["peak_gb"].append(measured["peak_gb"])
    summary = {name: {key: spread(values) for key, values in f.items()} for name, f in figures.items()}
    rows = []
    for name, f in summary.items():
        cells = [
            f"{s['median']:.3f} ({s['min']:.3f} to {s['max']:.3f})" for s in (f["training"], f["evaluation"])
        ]
        rows.append([name, *cells, "" if name.startswith("limit") else f"{f['peak_gb']['max']:.2f}"])
    table(["", "training, s a clip", "evaluation, s a clip", "peak, GB"], rows)
    ratios = {}
    for what in ("training", "evaluation"):
        median = {name: f[what]["median"] for name, f in summary.items()}
        ratios[what] = {
            "reference / ours": median["reference"] / median["ours"],
            "ours / limit": median["ours"] / median["limit"],
            "ours / limit_torch": median["ours"] / median["limit_torch"],
        }
        print(f"\n{what}: " + ", ".join(f"{name} {value:.2f}" for name, value in ratios[what].items()))
    keep("train_step", {"batch": options.batch, "seconds_per_clip": summary, "ratios": ratios})


if __name__ == "__main__":
    main()
