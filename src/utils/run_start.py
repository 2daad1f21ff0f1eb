"""How a run starts in its folder: anew, or going on with the one that is there if it is the same still."""

from __future__ import annotations

import dataclasses
import hashlib
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from accelerate import Accelerator

from ..config import RunConfig, load_run_config, to_yaml
from ..data.dataset import AudioDataset
from ..data.listing import Problem
from ..errors import UserError
from ..files import (
    clear_write_errors,
    list_some,
    read_json,
    remove_litter,
    write_csv,
    write_json,
    write_text,
)
from ..models.ast_with_adapter import ASTWithAdapter
from ..text import shown
from .console import messages
from .environment import describe
from .run_folder import (
    CHECKPOINT,
    CONFIG,
    ENVIRONMENT,
    PLOTS,
    RESULT,
    SKIPPED,
    SUMMARY_CSV,
    SUMMARY_JSON,
    fold_folder,
)

# What may be another than when the run was started: where things lie, and what no number depends on.
FREE = (
    "output",
    "data.root",
    "data.cache",
    "data.format",  # which clips and folds came of it is compared by checksums
    "model.backbone",
    "train.checkpoint_steps",
    "train.on_nonfinite",
    "train.tensorboard",
)


def with_resumed_output(config: RunConfig) -> RunConfig:
    """The configuration with the folder that `resume` names as its output, if it names one.

    Raises:
        UserError: if there is no run in that folder, or the run shall be replaced too.
    """
    if isinstance(config.resume, bool) or config.resume == "auto":
        return config
    if not (Path(config.resume) / CONFIG).is_file():
        raise UserError(
            f"resume is {config.resume!r}, but there is no run in that folder ({CONFIG} is missing). "
            "Give the folder of a run, such as outputs/demo, or auto, or false."
        )
    if config.overwrite:
        raise UserError("--resume goes on with a run, --overwrite replaces it: give one of them.")
    return dataclasses.replace(config, output=config.resume)


def goes_on(config: RunConfig) -> bool:
    """Whether to go on with the run in the output folder; if not, the folder is free for a new one.

    Raises:
        UserError: if the folder holds other things, or a run that may be neither replaced nor gone on with.
    """
    output = Path(config.output)
    with clear_write_errors(output):
        if all(path.name.startswith(".") for path in output.iterdir()):  # the lock, and what a kill left
            return False
    if not (output / CONFIG).is_file():
        raise UserError(f"{output} holds other things than a run. Choose another folder with --output.")
    begun = [path for name in (RESULT, CHECKPOINT) for path in output.glob(f"fold_*/{name}")]
    if not begun and not _wrote_config(output):  # a configuration that somebody wrote by hand
        raise UserError(f"{output} holds other things than a run. Choose another folder with --output.")
    if config.overwrite or not begun:  # one without a saved step has nothing to lose
        return False
    if config.resume is False:
        raise UserError(
            f"{output} already holds a run. Choose another folder with --output, go on with that run with "
            "--resume auto, or replace it with --overwrite."
        )
    if differing := differences(load_run_config(output / CONFIG), config):
        raise UserError(
            f"{output} already holds a run with another configuration:\n{list_some(differing, most=50)}\n"
            f"Go on with that run by: petl-ast train --resume {shlex.quote(str(output))}\n"
            "Or choose another folder with --output, or replace the run with --overwrite."
        )
    return True


def _wrote_config(output: Path) -> bool:
    try:
        text = (output / CONFIG).read_text(encoding="utf-8")
        return to_yaml(load_run_config(output / CONFIG)) == text
    except (UserError, UnicodeDecodeError):
        return False


def finished_folds(config: RunConfig, folds: list[int]) -> dict[int, dict[str, Any]]:
    """The results of those folds that are finished, by the fold tested on.

    Raises:
        UserError: if one cannot be read.
    """
    results = {}
    for fold in folds:
        folder = fold_folder(Path(config.output), fold)
        if (path := folder / RESULT).is_file():
            results[fold] = read_json(path)
            if not isinstance(results[fold], dict) or results[fold].get("test") != fold:
                raise UserError(f"{path} is not what a run writes. Delete it to train that fold again.")
    return results


