"""Files from strangers through the command line, each with the exact message that it gets."""

# ruff: noqa: E501  a message stands in one piece
from __future__ import annotations

import json
import os
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file
from test_bad_input import ADAPTER_JSON, ADAPTER_WEIGHTS, ON_CPU, Capture, adapter, edited

from petl_ast.cli import main
from tests.conftest import training_options

__all__ = ["adapter"]  # a fixture


def message(capsys: Capture, *arguments: object) -> str:
    """What a refused command says, without its beginning."""
    assert main([str(argument) for argument in arguments]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    beginning = f"petl-ast {arguments[0]}: error: "
    assert errors.startswith(beginning)
    return errors.removeprefix(beginning).rstrip("\n")


# ---- YAML --------------------------------------------------------------------------------------------------

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in zip("abcdefg", "bcdefgh", strict=True)
)
READ = "cannot be read as YAML in UTF-8 (see --help): "


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: " + 100_000 * "x", "has 100,003 bytes; a configuration has 100,000 at most."),
        (BOMB, READ + "it holds more than 10,000 values (line 4)"),
        ("a: " + 30 * "[" + 30 * "]", READ + "it is nested more than 20 levels deep (line 1)"),
        ("a: " + 3000 * "[" + 3000 * "]", READ + "it is nested more than 20 levels deep"),
        ("a: &a [*a]", READ + "it is nested more than 20 levels deep (line 1)"),
        ("train:\n  epochs: 3\n  epochs: 5", READ + "the key epochs is there twice (line 3)"),
        ('output: "a\\0b"', READ + "it holds a NUL character"),
        ("a: 0x" + 40 * "f", READ + "it holds a whole number of more than 64 bits"),
        ("a: 2020-13-45", READ + "month must be in 1..12"),
        ("a: 2020-12-24", READ + "it holds a value of type date, which no option takes"),
        ("data: x.yaml", "data is 'x.yaml'; it must be a section of options."),
    ],
)
def test_yaml(text: str, expected: str, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    said = message(capsys, "params", "--config", path).removeprefix(str(path))
    assert said.removeprefix(": ").removeprefix(" ") == expected


def test_yaml_that_would_run_code(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(f"a: !!python/object/apply:pathlib.Path.touch [{tmp_path / 'evidence'}]")
    assert "could not determine a constructor for the tag" in message(capsys, "params", "--config", path)
    assert not (tmp_path / "evidence").exists()


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (
            "--spectrogram.max_length=360000",
            "spectrogram.max_length is 360000; it must be at most 30,000 (five minutes; AST compares every tenth "
            "of a second with every other, and was made for 1024).",
        ),
        (
            "--spectrogram.sampling_rate=1000000",
            "spectrogram.sampling_rate is 1000000; it must be at most 192,000 (no microphone hears more).",
        ),
        (
            "--spectrogram.num_mel_bins=100000",
            "spectrogram.num_mel_bins is 100000; it must be at most 1,024 (AST checkpoints have 128).",
        ),
        (
            "--train.batch_size=1000000",
            "train.batch_size is 1000000; it must be at most 8,192 (all of its clips are in memory at once).",
        ),
        (
            "--train.epochs=1000000",
            "train.epochs is 1000000; it must be at most 100,000 (a week of epochs of 6 seconds; is it a slip?).",
        ),
    ],
)
def test_numbers_that_would_take_everything(option: str, expected: str, capsys: Capture) -> None:
    assert message(capsys, "train", option) == expected


def test_folds_that_are_none_are_refused_in_one_line(capsys: Capture) -> None:
    assert message(capsys, "train", "--data.folds", "one").splitlines() == [
        "data.folds: one is none of: list of whole numbers, such as [1,2], null.",
        "All options: petl-ast train --help",
    ]


# ---- the csv -----------------------------------------------------------------------------------------------


