"""What ast-mini is worth on real clips: every method on it, beside what needs no backbone, a random one, and
training from scratch.

python -m benchmarks.backbone --data data/ESC-50

ESC-10, five folds. Learning rate and SpecAugment are chosen for each row by the mean accuracy on the
validation folds of two of the five splits; then the row is run once, each test fold scored once, at the last
epoch. The two folds that chose are test folds of other splits, so the table also gives the mean of the
three others. What is finished is not repeated.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch
from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR

from benchmarks.common import keep, table
from petl_ast.config import AugmentConfig, DataConfig, ModelConfig, RunConfig, SpectrogramConfig, TrainConfig
from petl_ast.data.augment import spec_augment
from petl_ast.data.batches import Batches
from petl_ast.data.esc50_dataset import ESC50Dataset
from petl_ast.models.backbone import random_backbone
from petl_ast.pretraining.config import ObjectiveConfig, ShapeConfig
from petl_ast.pretraining.model import Listener
from petl_ast.utils.cross_validation import cross_validate
from petl_ast.utils.engine import eval_one_epoch, train_one_epoch
from petl_ast.utils.environment import make_accelerator
from petl_ast.utils.seeding import generator
from petl_ast.utils.workplace import new_model

PICTURE = Path("docs/pictures/backbone_comparison.png")
TUNING_SPLITS = (1, 3)  # by their test folds
TUNED_ON = (5, 2)  # their validation folds
REGULARISATIONS = (0.001, 0.01, 0.1, 1.0)  # logistic regression's C
MASKS = {"masks": AugmentConfig(24, 80), "no masks": AugmentConfig(0, 0)}
ADAPTER = {"reduction_rate": 24, "kernel_size": 8}  # 192 / 24 = 8 channels inside, as many as in the paper


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        method: Its name.
        options: Of the method.
        rates: Learning rates to choose from.
        random: Whether the backbone's weights are random.
        positions: How the position table is made.
    """

    method: str
    options: dict[str, Any] = field(default_factory=dict)
    rates: tuple[float, ...] = (0.002, 0.005, 0.01)
    random: bool = False
    positions: str = "crop"


PROBE_RATES, FULL_RATES = (0.01, 0.03, 0.1), (0.0002, 0.0005, 0.001)
ROWS = {
    "random backbone, linear probe": Row("linear", rates=PROBE_RATES, random=True),
    "random backbone, everything trained (from scratch)": Row("full_ft", rates=FULL_RATES, random=True),
    "linear probe": Row("linear", rates=PROBE_RATES),
    "bitfit": Row("bitfit"),
    "prompt tuning, shallow": Row("prompt_tuning", {"deep": False}),
    "prompt tuning, deep": Row("prompt_tuning", {"deep": True}),
    "prefix tuning": Row("prefix_tuning"),
    "LoRA": Row("lora", {"reduction_rate": 24}),
    "adapter, bottleneck": Row("adapter", {"block": "bottleneck", "reduction_rate": 24}),
    "adapter, Conformer": Row("adapter", ADAPTER),
    "adapter, Conformer, Houlsby": Row("adapter", {**ADAPTER, "placement": "houlsby"}),
    "dense mixture of adapters": Row("dense_moa", {"reduction_rate": 24}),
    "soft mixture of adapters": Row("soft_moa", {"reduction_rate": 24}),
    "full fine-tuning": Row("full_ft", rates=FULL_RATES),
    "linear probe, position table of zeros": Row("linear", rates=PROBE_RATES, positions="zeros"),
    "adapter, Conformer, position table of zeros": Row("adapter", ADAPTER, positions="zeros"),
}


