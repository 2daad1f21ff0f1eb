"""The words of a command line: what people type, and what they are told about a slip."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from petl_ast.cli import main
from petl_ast.words import configs_first, in_short, spelt_out

DEFAULTS = {"dry_run": False, "overwrite": False, "train.epochs": 50, "data.folds": None, "resume": "auto"}


@pytest.mark.parametrize(
    ("words", "spelt"),
    [
        (["--dry_run"], ["--dry_run=true"]),
        (["--dry_run", "sounds"], ["--dry_run=true", "sounds"]),
        (["--dry_run", "false", "sounds"], ["--dry_run=false", "sounds"]),
        (["--dry_run=no", "--overwrite"], ["--dry_run=no", "--overwrite=true"]),
        (["--dry_run", "off", "--overwrite", "1"], ["--dry_run=false", "--overwrite=true"]),
        (["--private"], ["--private=true"]),
        (["--private", "no"], ["--private=false"]),
        (["--seeds", "-1"], ["--seeds=[-1]"]),
        (["--shots=1,2,"], ["--shots=[1,2,]"]),
        (["--train.betas", "0.9,0.98"], ["--train.betas=[0.9,0.98]"]),
        (["--data.folds", "1"], ["--data.folds=[1]"]),
        (["--data.folds=1,2"], ["--data.folds=[1,2]"]),
        (["--data.folds", "[1,2]"], ["--data.folds=[1,2]"]),
        (["--data.folds", "null"], ["--data.folds=null"]),
        (["--data.folds"], ["--data.folds"]),
        (["--train.epochs", "1", "--resume", "true"], ["--train.epochs", "1", "--resume", "true"]),
        (["a.wav", "-", "--", "--overwrite"], ["a.wav", "-", "--", "--overwrite"]),
        ([], []),
    ],
)
def test_options_are_spelt_out(words: list[str], spelt: list[str]) -> None:
    assert spelt_out(words, DEFAULTS) == spelt


def test_configuration_files_come_first(tmp_path: Path) -> None:
    words, files = configs_first(["sounds", "--train.epochs", "2", "--config", "a.yaml", "--config=b.yaml"])
    assert words == ["--config=a.yaml", "--config=b.yaml", "sounds", "--train.epochs", "2"]
    assert files == ["a.yaml", "b.yaml"]
    (tmp_path / "config.yaml").touch()
    assert configs_first(["--resume", str(tmp_path)])[1] == [str(tmp_path / "config.yaml")]
    assert configs_first(["--resume", str(tmp_path / "none")])[1] == []
    assert configs_first(["--", "--config", "a.yaml"]) == (["--", "--config", "a.yaml"], [])


@pytest.mark.parametrize(
    "words", [["--overwrite", "--data.folds", "1,2"], ["--overwrite=yes", "--data.folds=[1, 2]"]]
)
def test_the_parser_takes_what_is_spelt_out(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", *words, "--print_config"])
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["overwrite"] is True
    assert printed["data"]["folds"] == [1, 2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "--epochs", "3"], "unrecognized arguments: --epochs. Did you mean --train.epochs?"),
        (["train", "--train.epoch=3"], "Did you mean --train.epochs?"),
        (["predict", "a", "b", "--topk", "3"], "Did you mean --top_k?"),
        (["train", "--hlep"], "Did you mean --help?"),
        (["evaluate", "--adapter", "a"], "ADAPTER stands without --adapter before it."),
        (["predict", "a", "b", "--config", "c.yaml"], "unrecognized arguments: --config c.yaml"),
        (["train", "--train.betas", "fast"], "fast is no list of numbers, such as 0.9,0.98."),
        (["train", "--model.method_options", "foo"], "foo is no options in braces"),
        (["train", "--train.epochs", "x"], "train.epochs: x is no whole number."),
        (["train", "--train.learning_rate", "fast"], "train.learning_rate: fast is no number."),
        (["train", "--train.device", "gpu"], "train.device: gpu is no 'auto' or 'cpu' or 'cuda' or 'mps'."),
        (["train", "--overwrite=maybe"], "overwrite: maybe is no true or false."),
        (
            ["train", "--data.folds", "x"],
            "data.folds: x is none of: list of whole numbers, such as [1,2], null.",
        ),
    ],
)
def test_a_slip_is_told_in_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"petl-ast {words[0]}: error: ") and said in first
    assert second == f"All options: petl-ast {words[0]} --help"


def test_what_is_like_no_option_gets_no_hint() -> None:
    assert in_short("unrecognized arguments: --zzz", ["train.epochs"]) == "unrecognized arguments: --zzz"


def test_a_verb_that_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2
    assert "Did you mean train?" in capsys.readouterr().err


def test_every_hint_is_an_option_that_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Also where the option fills something that is called otherwise."""
    assert main(["predict", "a", "b", "--more_adapter", "c"]) == 2
    assert "--more_adapters" not in capsys.readouterr().err