def test_every_fault_of_the_csv_at_once(miniature: Path, tmp_path: Path, capsys: Capture) -> None:
    path, audio = miniature / "meta" / "esc50.csv", miniature / "audio"
    (tmp_path / "secret.wav").write_bytes((audio / "1-100-A-2.wav").read_bytes())
    (audio / "link.wav").symlink_to(tmp_path / "secret.wav")
    (audio / "5-501-A-41.wav").unlink()
    with path.open("a") as file:
        file.write(
            "../a.wav,1,2,low_tone,True,0,A\n/etc/passwd,1,2,low_tone,True,0,A\nlink.wav,1,2,low_tone\n"
        )
        file.write('b.wav,one,2,low_tone\n"c\x1b[2J.wav",1,2,low_tone\nd.wav,1,2,"low\ntone"\n')
        file.write("1-100-A-2.wav,1,2,low_tone,True,0,A\n2-200-A-10.wav,3,10,noise\n..\\e.wav,1,2,low_tone\n")
    expected = f"""\
11 rows and clips cannot be used:
  {path}, line 10: 2-200-A-10.wav is listed again with another fold, target or category.
  {path}, line 32: '../a.wav' is not a plain file name inside {audio}.
  {path}, line 33: '/etc/passwd' is not a plain file name inside {audio}.
  {path}, line 34: audio/link.wav leads to {tmp_path / "secret.wav"} by a link, outside the data folder {miniature}.
  {path}, line 35: fold is 'one', not a whole number of at most 9 digits.
  {path}, line 36: 'c\\x1b[2J.wav' is not a plain file name inside {audio}.
  {path}, line 38: category is 'low\\ntone'; it must be plain text on one line.
  {path}, line 39: 1-100-A-2.wav is listed more than once, in line 2 already.
  {path}, line 40: 2-200-A-10.wav is listed more than once, in line 10 already.
  {path}, line 41: '..\\\\e.wav' is not a plain file name inside {audio}.
  {audio / "5-501-A-41.wav"}: no such audio file.
Mend them or take the rows out, or use what is good with --data.on_error skip."""
    assert message(capsys, "train", *training_options(miniature, tmp_path / "run")) == expected


def test_an_audio_folder_that_is_elsewhere(miniature: Path, tmp_path: Path, capsys: Capture) -> None:
    (miniature / "audio").rename(tmp_path / "elsewhere")
    (miniature / "audio").symlink_to(tmp_path / "elsewhere")
    assert message(capsys, "train", *training_options(miniature, tmp_path / "run")) == (
        f"{miniature / 'audio'} is a link to {tmp_path / 'elsewhere'}, outside {miniature}: clips are read from "
        "inside the data folder alone. Copy them there, or give the folder that really holds meta/ and audio/."
    )


# ---- audio -------------------------------------------------------------------------------------------------


