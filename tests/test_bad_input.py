"""What a user may get wrong: one message that names the thing and a remedy, exit code 2, never a traceback.

Most of it runs in this process, for speed; some mistakes are made in processes of their own.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

from conftest import GOLDEN, SAMPLING_RATE, run_command, run_python, training_options
from petl_ast.cli import main

ON_CPU = "--device=cpu"
Capture = pytest.CaptureFixture[str]


def check_message(verb: str, code: int, output: str, errors: str, words: tuple[str, ...]) -> None:
    assert code == 2, errors
    assert "Traceback" not in errors
    assert errors.startswith(f"petl-ast {verb}: error: ")
    assert errors.count("error: ") == 1
    assert output == ""
    assert [word for word in words if word not in errors] == [], errors


def refused(capsys: Capture, verb: str, *arguments: object, words: tuple[str, ...]) -> None:
    """Run a verb in this process: it must refuse with one message that holds these words."""
    code = main([verb, *map(str, arguments)])
    check_message(verb, code, *capsys.readouterr(), words)


# ---- train: options ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--data.root=/nowhere/ESC-50", ("/nowhere/ESC-50", "download_data.sh", "make demo")),
        ("--data.folds=[9]", ("no fold 9", "[1, 2, 3, 4, 5]")),
        ("--data.folds=[1,1]", ("data.folds", "[1, 1]", "once")),
        ("--data.folds=[]", ("data.folds", "[]", "leave it out")),
        ("--data.folds=three", ("data.folds", "three", "list of whole numbers")),
        ("--data.folds=[first]", ("data.folds", "first", "list of whole numbers")),
        ("--data.subset=esc20", ("data.subset", "esc20", "esc10")),
        ("--train.epoch=3", ("--train.epoch=3", "unrecognized", "--help")),
        ("--learning_rate=3", ("--learning_rate=3", "unrecognized", "--help")),
        ("--train.epochs=many", ("train.epochs", "many", "whole number")),
        ("--train.epochs=2.5", ("train.epochs", "2.5", "whole number")),
        ("--train.epochs=null", ("train.epochs", "None", "whole number")),
        ("--train.epochs=-1", ("train.epochs", "-1", "at least 1")),
        ("--train.batch_size=0", ("train.batch_size", "0", "at least 1")),
        ("--train.learning_rate=0", ("train.learning_rate", "0", "above 0")),
        ("--train.betas=[0.9]", ("train.betas", "2 elements")),
        ("--train.betas=[0.9,1.0]", ("train.betas", "below 1")),
        ("--train.seed=-1", ("train.seed", "-1", "at least 0")),
        ("--train.precision=fp16", ("fp16", "GPU", "fp32")),
        ("--train.precision=fp8", ("train.precision", "fp8", "bf16")),
        ("--overwrite=maybe", ("overwrite", "maybe", "true or false", "--help")),
        ("--model.method=lore", ("'lore'", "the methods are", "adapter", "lora")),
        ("--model.method_options={reduction: 6}", ("'reduction'", "reduction_rate", "kernel_size")),
        ("--model.method_options={reduction_rate: many}", ("reduction_rate", "many", "whole number")),
        ("--model.method_options={block: conformist}", ("block", "conformist", "conformer")),
        ("--model.method_options={reduction_rate: 1000}", ("reduction_rate", "1000", "hidden size 48")),
        ("--model.method_options={reduction_rate: 0}", ("reduction_rate", "0", "at least 1")),
        ("--model.method_options={dropout: 1}", ("dropout", "below 1")),
        ("--model.method_options=[6]", ("model.method_options", "braces")),
        ("--model.position_embeddings=ones", ("position_embeddings", "ones", "zeros")),
        ("--model.pooling=max", ("pooling", "max", "mean")),
        ("--spectrogram.max_length=15", ("max_length", "15", "16 frames")),
        ("--spectrogram.num_mel_bins=64", ("num_mel_bins", "64", "128")),
        ("--spectrogram.std=0", ("spectrogram.std", "above 0")),
        ("--augment.time_mask=-1", ("augment.time_mask", "-1", "at least 0")),
        ("--config=/nowhere/run.yaml", ("/nowhere/run.yaml", "does not exist", "--help")),
        ("--config=/", ("configuration /", "not a file", "--help")),
    ],
)
def test_an_option_that_cannot_work(
    option: str, words: tuple[str, ...], shared_miniature: Path, tmp_path: Path, capsys: Capture
) -> None:
    output = tmp_path / "run"
    refused(capsys, "train", *training_options(shared_miniature, output), option, words=words)
    assert not output.exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_device_that_is_not_there(
    finished_run: Path, shared_miniature: Path, tmp_path: Path, capsys: Capture
) -> None:
    adapter = finished_run / "fold_1" / "last"
    options = training_options(shared_miniature, tmp_path / "run")
    words = ("'cuda'", "this machine offers: cpu", "auto")
    refused(capsys, "train", *options, "--train.device=cuda", words=words)
    cache = f"--cache={finished_run.parent / 'cache'}"
    refused(capsys, "evaluate", adapter, "--device=cuda", cache, words=words)
    refused(capsys, "predict", adapter, shared_miniature, "--device=cuda", words=words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("train: {epoch: 3}", ("train.epoch", "not accept", "--help")),
        ("trian: {epochs: 3}", ("trian", "not accept", "--help")),
        ("train: {epochs: many}", ("train.epochs", "many", "whole number")),
        ("train: {epochs: true}", ("train.epochs", "True", "whole number")),
        ("model: {backbone: 5}", ("model.backbone", "5", "str")),
        ("train:\n  epochs: [3\n", ("line 2", "expected", "--help")),
        ("- train\n- epochs\n", ("train", "--help")),
        ("train: 3", ("train", "3")),
        ("train: {epochs: }", ("epochs",)),
        ("data: {root: }", ("root",)),
        ("a: &a [*a]", ("a",)),
        ("", ("empty",)),
    ],
)
def test_a_yaml_file_that_cannot_work(
    text: str, words: tuple[str, ...], shared_miniature: Path, tmp_path: Path, capsys: Capture
) -> None:
    path, output = tmp_path / "run.yaml", tmp_path / "run"
    path.write_text(text)
    options = [o for o in training_options(shared_miniature, output) if "data.root" not in o]
    refused(capsys, "train", *options, "--config", path, words=words)
    assert not output.exists()


@pytest.mark.parametrize("text", ["train: {epoch: 3}", "train: {epochs: many}", "train:\n  epochs: [3\n"])
def test_a_mistake_in_yaml_names_the_file(text: str, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    refused(capsys, "train", "--config", path, words=("mine.yaml",))


def test_a_configuration_that_is_no_text(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    refused(capsys, "train", "--config", path, words=("run.yaml", "UTF-8"))


# ---- train: data -------------------------------------------------------------------------------------------


def edit_csv(root: Path, edit: Callable[[list[str]], list[str]]) -> None:
    path = root / "meta" / "esc50.csv"
    path.write_text("\n".join(edit(path.read_text().splitlines())) + "\n")


def replace(old: str, new: str) -> Callable[[list[str]], list[str]]:
    return lambda lines: [line.replace(old, new) for line in lines]


def add(*lines: str) -> Callable[[list[str]], list[str]]:
    return lambda before: [*before, *lines]


def without_noise_in_training(lines: list[str]) -> list[str]:
    return [line for line in lines if "noise" not in line or line[0] in "15"]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (replace("category", "kategorie"), ("no column category", "kategorie")),
        (lambda lines: [""], ("no column", "filename, fold, target, category")),
        (lambda lines: lines[:1], ("lists no clips",)),
        (without_noise_in_training, ("noise", "fold 1", "[2, 3, 4]", "needs clips")),
        (lambda lines: [line for line in lines if line[0] in "f12"], ("[1, 2]", "at least three")),
        (add("1-100-A-2.wav,1,2,low_tone,True,0,A"), ("1-100-A-2.wav", "more than once")),
        (add("new.wav,first,2,low_tone,True,0,A"), ("line 32", "'first'", "whole number")),
        (add("new.wav,1"), ("line 32", "no target, category")),
        (add("../new.wav,1,2,low_tone,True,0,A"), ("line 32", "'../new.wav'", "plain file name")),
        (add("new.wav,1,2,hum,True,0,A"), ("target and category", "one to one", "2")),
    ],
)
def test_a_csv_that_cannot_work(
    edit: Callable[[list[str]], list[str]],
    words: tuple[str, ...],
    miniature: Path,
    tmp_path: Path,
    capsys: Capture,
) -> None:
    edit_csv(miniature, edit)
    options = training_options(miniature, tmp_path / "run")
    refused(capsys, "train", *options, "--data.folds=[1]", words=("esc50.csv", *words))


def no_samples(path: Path) -> None:
    soundfile.write(path, np.zeros(0), SAMPLING_RATE)


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (Path.unlink, "no such audio file"),
        (lambda path: path.write_bytes(b"this is no sound"), "cannot be decoded"),
        (lambda path: path.write_bytes(b""), "cannot be decoded"),
        (no_samples, "no samples"),
        (lambda path: soundfile.write(path, np.full(800, np.nan), 16000, "FLOAT"), "not finite"),
    ],
)
def test_a_clip_that_cannot_be_used(
    spoil: Callable[[Path], object], word: str, miniature: Path, tmp_path: Path, capsys: Capture
) -> None:
    spoil(miniature / "audio" / "2-200-A-10.wav")
    words = ("1 of 30 clips", "2-200-A-10.wav", word, "Mend or replace")
    refused(capsys, "train", *training_options(miniature, tmp_path / "run"), words=words)


def test_every_bad_clip_is_named_at_once(miniature: Path, tmp_path: Path, capsys: Capture) -> None:
    bad = sorted((miniature / "audio").iterdir())[:12]
    for path in bad:
        path.unlink()
    words = ("12 of 30 clips", *(path.name for path in bad), "--data.on_error skip")
    refused(capsys, "train", *training_options(miniature, tmp_path / "run"), words=words)


def test_a_silent_clip_is_told_and_used(miniature: Path, tmp_path: Path, capsys: Capture) -> None:
    soundfile.write(miniature / "audio" / "1-100-A-2.wav", np.zeros(SAMPLING_RATE // 2), SAMPLING_RATE)
    options = [*training_options(miniature, tmp_path / "run"), "--data.folds=[1]", "--train.epochs=1"]
    assert main(["train", *options]) == 0
    errors = capsys.readouterr().err
    assert "Warning" in errors
    assert "1-100-A-2.wav" in errors.split("silence")[1]
    assert "1-100-A-2.wav" in (tmp_path / "run" / "fold_1" / "predictions.csv").read_text()


def test_the_same_command_works_once_the_data_is_mended(
    miniature: Path, tmp_path: Path, capsys: Capture
) -> None:
    clip = miniature / "audio" / "2-200-A-10.wav"
    sound = clip.read_bytes()
    clip.unlink()
    options = [*training_options(miniature, tmp_path / "run"), "--data.folds=[1]", "--train.epochs=1"]
    assert main(["train", *options]) == 2
    clip.write_bytes(sound)
    assert main(["train", *options]) == 0, capsys.readouterr().err


def test_overwrite_keeps_the_old_run_if_the_new_one_cannot_start(
    finished_run: Path, miniature: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    shutil.copytree(finished_run, output)
    (miniature / "audio" / "2-200-A-10.wav").unlink()
    assert main(["train", *training_options(miniature, output), "--overwrite=true"]) == 2
    assert (output / "summary.json").read_bytes() == (finished_run / "summary.json").read_bytes()
    assert (output / "fold_1" / "last" / "adapter_model.safetensors").is_file()


# ---- train: output -----------------------------------------------------------------------------------------


def test_an_output_that_holds_a_run(
    finished_run: Path, shared_miniature: Path, tmp_path: Path, capsys: Capture
) -> None:
    output = tmp_path / "run"
    shutil.copytree(finished_run, output)
    words = (str(output), "already holds a run", "--overwrite", "--output")
    options = training_options(shared_miniature, output)
    refused(capsys, "train", *options, "--resume=false", words=(*words, "--resume auto"))
    changed = ("another configuration", "train.epochs: 2 there, 3 here", "--resume " + str(output))
    refused(capsys, "train", *options, "--train.epochs=3", words=(*words, *changed))
    assert (output / "summary.json").is_file()


def test_an_output_that_holds_other_things(shared_miniature: Path, tmp_path: Path, capsys: Capture) -> None:
    """Not even --overwrite touches what is no run."""
    output = tmp_path / "thesis"
    output.mkdir()
    (output / "thesis.tex").write_text("years of work")
    for more in ([], ["--overwrite=true"]):
        options = training_options(shared_miniature, output)
        refused(capsys, "train", *options, *more, words=(str(output), "other things", "--output"))
    assert [p.name for p in output.iterdir()] == ["thesis.tex"]


def test_an_output_that_is_a_file(shared_miniature: Path, tmp_path: Path, capsys: Capture) -> None:
    output = tmp_path / "run"
    output.write_text("a file")
    for place in (output, output / "below"):
        options = [*training_options(shared_miniature, tmp_path / "unused"), f"--output={place}"]
        refused(capsys, "train", *options, words=(str(place), "Cannot write", "another folder"))
    assert output.read_text() == "a file"


# ---- backbone ----------------------------------------------------------------------------------------------


@pytest.fixture
def own_backbone(tmp_path: Path) -> Path:
    """A copy of the tiny backbone, to be spoilt."""
    folder = tmp_path / "backbone"
    shutil.copytree(GOLDEN / "backbone", folder)
    return folder


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (shutil.rmtree, ("config.json and model.safetensors",)),
        (lambda b: (b / "config.json").unlink(), ("config.json and model.safetensors",)),
        (lambda b: (b / "config.json").write_text("{"), ("config.json", "folder with")),
        (
            lambda b: edit_json(b / "config.json", model_type="vit"),
            ("'vit'", "audio-spectrogram-transformer"),
        ),
        (lambda b: edit_json(b / "config.json", hidden_size=96), ("hub id", "folder with")),
        (lambda b: edit_json(b / "config.json", num_hidden_layers=4), ("lacks 16 weights", "layers.3.")),
        (lambda b: edit_json(b / "config.json", num_hidden_layers=2), ("no AST's", "layers.2.")),
        (lambda b: (b / "model.safetensors").unlink(), ("no file named model.safetensors", "folder with")),
        (lambda b: (b / "model.safetensors").write_bytes(b"junk" * 9), ("header", "folder with")),
        (lambda b: halve(b / "model.safetensors"), ("not fully covered", "folder with")),
        pytest.param(
            lambda b: (b / "config.json").write_text("[]"),
            ("config.json",),
        ),
    ],
)
def test_a_backbone_that_cannot_be_used(
    spoil: Callable[[Path], object],
    words: tuple[str, ...],
    own_backbone: Path,
    shared_miniature: Path,
    tmp_path: Path,
    capsys: Capture,
) -> None:
    spoil(own_backbone)
    options = [*training_options(shared_miniature, tmp_path / "run"), f"--model.backbone={own_backbone}"]
    refused(capsys, "train", *options, words=(str(own_backbone), *words))
    assert not (tmp_path / "run").exists()


# ---- adapter folders ---------------------------------------------------------------------------------------

ADAPTER_JSON, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@pytest.fixture
def adapter(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of a trained adapter, to be spoilt."""
    folder = tmp_path / "adapter"
    shutil.copytree(finished_run / "fold_1" / "last", folder)
    return folder


