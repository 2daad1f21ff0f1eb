"""`petl-ast train FOLDER`, with no configuration at all: what is laid under everything that is given."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from .errors import UserError
from .plain_yaml import read_yaml

DEFAULTS = Path(__file__).with_name("own_sounds.yaml")
WITHOUT_VALUE = {"-h", "--help", "--print_config"}


def defaults(
    folder: str, output: str, words: Sequence[str] = (), configs: Sequence[str] = ()
) -> dict[str, Any]:
    """Options by their names on the command line, such as "train.epochs", for the sounds in `folder`.

    Args:
        folder: A folder, or a csv file.
        output: Where results go, `{name}` standing for the folder's name.
        words: The other words of the command.
        configs: The YAML files that it names.

    Raises:
        UserError: if there is nothing at `folder`.
    """
    if not Path(folder).exists():
        raise UserError(f"{folder}: no such folder or csv file. See --help for what comes here.")
    sections = read_yaml(DEFAULTS)
    values = {f"{section}.{name}": value for section in sections for name, value in sections[section].items()}
    given: dict[str, Any] = {}
    for path in configs:
        given |= {
            f"model.{name}": value for name, value in (read_yaml(Path(path)).get("model") or {}).items()
        }
    for word, following in pairwise([*words, ""]):
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            given[name] = value if equals else following
    other = any(given.get(name, values[name]) != values[name] for name in ("model.method", "model.backbone"))
    if other or "model" in given:
        del values["model.method_options"]  # chosen for the default method on the default backbone
    name = Path(folder).resolve().stem if Path(folder).is_file() else Path(folder).resolve().name
    return values | {"output": output.format(name=name or "run")}


def split_folder(words: Sequence[str]) -> tuple[list[str], str | None]:
    """Take FOLDER out of the words behind `train`, wherever it stands between options and their values.

    Returns:
        The other words, and the folder if there is one.
    """
    others: list[str] = []
    folder, takes_value, options_may_come = None, False, True
    for word in words:
        is_option = options_may_come and word.startswith("-") and not takes_value
        if word == "--" and is_option:
            options_may_come = False
        elif folder is None and not is_option and not takes_value:
            folder = word
        else:
            others.append(word)
        takes_value = is_option and word != "--" and "=" not in word and word not in WITHOUT_VALUE
    return others, folder


def with_root(words: Sequence[str], folder: str) -> list[str]:
    """Have FOLDER win over the data that a configuration file names.

    Raises:
        UserError: if `--data.root` names other data.
    """
    given = [word.partition("=")[0] for word in words]
    if "--data.root" in given:
        raise UserError(f"{folder} and --data.root both say where the clips are: give one of them.")
    layout = [] if "--data.format" in given else ["--data.format=auto"]
    return [*words, f"--data.root={folder}", *layout]