def main() -> None:
    """Run what has not been run; print the table, draw the picture, keep the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="data/ESC-50", help="Data set in ESC-50's layout.")
    parser.add_argument("--backbone", default="ast-mini")
    parser.add_argument("--epochs", default=10, type=int)
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--output", default="outputs/backbone", type=Path)
    parser.add_argument("--only", nargs="+", choices=[LOGISTIC, *ROWS], default=[LOGISTIC, *ROWS])
    parser.add_argument("--picture", default=PICTURE, type=Path)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)

    results = []
    for name in options.only:
        place = options.output / name.replace(",", "").replace(" ", "_")
        done = place / "row.json"
        asked = {key: getattr(options, key) for key in ("data", "backbone", "epochs", "precision")}
        if not done.is_file():
            found = logistic(options) if name == LOGISTIC else measure(ROWS[name], options, place)
            place.mkdir(exist_ok=True)
            done.write_text(json.dumps({"row": name, "asked": asked, **found}, indent=2) + "\n")
        results.append(json.loads(done.read_text()))
        if results[-1]["asked"] != asked:
            raise SystemExit(f"{done} was measured with {results[-1]['asked']}. Choose another --output.")
    show(results)
    draw(results, options.picture)
    keep("backbone", results)


LOGISTIC = "log-mel mean and deviation, logistic regression"


def base(options: argparse.Namespace) -> RunConfig:
    """What all rows share."""
    return RunConfig(
        data=DataConfig(root=options.data, subset="esc10"),
        model=ModelConfig(backbone=options.backbone),
        train=TrainConfig(epochs=options.epochs, precision=options.precision),
    )


def measure(row: Row, options: argparse.Namespace, place: Path) -> dict[str, Any]:
    """Choose, then cross-validate."""
    config = base(options)
    model = replace(
        config.model,
        method=row.method,
        method_options=row.options,
        position_embeddings=row.positions,
        backbone=random_weights(options) if row.random else options.backbone,
    )
    config = replace(config, output=str(place), model=model)
    place.mkdir(exist_ok=True)
    chosen, tuned = choose(row, config, place / ".tuned.json")
    summary = cross_validate(chosen)
    count = new_model(chosen, loaded(chosen), 1).parameter_counts()
    return {
        "accuracy": summary["last"]["mean"],
        "deviation": summary["last"]["standard_deviation"],
        "folds": [fold["last"]["test_accuracy"] for fold in summary["folds"]],
        "seconds": round(sum(fold["seconds"] for fold in summary["folds"]), 1),
        "trainable": count["trainable"],
        "learning_rate": chosen.train.learning_rate,
        "masks": bool(chosen.augment.time_mask),
        "tuned": tuned,
    }


def choose(row: Row, config: RunConfig, notes: Path) -> tuple[RunConfig, dict[str, float]]:
    """The candidate with the best mean accuracy on the validation folds of the tuning splits: first each
    learning rate with SpecAugment, then the best one without. A linear probe goes without: its features are
    computed once.
    """
    tuned: dict[str, float] = json.loads(notes.read_text()) if notes.is_file() else {}

    def score(rate: float, masks: str) -> float:
        if (name := f"{rate}, {masks}") not in tuned:
            candidate = with_choice(config, rate, masks)
            dataset = loaded(candidate)
            tuned[name] = mean(validation_accuracy(candidate, dataset, fold) for fold in TUNING_SPLITS)
            print(f"{config.output}: {name}: {tuned[name]:.2%} of the validation folds", flush=True)
            notes.write_text(json.dumps(tuned) + "\n")
        return tuned[name]

    if row.method == "linear":
        best = max(row.rates, key=lambda rate: score(rate, "no masks"))
        return with_choice(config, best, "no masks"), tuned
    best = max(row.rates, key=lambda rate: score(rate, "masks"))
    masks = max(MASKS, key=lambda name: score(best, name))
    return with_choice(config, best, masks), tuned


def with_choice(config: RunConfig, rate: float, masks: str) -> RunConfig:
    """The configuration with a candidate's values."""
    return replace(config, augment=MASKS[masks], train=replace(config.train, learning_rate=rate))


def loaded(config: RunConfig) -> ESC50Dataset:
    """The clips, their spectrograms computed."""
    dataset = ESC50Dataset.of(config)
    dataset.load_spectrograms()
    return dataset