def edited(section: str | None = None, **changes: Any) -> Callable[[Path], None]:
    """Change values of adapter_config.json, or of a section of it; None takes one out."""

    def edit(folder: Path) -> None:
        path = folder / ADAPTER_JSON
        config = json.loads(path.read_text())
        target = config if section is None else config[section]
        for name, value in changes.items():
            target[name] = value
            if value is None:
                del target[name]
        path.write_text(json.dumps(config))

    return edit


def drop_a_tensor(folder: Path) -> None:
    state = load_file(folder / ADAPTER_WEIGHTS)
    del state["classification_head.bias"]
    save_file(state, folder / ADAPTER_WEIGHTS)


ADAPTER_MISTAKES = [
    pytest.param(shutil.rmtree, ("no adapter folder", "fold_N/last"), id="missing"),
    pytest.param(lambda a: (a / ADAPTER_JSON).unlink(), ("no adapter folder", ADAPTER_JSON), id="no config"),
    pytest.param(lambda a: (a / ADAPTER_WEIGHTS).unlink(), (ADAPTER_WEIGHTS,), id="no weights"),
    pytest.param(
        lambda a: (a / ADAPTER_JSON).write_text('{"for'), ("not valid JSON", "edited"), id="cut json"
    ),
    pytest.param(lambda a: (a / ADAPTER_JSON).write_text("[1]"), ("adapter format 1",), id="list"),
    pytest.param(lambda a: (a / ADAPTER_JSON).write_bytes(b"\xff\xfe"), ("Cannot read",), id="no text"),
    pytest.param(lambda a: halve(a / ADAPTER_WEIGHTS), (ADAPTER_WEIGHTS, "damaged"), id="cut weights"),
    pytest.param(lambda a: (a / ADAPTER_WEIGHTS).write_bytes(b"junk" * 9), ("damaged",), id="junk weights"),
    pytest.param(edited(format=0), (ADAPTER_JSON, "adapter format 1"), id="old format"),
    pytest.param(edited(model=None), ("section 'model'", "edited"), id="no model"),
    pytest.param(edited("model", backbone_fingerprint=None), ("section 'model'",), id="no fingerprint"),
    pytest.param(edited("model", num_classes=None), ("num_classes", "this version"), id="no classes"),
    pytest.param(edited("model", colour="red"), ("colour", "this version"), id="unknown setting"),
    pytest.param(edited("model", method="lore"), ("'lore'", "the methods are"), id="unknown method"),
    pytest.param(edited("model", num_classes=4), ("[3, 48]", "[4, 48]", "classification_head"), id="classes"),
    pytest.param(edited("model", backbone="/gone/ast"), ("/gone/ast", "--backbone"), id="backbone gone"),
    pytest.param(drop_a_tensor, ("missing: classification_head.bias",), id="tensor missing"),
    pytest.param(edited(labels=None), ("labels", "training run"), id="no labels"),
    pytest.param(edited(labels=["a", "b"]), ("3 classes", "['a', 'b']"), id="too few labels"),
    pytest.param(edited(spectrogram=None), ("spectrogram settings",), id="no spectrogram"),
    pytest.param(edited("spectrogram", hop=1), ("spectrogram", "'hop'", "max_length"), id="unknown key"),
    pytest.param(edited("spectrogram", max_length=64), ("64", "48"), id="other max_length"),
    pytest.param(edited("spectrogram", num_mel_bins=64), ("64", "128"), id="other num_mel_bins"),
]


