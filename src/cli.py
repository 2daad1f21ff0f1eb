"""The command `petl-ast`: parse, run a verb, and turn what the user got wrong into one message."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser, DefaultHelpFormatter

from .config import RunConfig, check_config_file
from .errors import UserError
from .own_sounds import defaults, split_folder
from .verbs import VERBS, Verb


class _HelpFormatter(argparse.RawDescriptionHelpFormatter, DefaultHelpFormatter):
    """Keeps the line ends of a verb's description, for they hold commands to copy."""


def main(arguments: Sequence[str] | None = None, verb: str | None = None, prog: str = "petl-ast") -> int:
    """Parse, run a verb, and turn what the user got wrong into one message.

    Args:
        arguments: Those of the process if not given.
        verb: The verb to run if `arguments` are its options alone, as in train.py.
        prog: The command's name in messages.

    Returns:
        The exit code: 0, 2 for a user's mistake, 128 + the signal's number for a signal (130 for Ctrl-C).
    """
    # Read by OpenMP when torch is imported. Its threads else spin for milliseconds while they wait, which on
    # a machine with other work takes the processor from those they wait for: a training step on two busy
    # cores took ten times as long. GNU's OpenMP may spin for a moment: falling asleep at once costs 10 %.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    arguments, configs = _configs_first(arguments)
    shown = f"{prog} {arguments[0]}" if verb is None and arguments and arguments[0] in VERBS else prog
    try:
        chosen = VERBS.get(verb or next(iter(arguments), ""))
        for path in configs:
            check_config_file(Path(path), chosen.config if chosen else RunConfig)
        own: dict[str, Any] = {}
        words = [] if verb else arguments[:1]
        if chosen:
            arguments = [*words, *chosen.arranged(arguments[len(words) :])]
        if chosen is VERBS["train"]:
            arguments, folder = split_folder(arguments[len(words) :])
            if folder:
                own, words = defaults(folder, arguments, configs), [*words, folder]
            arguments = [*words, *arguments]
        if verb is None:
            parser = _parser_of_all(prog, own)
            parsed = parser.instantiate(parser.parse_args(arguments))
            code = VERBS[parsed.verb].run(parsed[parsed.verb])
        else:
            parser = _parser_of(VERBS[verb], prog, own)
            code = VERBS[verb].run(parser.instantiate(parser.parse_args(arguments)))
        sys.stdout.flush()
        return code
    except (ArgumentError, UserError) as error:
        print(f"{shown}: error: {_in_short(str(error))}", file=sys.stderr)
        if isinstance(error, ArgumentError):
            where = f"Read from the command line and {', '.join(configs)}. " if configs else ""
            print(f"{where}All options: {shown} --help", file=sys.stderr)
        return 2
    except BrokenPipeError:  # as in `petl-ast predict ... | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a folder that may not be entered, a full disk: whatever no room has put better
        print(f"{shown}: error: {error.filename or 'output'}: {error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"\n{shown}: stopped. {str(stop) or 'What was finished is kept.'}", file=sys.stderr)
        return 128 + getattr(stop, "signal", signal.SIGINT)


def _in_short(message: str) -> str:
    """What jsonargparse says in eight lines about a value that fits none of several types, in one."""

    def one_line(found: re.Match[str]) -> str:
        names = re.sub(r"<class '(\w+)'>", r"\1", found["types"]).replace("NoneType", "null")
        example = ', such as "[1,2]"' if "list[int]" in names else ""
        return f" {found['value']} is none of: {names}{example}."

    return re.sub(
        r"\s*Does not validate against any of the Union subtypes\s+Subtypes: \[(?P<types>.*)\]\n.*"
        r"Given value: (?P<value>.*)",
        one_line,
        message,
        flags=re.DOTALL,
    )


def _configs_first(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Put `--config FILE` in front of the other options, so that these win wherever they stand.

    A run that `--resume FOLDER` names brings its own configuration, if no other is given.

    Returns:
        The arguments in their new order, and the files.
    """
    verb, rest = (
        (arguments[:1], arguments[1:]) if arguments and not arguments[0].startswith("-") else ([], arguments)
    )
    files: list[str] = []
    others: list[str] = []
    words = iter(rest)
    for word in words:
        if word == "--config" and (file := next(words, None)) is not None:
            files.append(file)
        elif word.startswith("--config="):
            files.append(word.removeprefix("--config="))
        else:
            others.append(word)
    resumed = [word.removeprefix("--resume=") for word in others if word.startswith("--resume=")]
    resumed += [value for word, value in pairwise(others) if word == "--resume"]
    if resumed and not files and (config := Path(resumed[-1]) / "config.yaml").is_file():
        files.append(str(config))
    return [*verb, *(f"--config={file}" for file in files), *others], files


def _new_parser(prog: str, usage: str, description: str, **more: Any) -> ArgumentParser:
    return ArgumentParser(
        prog=prog,
        usage=usage,
        description=description,
        formatter_class=_HelpFormatter,
        allow_abbrev=False,  # a mistyped option is an error, not the nearest one that begins like it
        exit_on_error=False,
        **more,
    )


def _parser_of(verb: Verb, prog: str, own: dict[str, Any]) -> ArgumentParser:
    parser = _new_parser(prog, f"{prog} {verb.positionals}[options]", verb.description)
    verb.add_options(parser)
    parser.set_defaults(own)
    return parser


def _parser_of_all(prog: str, own: dict[str, Any]) -> ArgumentParser:
    from . import __doc__ as purpose
    from . import __version__

    parser = _new_parser(prog, f"{prog} VERB ...", str(purpose), version=__version__)
    verbs = parser.add_subcommands(dest="verb", metavar="VERB")
    for name, verb in VERBS.items():
        of_verb = _parser_of(verb, f"{prog} {name}", own if name == "train" else {})
        verbs.add_subcommand(name, of_verb, help=verb.description.splitlines()[0])
    return parser
