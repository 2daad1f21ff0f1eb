"""The command line, mostly as processes of its own: what a user types, sees, and finds on disk afterwards."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml
from safetensors.torch import load_file

from conftest import GOLDEN, REPOSITORY, run_command, run_python, training_options
from petl_ast.cli import main
from petl_ast.config import RunConfig

ON_CPU = "--device=cpu"
HEAVY = {"torch", "transformers", "librosa", "matplotlib", "scipy", "sklearn", "accelerate", "numpy", "peft"}
ADAPTER = {"adapter_model.safetensors", "adapter_config.json", "README.md", "confusion_matrix.png"}
PLOTS = {"curves.png", "confusion_matrix.png", "class_accuracy.png", "spectrograms.png"}
METRICS = [
    *("epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy"),
    *("learning_rate", "gradient_norm", "skipped_steps"),
]
TIMES = ("seconds",)  # the only figures that may differ between two equal runs


def options_of(config: Any, prefix: str = "--") -> Iterator[str]:
    """Every option that a configuration has on the command line."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from options_of(value, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name


RUN_OPTIONS = ["--config", *options_of(RunConfig())]
VERBS = {
    "train": ["folder", "--dry_run", *RUN_OPTIONS],
    "few-shot": ["folder", "--shots", "--seeds", "--dry_run", *RUN_OPTIONS],
    "evaluate": ["adapter", "--data_root", "--fold", "--backbone", "--device", "--cache", "--json"],
    "predict": [
        *(
            "adapter",
            "paths",
            "--top_k",
            "--hop",
            "--threshold",
            "--ignore",
            "--format",
            "--json",
            "--output",
        ),
        *("--picture", "--overwrite", "--backbone", "--device", "--batch_size"),
    ],
    "push": ["adapter", "repository", "--private", "--licence"],
    "export": ["adapter", "file", "--int8", "--backbone", "--overwrite"],
    "report": ["run", "--output"],
    "samples": [*RUN_OPTIONS, "--folder", "--per_class"],
    "params": [*RUN_OPTIONS, "--all_methods", "--cost", "--num_classes", "--json"],
    "import-reference": ["file", "adapter", "--labels", *RUN_OPTIONS],
    "synthetic": ["folder", "--clips_per_class", "--seed"],
}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def cache_of(run: Path) -> str:
    """The option that shares the cache which `training_options` put beside a run."""
    return f"--cache={run.parent / 'cache'}"


def what_must_repeat(fold: Path) -> dict[str, Any]:
    """All that a fold left behind but how long it took."""
    result = {k: v for k, v in read(fold / "result.json").items() if k not in TIMES}
    adapters = [
        (fold / kind / name).read_bytes()
        for kind in ("last", "best")
        for name in ("adapter_model.safetensors", "adapter_config.json")
    ]
    return {
        "metrics": (fold / "metrics.csv").read_bytes(),
        "result": result,
        "adapters": adapters,
        "predictions": (fold / "predictions.csv").read_bytes(),
    }


# ---- help --------------------------------------------------------------------------------------------------


def test_help_lists_every_verb() -> None:
    done = run_command("--help")
    assert done.returncode == 0, done.stderr
    listed = {line.split()[0] for line in done.stdout.splitlines() if line.strip()}
    assert set(VERBS) <= listed


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_lists_every_option(verb: str) -> None:
    done = run_command(verb, "--help")
    assert done.returncode == 0, done.stderr
    words = done.stdout.replace(",", " ").split()
    assert [option for option in VERBS[verb] if option not in words] == []
    assert done.stdout.startswith(f"usage: petl-ast {verb} ")


def test_the_standalone_files_explain_themselves() -> None:
    for file, option in (("train.py", "--train.epochs"), ("evaluation.py", "--data_root")):
        done = run_python(file, "--help")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"usage: {file} ")
        assert option in done.stdout.split()


