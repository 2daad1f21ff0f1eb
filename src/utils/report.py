"""A run as LaTeX: the tables and figures that docs/report/main.tex takes in."""

from __future__ import annotations

from pathlib import Path

from ..files import write_bytes, write_text
from .run_folder import PLOTS, Run, read_run
from .summary import score
from .visualization import draw_run

_SPECIAL = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def write_report(run_folder: Path, output: Path) -> list[Path]:
    """Write results.tex, setup.tex and the run's pictures into `output`, drawn anew from the run's files.

    Returns:
        The files written.

    Raises:
        UserError: if `run_folder` holds no run with a finished fold, or `output` cannot be written.
    """
    run = read_run(run_folder)
    draw_run(run_folder)
    written = [output / "results.tex", output / "setup.tex"]
    write_text(written[0], results_table(run))
    write_text(written[1], setup_table(run))
    for picture in sorted((run_folder / PLOTS).glob("*.png")):
        write_bytes(output / picture.name, picture.read_bytes())
        written.append(output / picture.name)
    return written


def results_table(run: Run) -> str:
    """Test accuracy of every fold, last and best epoch, and what they come to."""
    folds = [
        f"{r['test']} & {r['clips']['test']} & {_percent(score(r['last']))} & "
        f"{_percent(score(r['best']))} & {r['best']['epoch']} \\\\"
        for r in run.summary["folds"]
    ]
    last, best = run.summary["last"], run.summary["best"]
    quantity = "mean average precision" if run.multi_label else "accuracy"
    left = ", ".join(map(str, run.summary.get("unfinished", [])))
    unfinished = f" Not finished: fold {left} is missing." if left else ""
    lines = [f"Mean & & {_percent(last['mean'])} & {_percent(best['mean'])} & \\\\"]
    if last["standard_deviation"] is not None:
        deviations = (_percent(kind["standard_deviation"]) for kind in (last, best))
        intervals = (f"{_percent(kind['low'])} to {_percent(kind['high'])}" for kind in (last, best))
        lines.append(f"Standard deviation & & {' & '.join(deviations)} & \\\\")
        lines.append(f"95\\,\\% interval & & {' & '.join(intervals)} & \\\\")
    return _table(
        "lrrrr",
        "Fold tested & Clips & Last epoch (\\%) & Best epoch (\\%) & Best epoch's number \\\\",
        [*folds, "\\midrule", *lines],
        f"Test {quantity} in cross-validation, run \\texttt{{{escape(run.folder.name)}}}. "
        f"The last epoch is the paper's way; the best is the one with the highest validation {quantity}."
        f"{unfinished}",
        "tab:results",
    )


def setup_table(run: Run) -> str:
    """What the run was set to."""
    config = run.config
    rows = {
        "Backbone": config.model.backbone,
        "Method": config.model.method,
        "Method options": ", ".join(f"{k} = {v}" for k, v in config.model.method_options.items())
        or "defaults",
        "Position embeddings": config.model.position_embeddings,
        "Pooling": config.model.pooling,
        "Frames": config.spectrogram.max_length,
        "Optimiser": f"AdamW, rate {config.train.learning_rate}, weight decay {config.train.weight_decay}",
        "Epochs, batch size": f"{config.train.epochs}, {config.train.batch_size}",
        "SpecAugment limits": f"{config.augment.frequency_mask} mel bins, {config.augment.time_mask} frames",
        "Seed": config.train.seed,
        "Device, precision": f"{run.environment['device']}, {config.train.precision}",
    }
    return _table(
        "lp{0.62\\linewidth}",
        "Setting & Value \\\\",
        [f"{escape(name)} & {escape(str(value))} \\\\" for name, value in rows.items()],
        f"Settings of run \\texttt{{{escape(run.folder.name)}}}.",
        "tab:setup",
    )


def escape(text: str) -> str:
    """`text` with LaTeX's special characters made plain."""
    return "".join(_SPECIAL.get(character, character) for character in text)


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _table(columns: str, heading: str, rows: list[str], caption: str, label: str) -> str:
    body = "\n".join(rows)
    return (
        f"\\begin{{table}}[htbp]\n\\centering\n\\caption{{{caption}}}\n\\label{{{label}}}\n"
        f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{heading}\n\\midrule\n{body}\n\\bottomrule\n"
        "\\end{tabular}\n\\end{table}\n"
    )
