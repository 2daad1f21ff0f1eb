"""The model card of an adapter folder: what it is, how good it is, and how to use it.

README.md begins with the metadata that the hub reads (https://huggingface.co/docs/hub/model-cards);
confusion_matrix.png beside it shows what the test fold's clips were taken for, where each has one label.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from ..adapter_folder import CARD, PICTURE, WEIGHTS, read_adapter
from ..backbones import shipped
from ..config import RunConfig
from ..data_config import FRAMES_PER_SECOND
from ..files import write_text
from ..text import shown
from .card_metadata import (
    Tested,
    card_name,
    data_name,
    front_matter,
    is_local,
    is_on_hub,
    last_name,
    measure,
    number,
    section,
)
from .metrics import confusion
from .run_folder import Run, fold_folder, read_run
from .summary import KINDS


def write_cards(folder: Path) -> None:
    """Give every adapter of a finished run its card and picture; one that has a card keeps it.

    Args:
        folder: Of the run.
    """
    from .visualization import confusion_figure, save  # matplotlib is only needed now

    run = read_run(folder)
    names = run.class_names
    for fold, kind in ((fold, kind) for fold in run.predictions for kind in KINDS):
        adapter = fold_folder(folder, fold) / kind
        if (adapter / CARD).is_file():
            continue
        tested = _tested(run, fold, kind)
        if not run.multi_label:  # no clip is then taken for another class: it has them or has them not
            labels = [names.index(name) for name in tested.truth]
            matrix = confusion(labels, [names.index(name) for name in tested.predicted], len(names))
            subtitle = f"fold {fold}, {kind} epoch, {len(labels)} clips"
            save(partial(confusion_figure, matrix, names, subtitle), adapter / PICTURE)
        write_text(adapter / CARD, card_text(adapter, tested))


def _tested(run: Run, fold: int, kind: str) -> Tested:
    rows, over, folds = run.predictions[fold], run.summary[kind], len(run.predictions)
    if run.multi_label:
        return Tested(len(rows), config=run.config, over_folds=over, folds=folds)
    truth, predicted = [row["class"] for row in rows], [row[kind] for row in rows]
    return Tested(len(rows), truth, predicted, run.config, over, folds)


def card_text(adapter: Path, tested: Tested | None = None) -> str:
    """The card of an adapter folder, as far as it is known.

    Args:
        adapter: The folder; of paths no more than the last name gets into the card.
        tested: What its test came to, where the run is at hand.

    Raises:
        UserError: if it is no adapter folder.
    """
    config, tested = read_adapter(adapter)[1], tested or Tested()
    parts = [_title(config, adapter), _metrics(config, tested)]
    if (adapter / PICTURE).is_file():
        parts.append(f"![Which class was taken for which]({PICTURE})")
    parts += [_protocol(config, tested), _classes(config, tested), _usage(config, adapter), _limits(config)]
    return f"---\n{front_matter(config, tested, adapter)}\n---\n\n" + "\n\n".join(parts) + "\n"


def _title(config: dict[str, Any], adapter: Path) -> str:
    model, several = config["model"], "thresholds" in config
    task = "finds" if several else "tells"
    kinds = "that a clip may hold several of" if several else "apart"
    options = ", ".join(f"{name} {value}" for name, value in section(model, "method_options").items())
    megabytes = (adapter / WEIGHTS).stat().st_size / 1e6
    return (
        f"# {card_name(config)}\n\n"
        f"An Audio Spectrogram Transformer that {task} {shown(model.get('num_classes'))} classes of sound "
        f"{kinds}, adapted with petl-ast by the method {_code(model.get('method'))}"
        f"{f' ({shown(options)})' if options else ''}.\n\n"
        f"The weights here, {megabytes:.2f} MB, are what was trained. They belong on the frozen backbone "
        f"{_backbone(model.get('backbone'), adapter)}, whose fingerprint "
        f"{_code(model['backbone_fingerprint'])} is checked when they are loaded."
    )


def _backbone(saved: object, adapter: Path) -> str:
    if is_on_hub(saved, adapter):
        return f"[{saved}](https://huggingface.co/{saved})"
    if shipped(str(saved)):
        return f"{_code(saved)}, which comes with petl-ast"
    return f"{_code(last_name(saved) or 'not named')}, a local one"


def _metrics(config: dict[str, Any], tested: Tested) -> str:
    metrics, (key, quantity) = section(config, "metrics"), measure(config)
    lines = ["## How good it is", "", f"| | {quantity} | loss |", "|---|---|---|"]
    for part, note in (("test", f" ({tested.interval})" if tested.truth else ""), ("validation", "")):
        accuracy, loss = number(metrics.get(f"{part}_{key}")), number(metrics.get(f"{part}_loss"))
        known = f"{accuracy:.2%}{note} | {loss:.4f}" if accuracy is not None and loss is not None else " | "
        lines.append(f"| {part} | {known} |")
    if tested.truth:
        lines += ["", f"Right about {tested.hits} of {len(tested.truth)} clips that it was not trained on."]
        lines[-1] += " The interval is Wilson's; it speaks of other clips of the same data set."
    elif tested.clips:
        lines += ["", f"Measured on {tested.clips} clips that it was not trained on."]
    over = tested.over_folds
    if over.get("standard_deviation") is not None:
        lines += [
            "",
            f"The {tested.folds} adapters of its cross-validation have a mean of {over['mean']:.2%}",
        ]
        lines[-1] += f" (95 % interval {over['low']:.1%} to {over['high']:.1%}, Student's t over folds)."
    return "\n".join(lines)


def _protocol(config: dict[str, Any], tested: Tested) -> str:
    data, versions = section(config, "data"), section(config, "versions")
    epoch, train = section(config, "metrics").get("epoch"), data.get("train")
    lines = ["## Data and protocol", "", f"- Data set: {_code(data_name(config))}"]
    if isinstance(train, list):
        lines.append(
            f"- Trained on fold {shown(', '.join(map(str, train)))}, validated on fold "
            f"{shown(data.get('validation'))}, tested on fold {shown(data.get('test'))}: once, at the end."
        )
    if data.get("format") not in (None, "esc50"):
        lines.append(
            f"- Folds that the data set does not give are drawn, seed {shown(data.get('split_seed'))}"
        )
    if epoch is not None:
        lines.append(f"- Weights of epoch {shown(epoch)}, chosen without a look at the test fold")
    if tested.config:
        lines += _training(tested.config)
    if versions:
        lines.append("- Made with " + shown(", ".join(f"{name} {v}" for name, v in versions.items())))
    return "\n".join(lines)


def _training(config: RunConfig) -> list[str]:
    data, augment, options = config.data, config.augment, config.train
    lines = [
        f"- {options.epochs} epochs of AdamW, batch size {options.batch_size}, learning rate "
        f"{options.learning_rate:g} on a cosine, weight decay {options.weight_decay:g}, seed {options.seed}"
    ]
    masks = [(augment.frequency_mask, "mel bins"), (augment.time_mask, "frames")]
    if any(below for below, _ in masks):
        each = " and ".join(f"one of fewer than {below} {what}" for below, what in masks if below)
        lines.append(f"- SpecAugment masks on the training clips: {each}")
    if data.shots is not None:
        how = "the first ones" if data.shots_order == "first" else f"drawn by seed {data.shots_seed}"
        lines.append(f"- Of each class no more than {data.shots} clips to train on, {how}")
    if data.long_clips == "crop":
        lines.append(
            "- Of clips longer than it hears at once, a stretch drawn anew every epoch to train on; all of "
            "them, in windows, to test on"
        )
    if options.class_weights == "balanced":
        lines.append(
            "- Class weights: clips of rare classes weigh more in the loss, so that all weigh the same"
        )
    return lines


def _classes(config: dict[str, Any], tested: Tested) -> str:
    labels = config.get("labels")
    names = [str(label) for label in labels] if isinstance(labels, list) else []
    if isinstance(thresholds := config.get("thresholds"), list):
        precisions = section(section(config, "metrics"), "test_average_precision")
        lines = ["## Classes", "", "| class | average precision | named from a probability of |"]
        lines.append("|---|---|---|")
        for name, threshold in zip(names, thresholds, strict=False):
            precision, least = number(precisions.get(name)), number(threshold)
            shares = ["" if value is None else f"{value:.1%}" for value in (precision, least)]
            lines.append(f"| {_code(name)} | {' | '.join(shares)} |")
        return "\n".join(lines)
    if not tested.truth:
        return "## Classes\n\n" + (", ".join(map(_code, names)) or "They are not named.")
    lines = ["## Classes", "", "| class | clips tested | recognised |", "|---|---|---|"]
    for name in names:
        taken = [p for t, p in zip(tested.truth, tested.predicted, strict=True) if t == name]
        share = f"{taken.count(name) / len(taken):.1%}" if taken else ""
        lines.append(f"| {_code(name)} | {len(taken)} | {share} |")
    return "\n".join(lines)


def _usage(config: dict[str, Any], adapter: Path) -> str:
    given = is_local(config["model"].get("backbone"), adapter)
    option, argument = (" --backbone BACKBONE", ', backbone="BACKBONE"') if given else ("", "")
    return (
        "## How to use it\n\nADAPTER is this folder, or its id on the hub, USER/NAME."
        f"{' BACKBONE is the folder of the backbone, which is not among these files.' if given else ''}\n\n"
        f"```\npetl-ast predict ADAPTER recording.wav{option}\n```\n\n"
        "```python\nfrom pathlib import Path\n\nfrom petl_ast import load_adapter\n"
        "from petl_ast.prediction.predict import predict\n\n"
        f'for found in predict("ADAPTER", [Path("recording.wav")]{argument}):\n    print(found.classes)\n\n'
        f'model = load_adapter("ADAPTER"{argument})  # a torch module: spectrograms to logits\n```'
    )


def _limits(config: dict[str, Any]) -> str:
    seconds = (number(config["model"].get("max_length")) or 0) / FRAMES_PER_SECOND
    if "thresholds" in config:
        strangers = "silence and strangers' sounds can be given some of them too, or none"
    else:
        strangers = "silence and strangers' sounds get one of them too"
    return (
        "## Limits\n\n"
        f"- It knows nothing but its classes: {strangers}, sometimes with confidence.\n"
        f"- It hears {seconds:g} s at once: shorter clips are padded, longer recordings heard window by "
        "window.\n"
        "- It was tested on clips of one data set; other places, microphones and distances may do worse.\n"
        "- The licence in this card's header is that of these files. Data set and backbone have their own, "
        "which may forbid some uses."
    )


def _code(value: object) -> str:
    """As code in Markdown, in a table too, whatever the text is."""
    return "`" + shown(value).replace("`", "'").replace("|", "/") + "`"
