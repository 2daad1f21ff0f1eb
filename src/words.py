"""The words of a command line: put into the order and form that the parser wants, and what it says about
them put so that one sees what to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any

LISTS = {"data.folds", "shots", "seeds", "train.betas"}  # options that take several numbers
FLAGS = {"private"}  # on, off, or left open; others are those that are off by default
ON, OFF = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}  # what may stand behind a flag
NUMBERS = re.compile(r"-?[\d.]+(,\s*-?[\d.]+)*,?")


def configs_first(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Put `--config FILE` in front of the other options, so that these win wherever they stand.

    A run that `--resume FOLDER` names brings its own configuration, if no other is given.

    Returns:
        The words in their new order, and the files.
    """
    files: list[str] = []
    others: list[str] = []
    coming = iter(words)
    for word in coming:
        if word == "--":  # nothing behind it is an option
            others += [word, *coming]
        elif word == "--config" and (file := next(coming, None)) is not None:
            files.append(file)
        elif word.startswith("--config="):
            files.append(word.removeprefix("--config="))
        else:
            others.append(word)
    resumed = [word.removeprefix("--resume=") for word in others if word.startswith("--resume=")]
    resumed += [value for word, value in pairwise(others) if word == "--resume"]
    if resumed and not files and (config := Path(resumed[-1]) / "config.yaml").is_file():
        files.append(str(config))
    return [*(f"--config={file}" for file in files), *others], files


def spelt_out(words: Iterable[str], defaults: Mapping[str, Any]) -> list[str]:
    """Options as the parser reads them: `--dry_run` is `--dry_run=true`, and `--data.folds 1,2` a list.

    Args:
        words: Behind the verb.
        defaults: Of its options; one whose default is false is on or off.
    """
    done: list[str] = []
    coming = list(words)
    while coming:
        word = coming.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        if word == "--":  # nothing behind it is an option
            return [*done, word, *coming]
        if not word.startswith("--"):
            done.append(word)
            continue
        if not equals and (defaults.get(name) is False or name in FLAGS):
            given = coming.pop(0).lower() if coming and coming[0].lower() in ON | OFF else "true"
            done.append(f"{word}={'true' if given in ON else 'false'}")
            continue
        if not equals and coming and name in LISTS:
            equals, value = "=", coming.pop(0)
        if name in LISTS and NUMBERS.fullmatch(value):
            value = f"[{value}]"
        done.append(f"--{name}{equals}{value}")
    return done


def in_short(message: str, options: Iterable[str] = (), positionals: Iterable[str] = ()) -> str:
    """What jsonargparse says about a word, in one line, with what was probably meant.

    Args:
        message: Jsonargparse's.
        options: The names of all that there are, such as "train.epochs".
        positionals: The names of what stands without an option, such as "adapter"; or verbs.
    """
    message = re.sub(r'Parser key "([\w.]+)":\s+', r"\1: ", message)
    message = re.sub(
        r"Does not validate against any of the Union subtypes\s+Subtypes: \[(?P<types>.*)\]\n.*"
        r"Given value: (?P<value>.*)",
        lambda found: f"{found['value']} is none of: {_types(found['types'])}.",
        message,
        flags=re.DOTALL,
    )
    message = re.sub(
        r"Expected a (?P<type>.*)\. Got value: (?P<value>.*)",
        lambda found: f"{found['value']} is no {_types(found['type'])}.",
        message,
    )
    if unknown := re.match(r"unrecognized arguments: --([\w.-]+)", message, flags=re.IGNORECASE):
        if unknown[1] in positionals:
            return f"{message}. {unknown[1].upper()} stands without --{unknown[1]} before it."
        return message + _meant(unknown[1], list(options))
    if unknown := re.search(r"invalid choice: '([\w-]+)'", message):
        return message + "".join(
            f" Did you mean {n}?" for n in get_close_matches(unknown[1], positionals, n=1)
        )
    return message


def _types(text: str) -> str:
    """Python's types as one speaks of them."""
    text = re.sub(r"typing\.Literal\[(.*?)\]", lambda found: found[1].replace(", ", " or "), text)
    text = re.sub(r"list\[int\]|<class 'list'>", "list of whole numbers, such as [1,2]", text)
    text = re.sub(r"<class 'tuple'>", "list of numbers, such as 0.9,0.98", text)
    text = re.sub(r"<class 'dict'>", 'options in braces, such as "{reduction_rate: 96}"', text)
    text = re.sub(r"<class '(\w+)'>", r"\1", text)
    names = {"int": "whole number", "float": "number", "bool": "true or false", "NoneType": "null"}
    return re.sub(r"\b(int|float|bool|NoneType)\b", lambda found: names[found[0]], text)


def _meant(unknown: str, options: Sequence[str]) -> str:
    """A hint at the options that are called nearly so, by the whole name or by its last part."""
    last = {name.rpartition(".")[2]: name for name in options}
    names = get_close_matches(unknown, options, n=1, cutoff=0.7)
    names += [last[found] for found in get_close_matches(unknown.rpartition(".")[2], last, n=1, cutoff=0.7)]
    return f". Did you mean --{' or --'.join(dict.fromkeys(names))}?" if names else ""