def test_help_imports_nothing_heavy() -> None:
    script = f"""
import sys
from petl_ast.cli import main
for words in [[], *([verb] for verb in {list(VERBS)})]:
    try:
        main([*words, "--help"])
    except SystemExit as stop:
        assert stop.code == 0, words
print("HEAVY:", *sorted({HEAVY} & set(sys.modules)))
"""
    done = run_python("-c", script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].strip() == "HEAVY:"


def test_the_installed_command_is_this_one() -> None:
    (command,) = entry_points(group="console_scripts", name="petl-ast")
    assert command.load() is main


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    import petl_ast

    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.strip() == f"petl-ast {petl_ast.__version__}"


# ---- train: what it leaves ---------------------------------------------------------------------------------


def test_a_run_leaves_the_documented_folder(finished_run: Path) -> None:
    folds = {f"fold_{n}" for n in range(1, 6)}
    files = {"config.yaml", "environment.json", "summary.json", "summary.csv"}
    assert {p.name for p in finished_run.iterdir()} == files | folds | {"plots"}
    assert {p.name for p in (finished_run / "plots").iterdir()} == PLOTS
    for fold in folds:
        inside = {p.name for p in (finished_run / fold).iterdir()}
        assert inside == {"metrics.csv", "times.csv", "predictions.csv", "result.json", "last", "best"}
        for kind in ("last", "best"):
            adapter = {p.name for p in (finished_run / fold / kind).iterdir()}
            assert adapter == ADAPTER


def test_metrics_have_a_row_per_epoch(finished_run: Path) -> None:
    for fold in finished_run.glob("fold_*"):
        epochs = rows(fold / "metrics.csv")
        assert list(epochs[0]) == METRICS
        assert [row["epoch"] for row in epochs] == ["1", "2"]
        assert float(epochs[0]["learning_rate"]) == 0.005
        for row in epochs:
            assert 0 <= float(row["train_accuracy"]) <= 1
            assert float(row["gradient_norm"]) > 0


def test_the_summary_is_made_of_the_folds(finished_run: Path) -> None:
    summary = read(finished_run / "summary.json")
    results = [read(finished_run / f"fold_{n}" / "result.json") for n in range(1, 6)]
    assert summary["folds"] == results
    table = {row["fold"]: row for row in rows(finished_run / "summary.csv")}
    for kind in ("last", "best"):
        accuracies = [result[kind]["test_accuracy"] for result in results]
        assert summary[kind]["mean"] == pytest.approx(mean(accuracies), abs=1e-12)
        assert [float(table[str(n)][kind]) for n in range(1, 6)] == accuracies
        assert float(table["mean"][kind]) == summary[kind]["mean"]


def test_predictions_come_to_the_accuracy(finished_run: Path) -> None:
    for fold in finished_run.glob("fold_*"):
        result, predictions = read(fold / "result.json"), rows(fold / "predictions.csv")
        assert len(predictions) == result["clips"]["test"] == 6
        assert {row["clip"][0] for row in predictions} == {str(result["test"])}
        for kind in ("last", "best"):
            hits = sum(row["class"] == row[kind] for row in predictions)
            assert hits / len(predictions) == result[kind]["test_accuracy"]


def test_the_environment_is_written_down(finished_run: Path) -> None:
    environment = read(finished_run / "environment.json")
    assert environment["seed"] == 10
    assert environment["versions"]["torch"] == torch.__version__
    assert f"--output={finished_run}" in environment["command"]


# ---- train: what repeats -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def repeated(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run once more, from its own config.yaml, through train.py."""
    output = tmp_path_factory.mktemp("again") / "outputs" / "again"
    done = run_python("train.py", "--config", finished_run / "config.yaml", f"--output={output}")
    assert done.returncode == 0, done.stderr
    assert "mean" in done.stdout
    assert "Fold 5, epoch 2/2" in done.stderr  # progress does not mix with results
    return output