def validation_accuracy(config: RunConfig, dataset: ESC50Dataset, unseen: int) -> float:
    """Train as a run does, but look at the validation fold alone, at the last epoch."""
    split, train = dataset.split(unseen), config.train
    accelerator = make_accelerator(train.device, train.precision)
    model = new_model(config, dataset, unseen)
    clips, labels = dataset.tensors()
    batches, validation = (
        Batches(clips, labels, dataset.indices(folds), train.batch_size, accelerator.device)
        for folds in (split.train, [split.validation])
    )
    optimizer = AdamW(
        model.trainable_parameters(), train.learning_rate, train.betas, train.eps, train.weight_decay
    )
    scheduler = CosineAnnealingLR(optimizer, T_max=train.epochs * len(batches))
    optimizer = accelerator.prepare(optimizer)
    torch.manual_seed(train.seed)
    draws = generator("cpu", train.seed, "augmentation", unseen)
    augment = partial(spec_augment, config=config.augment, generator=draws)
    for epoch in range(train.epochs):
        shuffled = batches.shuffled(generator("cpu", train.seed, "order", unseen, epoch))
        train_one_epoch(model, shuffled, optimizer, scheduler, accelerator, augment)
    return eval_one_epoch(model, validation, accelerator).accuracy


def logistic(options: argparse.Namespace) -> dict[str, Any]:
    """Mean and deviation over time of each mel bin, standardised; C by the validation folds of all splits."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    start, dataset = time.perf_counter(), loaded(base(options))
    clips, labels = (tensor.numpy() for tensor in dataset.tensors())
    told = np.concatenate([clips.mean(axis=1), clips.std(axis=1)], axis=1)

    def score(c: float, train: Any, test: Any) -> float:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=5000))
        return float(model.fit(told[train], labels[train]).score(told[test], labels[test]))

    splits = [dataset.split(fold) for fold in dataset.folds]
    tuned = {
        c: mean(score(c, dataset.indices(s.train), dataset.indices([s.validation])) for s in splits)
        for c in REGULARISATIONS
    }
    best = max(tuned, key=lambda c: tuned[c])
    folds = [score(best, dataset.indices(s.train), dataset.indices([s.test])) for s in splits]
    return {
        "accuracy": mean(folds),
        "deviation": stdev(folds),
        "folds": folds,
        "seconds": round(time.perf_counter() - start, 1),
        "trainable": (told.shape[1] + 1) * len(dataset.class_names),
        "C": best,
        "tuned": tuned,
    }


def random_weights(options: argparse.Namespace) -> str:
    """A backbone of the same shape as pre-training starts with."""
    folder = options.output / "random_backbone"
    if not (folder / "model.safetensors").is_file():
        config = random_backbone(options.backbone).config
        shape = ShapeConfig(**{name: getattr(config, name) for name in vars(ShapeConfig())})
        torch.manual_seed(0)
        start = Listener(
            shape, SpectrogramConfig(max_length=config.max_length), ObjectiveConfig(), families=1
        )
        start.backbone.save_pretrained(folder)
    return str(folder)


def show(results: list[dict[str, Any]]) -> None:
    """The table as Markdown."""
    rows = [
        [
            r["row"],
            f"{r['trainable']:,}",
            f"{r['accuracy']:.2%}",
            f"{r['deviation']:.2%}",
            "" if "C" in r else f"{mean(v for i, v in enumerate(r['folds'], 1) if i not in TUNED_ON):.2%}",
            f"{r['seconds']:.0f}",
            f"C = {r['C']}" if "C" in r else f"{r['learning_rate']}{', masks' if r['masks'] else ''}",
        ]
        for r in results
    ]
    rest = "accuracy, folds that chose nothing"
    table(["", "trained parameters", "accuracy", "deviation", rest, "seconds, five folds", "chosen"], rows)


def draw(results: list[dict[str, Any]], path: Path) -> None:
    """Accuracy with its deviation over the folds, a bar a row."""
    from matplotlib.figure import Figure

    from petl_ast.utils.visualization import save

    def figure() -> Figure:
        drawn = Figure(figsize=(8, 0.4 * len(results) + 1))
        axis = drawn.subplots()
        names = [r["row"] for r in results]
        values = [r["accuracy"] for r in results]
        axis.barh(names, values, xerr=[r["deviation"] for r in results], color="#3b6ea8", ecolor="#888888")
        for place, value in enumerate(values):
            axis.text(0.02, place, f"{value:.1%}", va="center", color="white")
        axis.invert_yaxis()
        axis.grid(axis="y", visible=False)
        axis.set(xlim=(0, 1), xlabel="accuracy on ESC-10, five folds (line: deviation over folds)")
        return drawn

    save(figure, path)


if __name__ == "__main__":
    main()