def begin(config: RunConfig, dataset: AudioDataset, model: ASTWithAdapter, accelerator: Accelerator) -> None:
    """Clear what an earlier run left, and leave configuration, machine and material."""
    output = Path(config.output)
    with clear_write_errors(output):
        for fold in output.glob("fold_*"):
            for name in (RESULT, CHECKPOINT):  # first: without them nobody goes on with what is left
                (fold / name).unlink(missing_ok=True)
            shutil.rmtree(fold)
        shutil.rmtree(output / PLOTS, ignore_errors=True)
        for name in (SUMMARY_JSON, SUMMARY_CSV, SKIPPED):
            (output / name).unlink(missing_ok=True)
    remove_litter(output)
    write_text(output / CONFIG, to_yaml(config))  # first: it makes the folder a run's
    _write_skipped(output / SKIPPED, dataset.skipped)
    environment = describe(config.train.seed, accelerator.device)
    write_json(
        output / ENVIRONMENT, {**environment, "material": _material(dataset, model.backbone_fingerprint)}
    )


def go_on(config: RunConfig, dataset: AudioDataset, model: ASTWithAdapter, accelerator: Accelerator) -> None:
    """Tidy up behind a killed process, and note the machine that goes on."""
    output = Path(config.output)
    check_same_material(config, dataset, model.backbone_fingerprint)
    remove_litter(output)
    for result in output.glob(f"fold_*/{RESULT}"):  # killed between its last two acts
        with clear_write_errors(result.parent):
            (result.parent / CHECKPOINT).unlink(missing_ok=True)
    environment, now = read_json(output / ENVIRONMENT), describe(config.train.seed, accelerator.device)
    if changed := [
        f"{name}: {environment.get(name)} before, {now[name]} now"
        for name in ("device", "torch_threads", "versions")
        if environment.get(name) != now[name]
    ]:
        messages().print(
            "This is not the machine or the software that the run was begun with; what is still to be done "
            f"may differ in the last digits:\n{list_some(changed)}"
        )
    if config.train.compile:
        messages().print("Compiled anew, the model may differ in the last digits from before.")
    write_json(output / ENVIRONMENT, {**environment, "resumed": [*environment.get("resumed", []), now]})


def _write_skipped(path: Path, problems: Sequence[Problem]) -> None:
    """Write what was left out as a table, if anything was."""
    if problems:
        write_csv(
            path,
            [
                {"clip": shown(problem.clip), "line": problem.line or "", "reason": shown(problem.reason)}
                for problem in problems
            ],
        )


def check_same_material(config: RunConfig, dataset: AudioDataset, backbone: str | None = None) -> None:
    """See that clips, and backbone if given, are those that the run in the output folder was begun with.

    Raises:
        UserError: naming what has changed.
    """
    path = Path(config.output) / ENVIRONMENT
    environment = read_json(path)
    known = environment.get("material") if isinstance(environment, dict) else None
    if not isinstance(known, dict):
        raise UserError(
            f"{path} does not tell what the run was begun with: another version wrote it, or it was edited. "
            "Choose another folder with --output, or replace the run with --overwrite."
        )
    now = _material(dataset, backbone)
    if changed := [name for name, checksum in now.items() if checksum and known.get(name) != checksum]:
        raise UserError(
            f"{config.output} was begun with other {' and '.join(changed)} than there are now (checksums in "
            f"{path}). Restore them, choose another folder with --output, or replace the run with "
            "--overwrite."
        )


def _material(dataset: AudioDataset, backbone: str | None) -> dict[str, str | None]:
    """Checksums of what a run is made from: clips (files, names, folds, classes) and backbone."""
    digest = hashlib.sha256(dataset.checksum.encode())
    for clip in dataset.clips:
        row = f"{clip.name}\0{clip.fold}\0{clip.category}\0{clip.label}\n"
        digest.update(row.encode(errors="surrogateescape"))
    return {"clips": digest.hexdigest()[:16], "backbone": backbone}


def differences(there: RunConfig, here: RunConfig) -> list[str]:
    """A line for each option by which two runs would come to different numbers."""
    before, now = (_flat(yaml.safe_load(to_yaml(config))) for config in (there, here))
    return [
        f"{name}: {_shown(before, name)} there, {_shown(now, name)} here"
        for name in sorted(before.keys() | now.keys())
        if name not in FREE and before.get(name) != now.get(name)
    ]


def _shown(values: dict[str, Any], name: str) -> str:
    """A value as YAML has it."""
    return "null" if (value := values.get(name, "not given")) is None else str(value)


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