def test_a_runs_configuration_gives_the_same_configuration(finished_run: Path, repeated: Path) -> None:
    first, again = (yaml.safe_load((run / "config.yaml").read_text()) for run in (finished_run, repeated))
    assert again.pop("output") == str(repeated)
    assert first.pop("output") == str(finished_run)
    assert first == again
    assert first["train"]["epochs"] == 2
    assert first["model"]["method_options"] == {"reduction_rate": 6, "kernel_size": 8}


def test_the_same_seed_gives_the_same_bits(finished_run: Path, repeated: Path) -> None:
    for n in range(1, 6):
        first, again = (what_must_repeat(run / f"fold_{n}") for run in (finished_run, repeated))
        assert first == again


def test_a_fold_alone_equals_that_fold_among_five(
    finished_run: Path, shared_miniature: Path, tmp_path: Path
) -> None:
    """Started from another folder, with a relative output: it must land there."""
    options = training_options(shared_miniature, tmp_path / "unused")
    done = run_command("train", *options, "--output=alone", "--data.folds", "[3]", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    alone = tmp_path / "alone"
    assert [p.name for p in alone.glob("fold_*")] == ["fold_3"]
    assert what_must_repeat(alone / "fold_3") == what_must_repeat(finished_run / "fold_3")
    summary = read(alone / "summary.json")
    assert summary["last"] == {
        "mean": summary["folds"][0]["last"]["test_accuracy"],
        **dict.fromkeys(("standard_deviation", "low", "high")),
    }


def test_another_seed_gives_another_run(finished_run: Path, shared_miniature: Path, tmp_path: Path) -> None:
    output = tmp_path / "other"
    options = training_options(shared_miniature, output)
    assert main(["train", *options, "--train.seed=11", "--data.folds=[3]"]) == 0
    first, other = (rows(run / "fold_3" / "metrics.csv") for run in (finished_run, output))
    assert first[0]["train_loss"] != other[0]["train_loss"]
    weights = [
        load_file(run / "fold_3" / "last" / "adapter_model.safetensors") for run in (finished_run, output)
    ]
    head = "classification_head.weight"
    assert not torch.equal(weights[0][head], weights[1][head])


# ---- train: options ----------------------------------------------------------------------------------------


def printed_config(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    with pytest.raises(SystemExit) as stop:
        main(["train", *map(str, arguments), "--print_config"])
    assert stop.value.code == 0
    return yaml.safe_load(capsys.readouterr().out)


@pytest.fixture
def short(tmp_path: Path) -> Path:
    path = tmp_path / "short.yaml"
    path.write_text(
        "train: {epochs: 1, learning_rate: 0.01}\ndata: {folds: [2]}\n"
        "model: {method_options: {reduction_rate: 6, kernel_size: 4}}\n"
    )
    return path


def test_the_command_line_wins_over_yaml(
    shared_miniature: Path, tmp_path: Path, short: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    options = [o for o in training_options(shared_miniature, output) if "train.epochs" not in o]
    assert main(["train", "--config", str(short), *options, "--train.learning_rate=0.002"]) == 0
    config = yaml.safe_load((output / "config.yaml").read_text())
    assert config["train"]["epochs"] == 1
    assert config["data"]["folds"] == [2]
    assert config["train"]["learning_rate"] == 0.002
    assert config["model"]["method_options"]["kernel_size"] == 8
    (epoch,) = rows(output / "fold_2" / "metrics.csv")
    assert float(epoch["learning_rate"]) == 0.002


def test_one_method_option_alone_can_be_changed(short: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = printed_config(capsys, "--config", short, "--model.method_options.kernel_size", 31)
    assert config["model"]["method_options"] == {"reduction_rate": 6, "kernel_size": 31}


def test_the_command_line_wins_wherever_config_stands(
    short: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = printed_config(capsys, "--train.epochs", 7, "--config", short)
    assert config["train"] == {**config["train"], "epochs": 7, "learning_rate": 0.01}


def test_a_later_file_is_laid_over_an_earlier_one(
    short: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    over = tmp_path / "over.yaml"
    over.write_text("train: {epochs: 5}\n")
    config = printed_config(capsys, "--config", short, "--config", over)
    assert config["train"]["epochs"] == 5
    assert config["train"]["learning_rate"] == 0.01


def test_overwrite_replaces_a_run(finished_run: Path, shared_miniature: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    shutil.copytree(finished_run, output)
    options = [*training_options(shared_miniature, output), "--train.epochs=1"]
    assert main(["train", *options, "--data.folds=[4]", "--overwrite=true"]) == 0
    assert [p.name for p in output.glob("fold_*")] == ["fold_4"]
    assert [fold["test"] for fold in read(output / "summary.json")["folds"]] == [4]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_stops_without_a_traceback(shared_miniature: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    arguments = [*training_options(shared_miniature, output), "--train.epochs=100000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "petl_ast", "train", *arguments],
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
        # A runner in the background may ignore Ctrl-C, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    metrics, patience = output / "fold_1" / "metrics.csv", time.monotonic() + 120
    while not metrics.exists() and process.poll() is None and time.monotonic() < patience:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "petl-ast train: stopped" in errors
    assert list(output.rglob("*.tmp*")) == []
    assert all(None not in row.values() for row in rows(metrics))  # no half-written line


@pytest.mark.skipif(os.name != "posix", reason="POSIX terminals")
def test_a_terminal_that_is_closed_leaves_everything_saved(shared_miniature: Path, tmp_path: Path) -> None:
    import pty

    output = tmp_path / "run"
    arguments = [*training_options(shared_miniature, output), "--train.epochs=100000"]
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "petl_ast", "train", *arguments],
        cwd=REPOSITORY,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )
    os.close(theirs)
    metrics, patience = output / "fold_1" / "metrics.csv", time.monotonic() + 120
    while not metrics.exists() and process.poll() is None and time.monotonic() < patience:
        time.sleep(0.05)
    os.close(ours)
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=60) == 128 + signal.SIGHUP
    assert (output / "fold_1" / "checkpoint.safetensors").is_file()


def test_ctrl_c_elsewhere_says_what_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("petl_ast.data.esc50_dataset.ESC50Dataset.of", interrupted)
    assert main(["samples"]) == 130
    assert "stopped. What was finished is kept." in capsys.readouterr().err


# ---- evaluate ----------------------------------------------------------------------------------------------


def test_evaluate_gives_exactly_trainings_accuracy(
    finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for n in range(1, 6):
        result = read(finished_run / f"fold_{n}" / "result.json")
        for kind in ("last", "best"):
            adapter = finished_run / f"fold_{n}" / kind
            assert main(["evaluate", str(adapter), "--json", ON_CPU, cache_of(finished_run)]) == 0
            found = json.loads(capsys.readouterr().out)
            assert found["fold"] == n
            assert found["clips"] == 6
            assert found["accuracy"] == found["reported"] == result[kind]["test_accuracy"]
            assert found["loss"] == pytest.approx(result[kind]["test_loss"], rel=1e-6)
            assert sum(map(sum, found["matrix"])) == 6


def test_evaluation_py_scores_again(finished_run: Path, tmp_path: Path) -> None:
    adapter = finished_run / "fold_4" / "best"
    done = run_python("evaluation.py", adapter, "--json", ON_CPU, f"--cache={tmp_path / 'cache'}")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["accuracy"] == read(adapter / "adapter_config.json")["metrics"]["test_accuracy"]


def test_evaluate_prints_report_and_confusion_matrix(
    finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adapter = finished_run / "fold_2" / "last"
    assert main(["evaluate", str(adapter), ON_CPU, cache_of(finished_run)]) == 0
    printed = capsys.readouterr().out
    accuracy = read(adapter / "adapter_config.json")["metrics"]["test_accuracy"]
    for text in ("precision", "recall", "F1", "low_tone", "Confusion matrix", "macro avg"):
        assert text in printed
    assert f"Fold 2: {accuracy:.2%} of 6 clips" in printed
    assert f"Training reported {accuracy:.2%}: the same." in printed


def test_evaluate_says_when_a_fold_was_trained_on(
    finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An accuracy on training clips must not be taken for a result."""
    adapter = str(finished_run / "fold_1" / "last")
    said = {}
    for fold in (1, 2):  # tested on, trained on
        assert main(["evaluate", adapter, f"--fold={fold}", ON_CPU, cache_of(finished_run)]) == 0
        printed = capsys.readouterr()
        said[fold] = (printed.out + printed.err).lower()
    assert "trained on" in said[2]
    assert "trained on" not in said[1]


# ---- predict -----------------------------------------------------------------------------------------------


@pytest.fixture
def clips(shared_miniature: Path) -> list[Path]:
    """The test clips of fold 1 in the order of predictions.csv."""
    listed = rows(shared_miniature / "meta" / "esc50.csv")
    return [shared_miniature / "audio" / row["filename"] for row in listed if row["fold"] == "1"]


def test_predict_tells_a_broken_file_and_goes_on(
    finished_run: Path, clips: list[Path], tmp_path: Path
) -> None:
    """Files and a folder mixed, as a process of its own."""
    broken, folder = tmp_path / "broken.wav", tmp_path / "folder"
    broken.write_bytes(b"this is no sound")
    (folder / "deep").mkdir(parents=True)
    shutil.copy(clips[3], folder / "b.wav")
    shutil.copy(clips[4], folder / "deep" / "a.WAV")
    (folder / "notes.txt").write_text("no audio")
    adapter = finished_run / "fold_1" / "last"
    done = run_command("predict", adapter, clips[2], broken, folder, clips[0], "--json", "--top_k=2", ON_CPU)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert str(broken) in done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    order = [clips[2], folder / "b.wav", folder / "deep" / "a.WAV", clips[0]]
    assert [clip["clip"] for clip in found] == [str(path) for path in order]
    told = {row["clip"]: row["last"] for row in rows(finished_run / "fold_1" / "predictions.csv")}
    for clip, source in zip(found, (clips[2], clips[3], clips[4], clips[0]), strict=True):
        first, second = clip["classes"]
        assert first["class"] == told[source.name]
        assert first["probability"] >= second["probability"] > 0


def test_predict_prints_a_table(
    finished_run: Path, clips: list[Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clips[0].parent)  # short names, as a user would type them
    names = [clip.name for clip in clips]
    assert main(["predict", str(finished_run / "fold_1" / "last"), *names, ON_CPU]) == 0
    printed, errors = capsys.readouterr()
    assert errors == ""
    told = {row["clip"]: row["last"] for row in rows(finished_run / "fold_1" / "predictions.csv")}
    lines = [line for line in printed.splitlines() if ".wav" in line]
    assert [name for name, line in zip(names, lines, strict=True) if name not in line] == []
    for name, line in zip(names, lines, strict=True):
        assert told[name] in line
        assert line.count("%") == 3  # three classes by default


def test_a_list_a_pattern_and_a_missing_file(finished_run: Path, clips: list[Path], tmp_path: Path) -> None:
    """Everything in its turn; what is missing is told, and the rest goes on."""
    shutil.copy(clips[3], tmp_path / "b.wav")
    shutil.copy(clips[4], tmp_path / "a.wav")
    words = [tmp_path / "gone.wav", "-", tmp_path / "*.wav"]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "petl_ast",
            "predict",
            finished_run / "fold_1" / "last",
            *words,
            "--json",
            ON_CPU,
        ],
        input=f"{clips[1]}\n{tmp_path / 'none.wav'}\n{clips[0]}\n",
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=False,
    )
    assert done.returncode == 2
    found = [json.loads(line) for line in done.stdout.splitlines()]
    order = [clips[1], clips[0], tmp_path / "a.wav", tmp_path / "b.wav"]
    assert [line["clip"] for line in found] == [str(path) for path in order]
    assert done.stderr.splitlines() == [
        f"petl-ast predict: error: {tmp_path / name}: no such file or folder."
        for name in ("gone.wav", "none.wav")
    ]


def test_several_adapters_hear_the_same_clips(finished_run: Path, clips: list[Path], tmp_path: Path) -> None:
    one, other = (finished_run / f"fold_{fold}" / "last" for fold in (1, 2))
    words = ["predict", "--adapter", one, f"--adapter={other}", "--json", ON_CPU]
    done = run_command(*words, clips[0], clips[1])
    assert (done.returncode, done.stderr) == (0, "")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["clip"], line["adapter"]) for line in found] == [
        (str(clip), name) for clip in clips[:2] for name in ("fold_1/last", "fold_2/last")
    ]
    pictures = run_command(*words[:-2], clips[0], "--picture", "--output", tmp_path / "out", ON_CPU)
    assert [Path(line).name for line in pictures.stdout.splitlines() if line.endswith(".png")] == [
        f"{clips[0].stem}_fold_{fold}_last.png" for fold in (1, 2)
    ]


def test_one_adapter_may_be_an_option(
    finished_run: Path, clips: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Wherever it stands; what is printed is the same to the byte."""
    adapter, clip = str(finished_run / "fold_1" / "last"), str(clips[0])
    said = []
    for words in ([adapter, clip], ["--adapter", adapter, clip], [clip, f"--adapter={adapter}"]):
        assert main(["predict", *words, "--format=csv", ON_CPU]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] == said[2] != ""
    assert main(["predict", clip, "--adapter"]) == 2
    assert "--adapter: expected one argument" in capsys.readouterr().err


def long_recording(path: Path, seconds: int) -> None:
    """Silence, which compresses well."""
    with soundfile.SoundFile(path, "w", 16000, 1) as file:
        for _ in range(seconds):
            file.write(np.zeros(16000))


def test_files_for_each_recording(
    finished_run: Path, clips: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long_recording(tmp_path / "long.flac", 3)
    adapter, out = finished_run / "fold_1" / "last", tmp_path / "out"
    words = ["predict", adapter, tmp_path / "long.flac", clips[0], "--output", out, "--picture", ON_CPU]
    done = run_command(*words, "--format=audacity", "--threshold=0", "--hop=0.2")
    assert (done.returncode, done.stderr) == (0, "")
    names = ["long.txt", "long.png", f"{clips[0].stem}.txt", f"{clips[0].stem}.png"]
    assert done.stdout.splitlines() == [str(out / name) for name in names]
    assert {path.name for path in out.iterdir()} == set(names)
    labels = [line.split("\t") for line in (out / "long.txt").read_text().splitlines()]
    assert float(labels[0][0]) == 0 and float(labels[-1][1]) == 3
    assert all(name in ("low_tone", "noise", "high_tone") for _, _, name in labels)
    again = [*map(str, words), "--format=audacity"]
    assert main(again) == 2
    told = capsys.readouterr().err
    assert "--overwrite" in told and str(out / "long.png") in told
    assert main([*again, "--overwrite"]) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_keeps_the_recordings_that_are_finished(
    finished_run: Path, clips: list[Path], tmp_path: Path
) -> None:
    long_recording(tmp_path / "hours.flac", 4 * 3600)
    out = tmp_path / "out"
    words = [
        finished_run / "fold_1" / "last",
        clips[0],
        tmp_path / "hours.flac",
        "--format=csv",
        "--output",
        out,
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "petl_ast", "predict", *map(str, words), ON_CPU, "--hop=0.05"],
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    finished, patience = out / f"{clips[0].stem}.csv", time.monotonic() + 120
    while not finished.exists() and process.poll() is None and time.monotonic() < patience:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "\npetl-ast predict: stopped. What was finished is kept.\n"
    assert list(out.iterdir()) == [finished]
    assert len(rows(finished)) == 1


def test_top_k_beyond_the_classes_names_them_all(
    finished_run: Path, clips: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    adapter = str(finished_run / "fold_1" / "last")
    assert main(["predict", adapter, str(clips[0]), "--json", "--top_k=99", ON_CPU]) == 0
    classes = json.loads(capsys.readouterr().out)["classes"]
    assert {c["class"] for c in classes} == {"low_tone", "noise", "high_tone"}
    assert sum(c["probability"] for c in classes) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    "name",
    [
        "take[bell].wav",
        "left[/right].wav",
        "take[1].wav",
    ],
)
def test_the_table_shows_names_as_they_are(
    name: str,
    finished_run: Path,
    clips: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Brackets are no markup; the second name is a folder `left[` and a file in it."""
    monkeypatch.chdir(tmp_path)
    Path(name).parent.mkdir(exist_ok=True)
    shutil.copy(clips[0], name)
    assert main(["predict", str(finished_run / "fold_1" / "last"), name, ON_CPU]) == 0
    assert name in capsys.readouterr().out


def test_the_table_does_not_cut_a_long_name(
    finished_run: Path,
    clips: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Wherever its lines are broken, all of the name is there."""
    monkeypatch.chdir(tmp_path)
    name = "_".join(map(str, range(50))) + ".wav"
    shutil.copy(clips[0], name)
    assert main(["predict", str(finished_run / "fold_1" / "last"), name, ON_CPU]) == 0
    printed = capsys.readouterr().out
    first_column = "".join(line.strip("│|").split("│")[0].strip() for line in printed.splitlines())
    assert name in first_column or name in printed


# ---- the other verbs ---------------------------------------------------------------------------------------


def test_report_writes_tables_and_pictures(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, output = tmp_path / "run", tmp_path / "generated"
    shutil.copytree(finished_run, run)
    for picture in PLOTS - {"spectrograms.png"}:
        (run / "plots" / picture).unlink()  # they can be drawn anew, from the run's files alone
    assert main(["report", str(run), f"--output={output}"]) == 0
    assert {p.name for p in output.iterdir()} == {"results.tex", "setup.tex", *PLOTS}
    assert {Path(line) for line in capsys.readouterr().out.splitlines()} == set(output.iterdir())
    assert {p.name for p in (run / "plots").iterdir()} == PLOTS


def test_samples_come_from_other_folds_than_the_tested(
    finished_run: Path, shared_miniature: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, folder = str(finished_run / "config.yaml"), tmp_path / "samples"
    arguments = ["--config", config, f"--folder={folder}", "--data.folds=[2]", "--per_class=2"]
    assert main(["samples", *arguments]) == 0
    printed = capsys.readouterr().out.splitlines()
    listed = rows(folder / "samples.csv")
    assert printed == [str(folder / row["sample"]) for row in listed]
    assert len(listed) == 6
    assert "2" not in {row["fold"] for row in listed}
    for row in listed:
        source = shared_miniature / "audio" / row["clip"]
        assert (folder / row["sample"]).read_bytes() == source.read_bytes()


def test_params_as_json(backbone: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--model.backbone", backbone, "--model.method_options={reduction_rate: 6, kernel_size: 8}"]
    assert main(["params", *options, "--spectrogram.max_length=128", "--num_classes=5", "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert counts.pop("total") > 50_000
    assert counts == {"method": 4200, "layernorm": 384, "head": 245, "trainable": 4829}


def test_params_as_a_table(backbone: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--model.backbone", backbone, "--model.method_options={reduction_rate: 6, kernel_size: 8}"]
    assert main(["params", *options, "--spectrogram.max_length=128", "--num_classes=5"]) == 0
    printed = capsys.readouterr().out
    for number in ("4,200", "384", "245", "4,829"):
        assert number in printed


def test_the_demo_works_on_what_synthetic_makes(tmp_path: Path) -> None:
    """As `make demo` does it, with fewer clips, epochs and folds."""
    data, output = tmp_path / "synthetic", tmp_path / "run"
    done = run_command("synthetic", data, "--clips_per_class=5")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(data), str(data / "backbone")]
    assert len(list((data / "audio").glob("*.wav"))) == 50
    paths = [f"--data.root={data}", f"--model.backbone={data / 'backbone'}", f"--output={output}"]
    small = [
        "--data.folds=[1]",
        "--train.epochs=1",
        f"--data.cache={tmp_path / 'cache'}",
        "--train.device=cpu",
    ]
    assert main(["train", "--config", str(REPOSITORY / "configs" / "demo.yaml"), *paths, *small]) == 0
    assert len(rows(output / "fold_1" / "predictions.csv")) == 10
    assert len(read(output / "fold_1" / "last" / "adapter_config.json")["labels"]) == 10


@pytest.mark.skipif(os.name != "posix", reason="POSIX pipes")
def test_a_closed_pipe_is_no_crash(finished_run: Path, clips: list[Path]) -> None:
    """As in `petl-ast predict ... --json | head -1`."""
    command = [
        sys.executable,
        "-m",
        "petl_ast",
        "predict",
        finished_run / "fold_1" / "last",
        *clips,
        "--json",
    ]
    process = subprocess.Popen(
        [*map(str, command), ON_CPU],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, errors = process.communicate(timeout=120)
    assert "Traceback" not in errors


# ---- clips that cannot be used -----------------------------------------------------------------------------


def test_skip_trains_on_the_good_clips_and_evaluate_scores_the_same(
    miniature: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (miniature / "audio" / "1-100-A-2.wav").write_bytes(b"no sound")
    with (miniature / "meta" / "esc50.csv").open("a") as file:
        file.write("../x.wav,1,2,low_tone,True,0,A\n")
    output, only = tmp_path / "run", ["--data.folds=[1]", "--train.epochs=1"]
    options = [*training_options(miniature, output), *only]
    assert main(["train", *options]) == 2
    assert "line 32: '../x.wav'" in capsys.readouterr().err
    assert main(["train", *options, "--data.on_error=skip"]) == 0
    warning = capsys.readouterr().err
    assert "1 rows of the csv and 1 clips cannot be used and are left out; 29 clips are used" in warning
    skipped = rows(output / "skipped.csv")
    assert [(row["clip"], row["line"]) for row in skipped] == [("../x.wav", "32"), ("1-100-A-2.wav", "")]
    assert "not a plain file name" in skipped[0]["reason"]
    assert "cannot be decoded" in skipped[1]["reason"]
    assert len(rows(output / "fold_1" / "predictions.csv")) == 5
    assert main(["evaluate", str(output / "fold_1" / "last"), f"--cache={tmp_path / 'cache'}"]) == 0
    found = capsys.readouterr().out
    assert "of 5 clips" in found
    assert "the same." in found
    assert "NOT the same" not in found


def test_an_adapter_finds_its_relative_backbone_from_anywhere(
    shared_miniature: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    shutil.copytree(GOLDEN / "backbone", project / "data" / "ast" / "backbone")
    monkeypatch.chdir(project)
    options = training_options(shared_miniature, project / "outputs" / "run")
    options += ["--model.backbone=data/ast/backbone", "--data.folds=[1]", "--train.epochs=1"]
    assert main(["train", *options]) == 0
    clip = str(shared_miniature / "audio" / "1-100-A-2.wav")
    adapter = project / "outputs" / "run" / "fold_1" / "last"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["predict", str(adapter), clip, "--device=cpu"]) == 0
    shutil.move(adapter, tmp_path / "elsewhere" / "alone")
    assert main(["predict", "alone", clip, "--device=cpu"]) == 2
    backbone = str(project / "data" / "ast" / "backbone")
    assert main(["predict", "alone", clip, "--device=cpu", "--backbone", backbone]) == 0


def test_an_adapter_in_a_recordings_place_is_told(
    finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = (str(finished_run / "fold_1" / kind) for kind in ("last", "best"))
    assert main(["predict", one, "--adapter", other, "clip.wav"]) == 2
    assert f"{one} is an adapter, no recording" in capsys.readouterr().err
