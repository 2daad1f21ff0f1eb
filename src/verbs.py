"""The verbs of `petl-ast`: options and functions, no logic. What one needs is imported only when it runs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser, Namespace

from .config import RunConfig
from .imports import quick_imports
from .pretraining.config import PretrainConfig

Device = Literal["auto", "cpu", "cuda", "mps"]
PredictionFormat = Literal["table", "csv", "jsonl", "audacity"]


@dataclass(frozen=True)
class Verb:
    """One word of the command: its options and what it does with them; the first docstring line is its
    summary.

    Attributes:
        add_options: Adds its options to a parser.
        run: Does it; returns the exit code.
        positionals: What comes before the options, for the usage line.
        config: What its `--config FILE` fills.
    """

    add_options: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], int]
    positionals: str = ""
    config: type[Any] = RunConfig

    @property
    def description(self) -> str:
        """The docstring, for --help."""
        return (self.run.__doc__ or "").replace("\n    ", "\n").strip()


def _train_options(parser: ArgumentParser) -> None:
    parser.add_argument("folder", type=str | None, nargs="?", help="Your own sounds, a sub-folder a class.")
    parser.add_argument(
        "--dry_run", type=bool, default=False, help="Say what is there and what would be done, and stop."
    )
    _run_options(parser)


def _run_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        action="config",
        help="YAML file with options of `train`; the command line wins over it.",
    )
    parser.add_class_arguments(RunConfig)


def _train(options: Namespace) -> int:
    """Train and test a method by cross-validation, one adapter per fold.

    Every option can stand in a YAML file, on the command line, or both (the command line wins):
        petl-ast train --config configs/esc50_conformer.yaml --train.epochs 2 --data.folds "[1,2]"
    The run's folder then holds the adapters, the figures per epoch, the summary and pictures.
    Your own sounds, a sub-folder a class, need no configuration:
        petl-ast train sounds
        petl-ast train sounds --dry_run true        what is there, what it would do, how long it would take
    """
    with quick_imports():
        from .data.formats import open_dataset
        from .utils import console as screen
        from .utils.cross_validation import cross_validate
        from .utils.outcome import outcome
        from .utils.overview import overview
        from .utils.run_start import with_resumed_output
        from .utils.summary import summary_table

    folder, dry_run = options.pop("folder"), options.pop("dry_run")
    dataset, config = open_dataset(with_resumed_output(_run_config(options)))
    console = screen.output()
    if folder or dry_run:
        console.print(overview(config, dataset))
    if dry_run:
        return 0
    summary = cross_validate(config, dataset)
    console.print(summary_table(summary, config.output))
    if folder:
        print(outcome(Path(config.output), dataset))  # not by rich, which would break commands into lines
    return 0


def _evaluate_options(parser: ArgumentParser) -> None:
    parser.add_argument("adapter", type=str, help="Adapter folder, such as outputs/demo/fold_1/last.")
    parser.add_argument(
        "--data_root", type=str | None, default=None, help="Data set, if it moved since training."
    )
    parser.add_argument(
        "--fold", type=int | None, default=None, help="Fold to score, if not the adapter's test fold."
    )
    _common_options(parser)
    parser.add_argument("--cache", type=str, default="data/cache", help="Folder for computed spectrograms.")
    parser.add_argument("--json", action="store_true", help="Print one JSON object instead of tables.")


def _evaluate(options: Namespace) -> int:
    """Score an adapter on its test fold again: accuracy, per-class report, confusion matrix.

    petl-ast evaluate outputs/demo/fold_1/last
    """
    with quick_imports():
        from .utils import console as screen
        from .utils.evaluation import confusion_text, evaluate, report_table

    result = evaluate(
        Path(options.adapter),
        options.data_root,
        options.fold,
        options.backbone,
        options.cache,
        options.device,
    )
    if options.json:
        plain = {**dataclasses.asdict(result), "matrix": result.matrix.tolist()}
        print(json.dumps(plain, ensure_ascii=False))
        return 0
    console = screen.output()
    console.print(report_table(result))
    print(confusion_text(result))
    print(f"\nFold {result.fold}: {result.accuracy:.2%} of {result.clips} clips, loss {result.loss:.4f}")
    if result.seen:
        print(f"The adapter was {result.seen} this fold: this is no result on unseen clips.")
    if result.reported is not None:
        same = "the same" if result.reported == result.accuracy else "NOT the same"
        print(f"Training reported {result.reported:.2%}: {same}.")
    return 0


def _predict_options(parser: ArgumentParser) -> None:
    parser.add_argument("adapter", type=str, help="Adapter folder, such as outputs/demo/fold_1/last.")
    parser.add_argument(
        "paths",
        type=str,
        nargs="+",
        help='Audio files, folders, quoted patterns ("site*/**/*.wav"), or -: a list on standard input.',
    )
    parser.add_argument("--top_k", type=int, default=3, help="How many classes to name per clip.")
    parser.add_argument(
        "--hop", type=float | None, default=None, help="Seconds from window to window; null: half a window."
    )
    parser.add_argument("--threshold", type=float, default=0.5, help="Least probability of an event.")
    parser.add_argument(
        "--format", type=PredictionFormat, default="table", help="How to write what was found."
    )
    parser.add_argument("--json", action="store_true", help="The same as --format jsonl.")
    parser.add_argument(
        "--output", type=str | None, default=None, help="Folder for a file per recording, named after it."
    )
    parser.add_argument("--picture", action="store_true", help="Also draw each recording (with --output).")
    parser.add_argument("--overwrite", action="store_true", help="Replace files that are there already.")
    _common_options(parser)
    parser.add_argument("--batch_size", type=int, default=32, help="Windows per forward pass.")


def _predict(options: Namespace) -> int:
    """Name the most probable classes of audio files, and in long recordings what was heard when.

    petl-ast predict outputs/demo/fold_1/last recording.wav folder/ --top_k 3
    petl-ast predict outputs/demo/fold_1/last "site*/**/*.flac" --output found --format csv --picture
    A recording that is longer than the adapter's clips is heard window by window; neighbouring windows of
    the same class become one event. A file that cannot be read is told and left out; the exit code is then 2.
    """
    with quick_imports():
        from .data.inputs import find_recordings
        from .utils import console as screen
        from .utils.prediction import predict
        from .utils.prediction_output import destination, write_predictions

    recordings = find_recordings(options.paths)
    where = destination(
        "jsonl" if options.json else options.format,
        options.top_k,
        Path(options.output) if options.output else None,
        options.picture,
        options.overwrite,
        recordings,
    )
    with screen.progress(screen.messages()) as bars:
        listening = screen.Listening(bars, len(recordings))
        found = predict(
            Path(options.adapter),
            recordings,
            options.top_k,
            options.backbone,
            options.batch_size,
            options.device,
            options.hop,
            options.threshold,
            where.picture,
            listening.heard,
        )
        return 2 if write_predictions(listening.counted(found), where) else 0


def _report_options(parser: ArgumentParser) -> None:
    parser.add_argument("run", type=str, help="Folder of a run, such as outputs/demo.")
    parser.add_argument(
        "--output", type=str, default="docs/report/generated", help="Where the LaTeX report looks."
    )


def _report(options: Namespace) -> int:
    """Draw a run's pictures anew and fill the LaTeX report's tables and figures.

    petl-ast report outputs/demo
    """
    with quick_imports():
        from .utils.report import write_report

    for path in write_report(Path(options.run), Path(options.output)):
        print(path)
    return 0


def _samples_options(parser: ArgumentParser) -> None:
    _run_options(parser)
    parser.add_argument("--folder", type=str, default="samples", help="Where the copies go.")
    parser.add_argument("--per_class", type=int, default=1, help="How many clips of each class.")


def _samples(options: Namespace) -> int:
    """Copy representative clips of each class into a folder, to listen to.

    petl-ast samples --config configs/esc50_conformer.yaml
    They come from training and validation folds of the first fold in data.folds (by default the last fold is
    tested).
    """
    with quick_imports():
        from .data.formats import open_dataset
        from .utils import console as screen
        from .utils.cross_validation import load_with_progress
        from .utils.samples import copy_samples

    folder, per_class = options.pop("folder"), options.pop("per_class")
    dataset, config = open_dataset(_run_config(options))
    load_with_progress(dataset, screen.messages())
    test_fold = config.data.folds[0] if config.data.folds else dataset.tested[-1]
    for path in copy_samples(dataset, test_fold, Path(folder), per_class):
        print(path)
    return 0


def _params_options(parser: ArgumentParser) -> None:
    _run_options(parser)
    parser.add_argument("--all_methods", action="store_true", help="Every method with its default options.")
    parser.add_argument(
        "--cost", action="store_true", help="Operations, memory and predicted time of a run instead."
    )
    parser.add_argument("--num_classes", type=int, default=50, help="Classes that the head tells apart.")
    parser.add_argument("--json", action="store_true", help="Print JSON instead of a table.")


def _params(options: Namespace) -> int:
    """Count what a configuration trains: the method, LayerNorms, the head, and the whole model.

    petl-ast params --config configs/esc50_conformer.yaml
    petl-ast params --all_methods
    petl-ast params --cost              what a step costs, how long a run takes here and on some GPUs
    Weights are not needed and not loaded.
    """
    with quick_imports():
        from .utils import console as screen
        from .utils.estimate import estimate, plain, tables
        from .utils.parameters import count_parameters, parameter_table

    num_classes, as_json, every, cost = (
        options.pop(name) for name in ("num_classes", "json", "all_methods", "cost")
    )
    config, console = _run_config(options), screen.output()
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


def _synthetic_options(parser: ArgumentParser) -> None:
    parser.add_argument("folder", type=str, help="Where the data set goes; made if missing.")
    parser.add_argument("--clips_per_class", type=int, default=30, help="Clips of each of the ten classes.")
    parser.add_argument("--seed", type=int, default=10, help="Same seed: the same files, to the byte.")


def _synthetic(options: Namespace) -> int:
    """Make a data set of ten procedural sound classes in ESC-50's layout, and a tiny random AST beside it.

    petl-ast synthetic data/synthetic
    """
    with quick_imports():
        from .utils.demo import make_demo_data

    for path in make_demo_data(Path(options.folder), options.clips_per_class, options.seed):
        print(path)
    return 0


def _common_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--backbone", type=str | None, default=None, help="Frozen backbone, if it moved since training."
    )
    parser.add_argument("--device", type=Device, default="auto", help="Where to compute.")


def _run_config(options: Namespace) -> RunConfig:
    values: dict[str, Any] = {name: value for name, value in vars(options).items() if name != "config"}
    return RunConfig(**values)


def _import_reference_options(parser: ArgumentParser) -> None:
    parser.add_argument("file", type=str, help="State dict that the reference code saved with torch.save.")
    parser.add_argument("adapter", type=str, help="Adapter folder to write.")
    parser.add_argument(
        "--labels", type=list[str] | None, default=None, help="Class names in the head's order."
    )
    _run_options(parser)


def _import_reference(options: Namespace) -> int:
    """Turn a state dict of the paper's reference code into an adapter folder.

    petl-ast import-reference best_params.pth outputs/imported --config configs/esc50_conformer.yaml
    The file is read without running any code from it. Its tensors must fit the method, its options and the
    backbone of the configuration, to the last name.
    """
    with quick_imports():
        from .utils.reference_import import import_reference

    file, adapter, labels = (options.pop(name) for name in ("file", "adapter", "labels"))
    import_reference(Path(file), Path(adapter), _run_config(options), labels)
    print(adapter)
    return 0


def _pretrain_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        action="config",
        help="YAML file with options of `pretrain`; the command line wins over it.",
    )
    parser.add_class_arguments(PretrainConfig)


def _pretrain(options: Namespace) -> int:
    """Pre-train a small AST on procedural sounds: a backbone made from nothing but code.

    petl-ast pretrain --config configs/pretrain_synthetic.yaml
    Takes hours on a processor; stopped at any time, the same command goes on. The backbone is then the
    folder outputs/pretrain/backbone, for --model.backbone.
    """
    with quick_imports():
        from .pretraining.run import pretrain

    values: dict[str, Any] = {name: value for name, value in vars(options).items() if name != "config"}
    print(pretrain(PretrainConfig(**values)))
    return 0


VERBS = {
    "train": Verb(_train_options, _train, "[FOLDER] "),
    "evaluate": Verb(_evaluate_options, _evaluate, "ADAPTER "),
    "predict": Verb(_predict_options, _predict, "ADAPTER PATH ... "),
    "report": Verb(_report_options, _report, "RUN "),
    "samples": Verb(_samples_options, _samples),
    "params": Verb(_params_options, _params),
    "pretrain": Verb(_pretrain_options, _pretrain, config=PretrainConfig),
    "import-reference": Verb(_import_reference_options, _import_reference, "FILE ADAPTER "),
    "synthetic": Verb(_synthetic_options, _synthetic, "FOLDER "),
}
