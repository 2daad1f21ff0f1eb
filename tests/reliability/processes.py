"""Runs of `petl-ast train` as processes that can be killed at any moment, a hundred times faster to start.

A fork server imports torch and transformers once; every run is a process of its own, forked from it. What a
run left is compared file by file, byte for byte.
"""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from safetensors import safe_open

HEAVY = ["petl_ast.utils.cross_validation", "petl_ast.utils.visualization", "reliability.faults"]
NOT_REPEATED = ("seconds",)  # keys of JSON that may differ between two equal runs
TIMES = "times.csv"
PATIENCE = 120.0  # seconds that a run of seconds may take before it is taken to hang

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(HEAVY)


def start(arguments: list[str], log: Path, fault: tuple[int, int] | None = None) -> BaseProcess:
    """Start `petl-ast` with these arguments; what it prints goes to `log`.

    Args:
        arguments: As on the command line.
        log: A file, made anew.
        fault: (which, errno): the operating system refuses the write of that number with that error.
    """
    process = _server.Process(target=_run, args=(arguments, log, fault))
    process.start()
    return process


def _run(arguments: list[str], log: Path, fault: tuple[int, int] | None) -> None:
    from reliability.faults import refuse

    from petl_ast.cli import main

    with log.open("w") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
        if fault:
            refuse(*fault)
        code = main(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)  # as at a process's end, without what a fork server's child would still do


def finish(arguments: list[str], log: Path) -> None:
    """Run to the end, which must be a good one."""
    process = start(arguments, log)
    process.join(PATIENCE)
    if process.exitcode != 0:
        process.kill()
        raise AssertionError(f"exit code {process.exitcode}:\n{log.read_text()}")


def what_a_run_left(output: Path) -> dict[str, Any]:
    """Every file of a finished run by its name: bytes, but for JSON, which is read and stripped of times."""
    left: dict[str, Any] = {}
    for path in sorted(output.rglob("*")):
        name = str(path.relative_to(output))
        if path.name == "environment.json":
            left[name] = "there"  # command, folders, and the times a run went on
        elif path.suffix == ".json":
            left[name] = _without_times(json.loads(path.read_text()))
        elif path.suffix in (".csv", ".safetensors") and path.name != TIMES:
            left[name] = path.read_bytes()
        elif path.is_file():
            left[name] = "there"  # pictures, and the configuration, which names the folder
    return left


def what_differs(expected: dict[str, Any], output: Path) -> list[str]:
    """Names of files that a finished run has and the expected one has not, or that hold something else."""
    left = what_a_run_left(output)
    names = sorted(expected.keys() | left.keys())
    return [f"{output.name}: {name}" for name in names if expected.get(name) != left.get(name)]


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_times(v) for k, v in value.items() if k not in NOT_REPEATED}
    return [_without_times(v) for v in value] if isinstance(value, list) else value


def corrupt_files(output: Path) -> list[str]:
    """Files with a final name that cannot be read from end to end."""
    found = []
    for path in output.rglob("*"):
        if path.name.startswith(".") or not path.is_file():
            continue
        try:
            if path.suffix == ".json":
                json.loads(path.read_text())
            elif path.suffix == ".csv":
                with path.open(newline="") as file:
                    if any(None in row or None in row.values() for row in csv.DictReader(file)):
                        raise ValueError("half a line")
            elif path.suffix == ".safetensors":
                with safe_open(path, "pt") as tensors:
                    for name in tensors.keys():  # noqa: SIM118  no dict
                        tensors.get_tensor(name)
            elif path.suffix == ".png" and not path.read_bytes().endswith(b"IEND\xaeB`\x82"):
                raise ValueError("no end")
        except Exception as error:  # whatever is wrong is what we look for
            found.append(f"{path}: {error}")
    return found