@pytest.mark.parametrize(("spoil", "words"), ADAPTER_MISTAKES)
def test_an_adapter_that_cannot_be_used(
    spoil: Callable[[Path], object],
    words: tuple[str, ...],
    adapter: Path,
    finished_run: Path,
    shared_miniature: Path,
    capsys: Capture,
) -> None:
    """Whoever reads it: evaluate and predict say the same."""
    spoil(adapter)
    cache = f"--cache={finished_run.parent / 'cache'}"
    refused(capsys, "evaluate", adapter, ON_CPU, cache, words=words)
    refused(capsys, "predict", adapter, shared_miniature / "audio", ON_CPU, words=words)


@pytest.mark.parametrize(
    "spoil",
    [drop_a_tensor, edited(labels=["a"]), edited(spectrogram=None)],
    ids=["tensor", "labels", "settings"],
)
def test_a_spoilt_adapter_is_named(
    spoil: Callable[[Path], object], adapter: Path, shared_miniature: Path, capsys: Capture
) -> None:
    spoil(adapter)
    refused(capsys, "predict", adapter, shared_miniature / "audio", ON_CPU, words=(str(adapter),))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(edited(data=None), ("--data_root", "--fold"), id="no data"),
        pytest.param(edited("data", root="/gone/ESC-50"), ("/gone/ESC-50",), id="data gone"),
        pytest.param(edited("data", test=9), ("no fold 9", "[1, 2, 3, 4, 5]"), id="fold gone"),
        pytest.param(edited(data="here"), ("data",), id="data no mapping"),
        pytest.param(edited(training="fast"), ("training",), id="no mapping"),
        pytest.param(
            edited("training", batch_size=0),
            ("batch_size",),
            id="batch size",
        ),
        pytest.param(edited("training", precision="fp8"), ("precision", "fp8"), id="precision"),
        pytest.param(edited("data", subset="esc20"), ("esc20", "esc10"), id="subset"),
    ],
)
def test_an_adapter_that_cannot_be_evaluated(
    spoil: Callable[[Path], object],
    words: tuple[str, ...],
    adapter: Path,
    finished_run: Path,
    capsys: Capture,
) -> None:
    spoil(adapter)
    refused(capsys, "evaluate", adapter, ON_CPU, f"--cache={finished_run.parent / 'cache'}", words=words)


