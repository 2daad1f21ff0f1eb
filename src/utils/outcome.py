"""What a run on one's own sounds came to: how good it is, what it mixes up, and how to use it."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from pathlib import Path

from ..data.dataset import AudioDataset
from ..text import plural, shown
from .metrics import share_interval
from .run_folder import Run, fold_folder, read_run

CONFUSIONS, CLIPS = 5, 3  # named at most: pairs of classes, and clips of each to listen to


def outcome(folder: Path, dataset: AudioDataset) -> str:
    """The accuracy with its interval, the worst confusions with clips to listen to, and the next command.

    Args:
        folder: Of a run with a finished fold.
        dataset: Its clips.
    """
    run = read_run(folder)
    adapter = fold_folder(folder, next(iter(run.predictions))) / "last"
    return "\n".join(
        [
            "",
            *(_precisions(run) if run.multi_label else (_accuracy(run), *_confusions(run, dataset))),
            "",
            "To use it on other recordings:",
            f"  petl-ast predict {shlex.quote(str(adapter))} FILE",
        ]
    )


def _precisions(run: Run) -> list[str]:
    """The mean average precision, and the classes that are found worst."""
    means = {name: value for name, value in run.average_precisions().items() if value is not None}
    worst = sorted(means, key=lambda name: (means[name], name))[:CONFUSIONS]
    lines = [
        f"Mean average precision on clips that it was not trained on: {run.summary['last']['mean']:.1%}.",
        "Found worst (average precision):",
    ]
    return lines + [f"  {name}: {means[name]:.1%}" for name in worst]


def _accuracy(run: Run) -> str:
    rows = [row for fold in run.predictions.values() for row in fold]
    hits = sum(row["class"] == row["last"] for row in rows)
    low, high = share_interval(hits, len(rows))
    commonest = max(Counter(row["class"] for row in rows).values())
    return (
        f"Right about {hits} of {len(rows)} clips that it was not trained on: {hits / len(rows):.1%} (95 % "
        f"interval {low:.1%} to {high:.1%}). Always naming the commonest class: {commonest / len(rows):.1%}."
    )


def _confusions(run: Run, dataset: AudioDataset) -> list[str]:
    """The pairs of classes that are mixed up most, worst first."""
    paths = {clip.name: clip.path for clip in dataset.clips}
    mixed: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for fold in run.predictions.values():
        for row in fold:
            if row["class"] != row["last"]:
                mixed[row["class"], row["last"]].append(row["clip"])
    lines = ["Worth listening to:"] if mixed else []
    for (true, named), clips in sorted(mixed.items(), key=lambda item: (-len(item[1]), item[0]))[:CONFUSIONS]:
        lines.append(f"  {true} taken for {named}: {plural(len(clips), 'clip')}")
        lines += [f"    {shown(paths.get(clip, clip))}" for clip in clips[:CLIPS]]
    return lines
