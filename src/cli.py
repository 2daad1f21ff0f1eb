"""The command `petl-ast`: parse, run a verb, and turn what the user got wrong into one message."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser, DefaultHelpFormatter

from .config import check_config_file
from .errors import UserError
from .own_sounds import defaults, split_folder, with_root
from .verbs import VERBS, Verb
from .words import configs_first, in_short, spelt_out


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
    words = list(sys.argv[1:] if arguments is None else arguments)
    if verb is None and words and words[0] in VERBS:
        verb, words = words[0], words[1:]
        prog = f"{prog} {verb}"
    configs: list[str] = []
    options: list[str] = []
    positionals = list(VERBS)
    try:
        if verb is None:  # --help, --version, or a word that is no verb
            _parser_of_all(prog).parse_args(words)
            return 2
        chosen = VERBS[verb]
        parser = _parser_of(chosen, prog)
        of_options = dict(parser.get_defaults().items())
        options = [name.removeprefix("--") for name in parser._option_string_actions]
        positionals = [action.dest for action in parser._actions if not action.option_strings]
        if "config" in of_options:
            words, configs = configs_first(words)
        for path in configs:
            check_config_file(Path(path), chosen.config)
        words = chosen.arranged(spelt_out(words, of_options))
        if chosen.own_output:
            words, folder = split_folder(words)
            if folder:
                parser.set_defaults(defaults(folder, chosen.own_output, words, configs))
                words = [folder, *with_root(words, folder)]
        code = chosen.run(parser.instantiate(parser.parse_args(words)))
        sys.stdout.flush()
        return code
    except (ArgumentError, UserError) as error:
        text = in_short(str(error), options, positionals) if isinstance(error, ArgumentError) else str(error)
        print(f"{prog}: error: {text}", file=sys.stderr)
        if isinstance(error, ArgumentError):
            where = f"Read from the command line and {', '.join(configs)}. " if configs else ""
            print(f"{where}All options: {prog} --help", file=sys.stderr)
        return 2
    except BrokenPipeError:  # as in `petl-ast predict ... | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a folder that may not be entered, a full disk: whatever no room has put better
        print(f"{prog}: error: {error.filename or 'output'}: {error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"\n{prog}: stopped. {str(stop) or 'What was finished is kept.'}", file=sys.stderr)
        return 128 + getattr(stop, "signal", signal.SIGINT)


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


def _parser_of(verb: Verb, prog: str) -> ArgumentParser:
    parser = _new_parser(prog, f"{prog} {verb.positionals}[options]", verb.description)
    verb.add_options(parser)
    return parser


def _parser_of_all(prog: str) -> ArgumentParser:
    from . import __doc__ as purpose
    from . import __version__

    parser = _new_parser(prog, f"{prog} VERB ...", str(purpose), version=__version__)
    verbs = parser.add_subcommands(dest="verb", metavar="VERB")
    for name, verb in VERBS.items():
        of_verb = _parser_of(verb, f"{prog} {name}")
        verbs.add_subcommand(name, of_verb, help=verb.description.splitlines()[0])
    return parser