def test_moved_data_can_be_pointed_at(adapter: Path, capsys: Capture) -> None:
    edited("data", root="/gone/ESC-50")(adapter)
    refused(capsys, "evaluate", adapter, ON_CPU, words=("/gone/ESC-50", "--data_root"))


def test_an_adapter_against_another_backbone(
    adapter: Path, own_backbone: Path, shared_miniature: Path, capsys: Capture
) -> None:
    weights = own_backbone / "model.safetensors"
    state = load_file(weights)
    state[next(name for name in state if name.endswith("layernorm_after.weight"))] += 1
    save_file(state, weights, metadata={"format": "pt"})
    words = (str(own_backbone), "fingerprint", "other weights", "--backbone")
    more = (f"--backbone={own_backbone}", ON_CPU)
    refused(capsys, "evaluate", adapter, *more, words=words)
    refused(capsys, "predict", adapter, shared_miniature / "audio", *more, words=words)


def test_evaluate_on_data_of_other_classes(adapter: Path, miniature: Path, capsys: Capture) -> None:
    edit_csv(miniature, replace("noise", "rain"))
    words = (str(adapter), "low_tone, noise, high_tone", str(miniature), "low_tone, rain, high_tone")
    refused(capsys, "evaluate", adapter, f"--data_root={miniature}", ON_CPU, words=words)