def wav(samples: int, channels: int, rate: int, declared: int) -> bytes:
    """A 16-bit wav whose header says that `declared` bytes of samples follow."""
    body = bytes(2 * samples * channels)
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2 % 2**32, channels * 2 % 2**16, 16)
    head = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", declared)
    return b"RIFF" + struct.pack("<I", len(head) + len(body)) + head + body


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (os.mkfifo, "no such audio file."),
        (lambda p: p.write_bytes(b""), "cannot be decoded (Format not recognised.)"),
        (lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n" * 99), "cannot be decoded (Format not recognised.)"),
        (lambda p: p.write_bytes(wav(0, 1, 16000, 0)), "holds no samples."),
        (
            lambda p: p.write_bytes(wav(8000, 1, 1, 16000)),
            "says that it has 1 samples a second; that must be 100 to 768000.",
        ),
        (
            lambda p: p.write_bytes(wav(8000, 1, 2**31 - 1, 16000)),
            "says that it has 2147483647 samples a second; that must be 100 to 768000.",
        ),
        (
            lambda p: soundfile.write(p, np.full(800, np.nan), 16000, "FLOAT", format="WAV"),
            "holds samples that are not finite, or larger than 1e+06.",
        ),
    ],
)
def test_audio(
    make: Callable[[Path], Any], expected: str, adapter: Path, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "clip.wav"
    make(path)
    assert message(capsys, "predict", adapter, path, ON_CPU) == f"{path}: {expected}"


@pytest.mark.parametrize(
    ("channels", "rate", "declared"), [(1, 16000, 2**32 - 1), (8, 384000, 2**31), (1024, 768000, 2**31 - 2)]
)
def test_audio_that_promises_more_than_it_holds_is_used_as_far_as_it_goes(
    channels: int, rate: int, declared: int, adapter: Path, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(wav(800, channels, rate, declared))
    assert main(["predict", str(adapter), str(path), ON_CPU, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["clip"] == str(path)


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_name_that_is_no_utf8(
    adapter: Path, shared_miniature: Path, tmp_path: Path, capsys: Capture
) -> None:
    path = os.fsencode(tmp_path) + b"/B\xe4r.wav"
    with open(path, "wb") as file:
        file.write((shared_miniature / "audio" / "1-100-A-2.wav").read_bytes())
    for more in ([], ["--json"]):
        assert main(["predict", str(adapter), os.fsdecode(path), ON_CPU, *more]) == 0
        assert "B" in capsys.readouterr().out


# ---- adapter folders ---------------------------------------------------------------------------------------


def header(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """Change what the weights' file declares; the values stay."""

    def edit(folder: Path) -> None:
        path = folder / ADAPTER_WEIGHTS
        data = path.read_bytes()
        end = 8 + int.from_bytes(data[:8], "little")
        values = json.loads(data[8:end])
        change(values)
        text = json.dumps(values).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + data[end:])

    return edit


def not_finite(folder: Path) -> None:
    state = load_file(folder / ADAPTER_WEIGHTS)
    state["classification_head.bias"][0] = torch.nan
    save_file(state, folder / ADAPTER_WEIGHTS)


def raw(text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / ADAPTER_JSON).write_text(text)


FIT = "{a}: These weights do not fit the model:\n  "
ADAPTERS: list[tuple[Callable[[Path], object], str]] = [
    (
        edited("model", num_classes=10**9),
        "{a}: num_classes is 1000000000; it must be a whole number of at least 1, at most 100,000.",
    ),
    (
        edited("model", num_classes=99_999),
        FIT + "shape [3, 48] instead of [99999, 48]: classification_head.weight\n"
        "  shape [3] instead of [99999]: classification_head.bias",
    ),
    (
        edited("model", max_length=10**9),
        "{a}: max_length is 1000000000; it must be a whole number of at least 1, at most 30,000.",
    ),
    (
        edited("model", num_classes="3"),
        "{a}: num_classes is '3'; it must be a whole number of at least 1, at most 100,000.",
    ),
    (
        edited("model", method="soft_moa", method_options={"num_experts": 10**9}),
        "{a}: method_options: num_experts (1000000000) and num_slots (1) must be at least 1, and the experts at "
        "most 256.",
    ),
    (
        edited("model", method=["adapter"]),
        "{a}: The method is ['adapter'] with {{'block': 'conformer', 'placement': 'pfeiffer', 'insertion': "
        "'parallel', 'reduction_rate': 6, 'kerne; it must be a name, its method_options a mapping.",
    ),
    (
        edited("model", method="peft", method_options={"peft_type": "IA3"}),
        "{a}: method_options.peft_type is 'IA3', which makes something else than LoRA in a frozen backbone. Of "
        "LoraConfig's fields this method takes: r, lora_alpha, lora_dropout, target_modules, exclude_modules, "
        "fan_in_fan_out, bias, use_rslora, use_dora, modules_to_save, init_lora_weights, layers_to_transform, "
        "layers_pattern, rank_pattern, alpha_pattern, lora_bias.",
    ),
    (
        edited("model", method="peft", method_options={"target_modules": "(a+)+$"}),
        "{a}: method_options of 'peft': '(a+)+$' names no modules: give names (in a list, if there are several), "
        "or patterns of letters, digits, . ^ $ \\ and up to 3 .*",
    ),
    (
        edited("model", backbone="gone/from/here"),
        "{a} was trained on the backbone 'gone/from/here', a path that leads nowhere from {cwd} or the folders "
        "around the adapter: say where the backbone is now with --backbone (or backbone=...).",
    ),
    (
        edited("model", backbone=5),
        "{a}: backbone is 5, no name or path. Was adapter_config.json edited?",
    ),
    (
        raw(2000 * "[" + 2000 * "]"),
        "{a}/adapter_config.json is not valid JSON (it is nested too deeply). Was it edited?",
    ),
    (
        raw(60 * "[" + 60 * "]"),
        "{a}/adapter_config.json is not valid JSON (it is nested more than 50 levels deep). Was it edited or cut "
        "short?",
    ),
    (
        raw('{"format": NaN}'),
        "{a}/adapter_config.json is not valid JSON (NaN is no number of JSON, or too large for one). Was it "
        "edited or cut short?",
    ),
    (
        edited(labels=["a", "b", "\x1b[2J"]),
        "{a}: labels holds something else than names of one line of text.",
    ),
    (
        not_finite,
        "{a}: {a}/adapter_model.safetensors holds values that are not finite in:\n  classification_head.bias",
    ),
    (
        lambda a: (a / ADAPTER_WEIGHTS).write_bytes(b"\xff" * 7 + b"\x00" + b"{}"),
        "{a}/adapter_model.safetensors is damaged or no safetensors file (it declares a header of "
        "72,057,594,037,927,935 bytes).",
    ),
    (
        header(lambda h: h["classification_head.bias"].update(shape=[10**12])),
        "{a}/adapter_model.safetensors is damaged or no safetensors file (Error while deserializing header: "
        "invalid shape, data type, or offset for tensor).",
    ),
]


@pytest.mark.parametrize(("spoil", "expected"), ADAPTERS)
def test_adapter(
    spoil: Callable[[Path], object], expected: str, adapter: Path, shared_miniature: Path, capsys: Capture
) -> None:
    spoil(adapter)
    said = message(capsys, "predict", adapter, shared_miniature / "audio", ON_CPU)
    assert said == expected.format(a=adapter, cwd=Path.cwd())


def test_a_giant_number(adapter: Path, shared_miniature: Path, capsys: Capture) -> None:
    raw(f'{{"format": {"9" * 5000}}}')(adapter)
    said = message(capsys, "predict", adapter, shared_miniature / "audio", ON_CPU)
    assert said.startswith(f"{adapter}/adapter_config.json is not valid JSON (Exceeds the limit")


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (edited("metrics", test_accuracy="high"), "metrics.test_accuracy is 'high'"),
        (edited("data", root=["a"]), "data.root is ['a']"),
        (edited("data", test=True), "data.test is True"),
        (edited("training", batch_size=10**12), "training.batch_size is 1000000000000"),
    ],
)
def test_odd_values_beside_the_weights(
    spoil: Callable[[Path], None], expected: str, adapter: Path, finished_run: Path, capsys: Capture
) -> None:
    spoil(adapter)
    said = message(capsys, "evaluate", adapter, ON_CPU, f"--cache={finished_run.parent / 'cache'}")
    assert said == f"{adapter}: {expected}. Was adapter_config.json edited?"


# ---- reference checkpoints ---------------------------------------------------------------------------------

HEAD = "classification_head.weight"


def packed(path: Path) -> None:
    torch.save({HEAD: torch.zeros(5, 48)}, path)
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in members.items():
            new.writestr(name, content)


CANNOT = "{f} cannot be read as a torch file of plain tensors ("
REMEDY = ").\nSave the reference model with torch.save(model.state_dict(), FILE)."
UNUSABLE = "{f} holds tensors that cannot be used:\n  classification_head.weight: "
REFERENCES: list[tuple[Callable[[Path], object], str]] = [
    (packed, CANNOT + "its members are compressed, which torch.save never does" + REMEDY),
    (
        lambda p: torch.save({HEAD: torch.zeros(5, 48)}, p, _use_new_zipfile_serialization=False),
        CANNOT + "it is no zip archive, as torch.save writes since version 1.6" + REMEDY,
    ),
    (
        lambda p: torch.save({HEAD: bytearray(5)}, p),
        CANNOT + "its pickle calls __builtin__ bytearray, which no state dict needs" + REMEDY,
    ),
    (
        lambda p: torch.save({HEAD: torch.zeros(1, 1).expand(10**6, 10**6)}, p),
        UNUSABLE + "it repeats a few values as [1000000, 1000000]",
    ),
    (
        lambda p: torch.save({HEAD: torch.full((5, 48), torch.inf)}, p),
        UNUSABLE + "not all of its values are finite",
    ),
    (
        lambda p: torch.save({HEAD: torch.zeros(10**9, 0)}, p),
        "{f} holds no 'classification_head.weight': it is no state dict of the paper's reference code.",
    ),
    (
        lambda p: torch.save({HEAD: torch.zeros(5, 48, dtype=torch.complex64)}, p),
        CANNOT + "its pickle calls torch ComplexFloatStorage, which no state dict needs" + REMEDY,
    ),
]


@pytest.mark.parametrize(("make", "expected"), REFERENCES)
def test_reference_file(
    make: Callable[[Path], object], expected: str, backbone: str, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "best.pth"
    make(path)
    said = message(capsys, "import-reference", path, tmp_path / "new", f"--model.backbone={backbone}")
    assert said == expected.format(f=path)
    assert not (tmp_path / "new").exists()


# ---- backbones ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"hidden_size": 10**9},
            "hidden_size in config.json is 1000000000; it must be a whole number of at least 1 and at most 8,192.",
        ),
        (
            {"time_stride": 0},
            "time_stride in config.json is 0; it must be a whole number of at least 1 and at most 256.",
        ),
        (
            {"num_hidden_layers": "3"},
            "num_hidden_layers in config.json is '3'; it must be a whole number of at least 1 and at most 200.",
        ),
        (
            {"hidden_size": 8192, "num_hidden_layers": 200, "intermediate_size": 65536},
            "config.json describes a model of more than 268,435,456,000 weights, many times what the files beside it hold.",
        ),
    ],
)
def test_backbone(
    change: dict[str, Any],
    expected: str,
    backbone: str,
    shared_miniature: Path,
    tmp_path: Path,
    capsys: Capture,
) -> None:
    folder = tmp_path / "backbone"
    shutil.copytree(backbone, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    options = [*training_options(shared_miniature, tmp_path / "run"), f"--model.backbone={folder}"]
    assert message(capsys, "train", *options) == f"{folder}: {expected}"