def test_evaluate_on_a_fold_that_is_not_there(adapter: Path, shared_miniature: Path, capsys: Capture) -> None:
    words = ("no fold 7", str(shared_miniature), "[1, 2, 3, 4, 5]")
    refused(capsys, "evaluate", adapter, "--fold=7", ON_CPU, words=words)


# ---- predict -----------------------------------------------------------------------------------------------


def test_predict_without_a_file(adapter: Path, tmp_path: Path, capsys: Capture) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "notes.txt").write_text("no audio")
    refused(capsys, "predict", adapter, words=("required", "paths", "--help"))
    refused(capsys, "predict", adapter, "/nowhere/a.wav", words=("/nowhere/a.wav", "no such file"))
    refused(capsys, "predict", adapter, empty, words=(str(empty), "no audio file"))


@pytest.mark.parametrize("option", ["--top_k=0", "--batch_size=0", "--top_k=all"])
def test_predict_with_senseless_numbers(
    option: str, adapter: Path, shared_miniature: Path, capsys: Capture
) -> None:
    name, value = option.removeprefix("--").split("=")
    refused(capsys, "predict", adapter, shared_miniature, option, words=(name, value))


# ---- the other verbs ---------------------------------------------------------------------------------------


def test_report_on_no_run(shared_miniature: Path, finished_run: Path, capsys: Capture) -> None:
    for place in ("/nowhere/run", shared_miniature, finished_run / "config.yaml", finished_run / "fold_1"):
        refused(capsys, "report", place, words=(str(place), "no run with a finished fold", "summary.json"))


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("config.yaml", None, ("config.yaml",)),
        ("config.yaml", "train: [", ("config.yaml", "cannot be read as YAML")),
        ("environment.json", None, ("environment.json",)),
        ("summary.json", "{", ("summary.json", "not valid JSON")),
        ("fold_2/metrics.csv", None, ("metrics.csv",)),
        ("fold_1/last/adapter_config.json", None, ("adapter_config.json",)),
        ("summary.json", "{}", ("summary.json",)),
        ("environment.json", "{}", ("environment.json",)),
        ("fold_2/metrics.csv", "", ("metrics.csv",)),
        ("fold_2/metrics.csv", "epoch,loss\n1,low\n", ("metrics.csv",)),
        ("fold_2/predictions.csv", "clip,class,last,best\na,b,c,d\n", ("predictions.csv",)),
    ],
)
def test_report_on_a_damaged_run(
    file: str,
    content: str | None,
    words: tuple[str, ...],
    finished_run: Path,
    tmp_path: Path,
    capsys: Capture,
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    (run / file).unlink()
    if content is not None:
        (run / file).write_text(content)
    refused(capsys, "report", run, f"--output={tmp_path / 'generated'}", words=words)


def test_report_into_a_file(finished_run: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "file").write_text("")
    words = (str(tmp_path / "file"), "Cannot write", "another folder")
    refused(capsys, "report", finished_run, f"--output={tmp_path / 'file'}", words=words)


def test_samples_that_cannot_be_had(shared_miniature: Path, tmp_path: Path, capsys: Capture) -> None:
    options = [
        f"--data.root={shared_miniature}",
        f"--data.cache={tmp_path / 'cache'}",
        f"--folder={tmp_path}",
    ]
    refused(capsys, "samples", *options, "--per_class=0", words=("per_class", "0", "at least 1"))
    refused(capsys, "samples", *options, "--data.folds=[8]", words=("no fold 8", "[1, 2, 3, 4, 5]"))


def test_params_that_cannot_be_counted(backbone: str, capsys: Capture) -> None:
    options = ("--model.backbone", backbone)
    refused(capsys, "params", *options, "--num_classes=0", words=("num_classes", "0", "at least 1"))
    refused(capsys, "params", "--model.backbone=/nowhere/ast", words=("/nowhere/ast", "config.json"))


def test_a_reference_file_that_cannot_be_imported(tmp_path: Path, backbone: str, capsys: Capture) -> None:
    junk, adapter = tmp_path / "junk.pth", tmp_path / "adapter"
    junk.write_bytes(b"no tensors")
    model = ("--model.backbone", backbone)
    words = ("/nowhere/best.pth", "no such file")
    refused(capsys, "import-reference", "/nowhere/best.pth", adapter, *model, words=words)
    words = (str(junk), "cannot be read", "torch.save")
    refused(capsys, "import-reference", junk, adapter, *model, words=words)
    assert not adapter.exists()


def test_synthetic_data_that_cannot_be_made(miniature: Path, tmp_path: Path, capsys: Capture) -> None:
    new = tmp_path / "new"
    refused(capsys, "synthetic", miniature, words=("esc50.csv", "another data set", "another folder"))
    refused(capsys, "synthetic", new, "--clips_per_class=2", words=("2 clips", "5 folds"))
    inside = miniature / "meta" / "esc50.csv"
    refused(capsys, "synthetic", inside, words=(str(inside), "Cannot write", "another folder"))


def test_synthetic_data_of_a_negative_seed(tmp_path: Path, capsys: Capture) -> None:
    refused(capsys, "synthetic", tmp_path / "new", "--seed=-1", words=("seed", "-1", "at least 0"))


def test_no_verb_and_unknown_verb(capsys: Capture) -> None:
    for arguments in ([], ["trian"]):
        assert main(arguments) == 2
        output, errors = capsys.readouterr()
        assert output == ""
        assert errors.startswith("petl-ast: error: ")
        assert "train" in errors
        assert "petl-ast --help" in errors


# ---- as processes of their own -----------------------------------------------------------------------------


def test_no_data_as_a_user_sees_it(tmp_path: Path) -> None:
    """The first thing that happens to whoever starts before downloading."""
    done = run_command("train", f"--output={tmp_path / 'run'}", f"--data.root={tmp_path / 'ESC-50'}")
    words = (str(tmp_path / "ESC-50"), "download_data.sh", "make demo")
    check_message("train", done.returncode, done.stdout, done.stderr, words)
    assert not (tmp_path / "run").exists()


def test_unknown_options_as_a_user_sees_them() -> None:
    done = run_command("train", "--epochs", 3)
    check_message("train", done.returncode, done.stdout, done.stderr, ("--epochs", "petl-ast train --help"))
    done = run_python("train.py", "--epochs", 3)
    assert done.returncode == 2
    assert done.stderr.startswith("train.py: error: ")
    assert "train.py --help" in done.stderr


def test_a_hub_id_out_of_reach(
    shared_miniature: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    name = "MIT/ast-finetuned-audioset-10-10-0.4593"
    options = [*training_options(shared_miniature, tmp_path / "run"), f"--model.backbone={name}"]
    done = run_command("train", *options)
    words = (name, "hub id", "folder with config.json")
    check_message("train", done.returncode, done.stdout, done.stderr, words)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("file", "says"),
    [("model.safetensors", "many times what"), ("model.safetensors.index.json", "several files")],
)
def test_a_hub_backbone_that_promises_more_than_it_holds(
    shared_miniature: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, says: str
) -> None:
    """As the hub's own cache has it: a stranger's adapter may name a stranger's backbone."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    place = tmp_path / "hub" / "hub" / "models--some--body"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("0" * 40)
    snapshot = place / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    sizes = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16}
    (snapshot / "config.json").write_text(
        json.dumps({"model_type": "audio-spectrogram-transformer", **sizes})
    )
    (snapshot / file).write_bytes(b"\0" * 8)
    options = [*training_options(shared_miniature, tmp_path / "run"), "--model.backbone=some/body"]
    done = run_command("train", *options)
    check_message("train", done.returncode, done.stdout, done.stderr, ("some/body", says))


def test_a_damaged_adapter_as_a_user_sees_it(adapter: Path) -> None:
    halve(adapter / ADAPTER_WEIGHTS)
    done = run_command("evaluate", adapter, ON_CPU)
    words = (str(adapter / ADAPTER_WEIGHTS), "damaged")
    check_message("evaluate", done.returncode, done.stdout, done.stderr, words)
