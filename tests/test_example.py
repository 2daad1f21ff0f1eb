"""docs/example.md does what it shows: its code and its commands run in order, in a folder of their own."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from conftest import REPOSITORY, run_command, run_python, write_miniature

PAGE = (REPOSITORY / "docs" / "example.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(python|console)\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with data/ESC-50: real clips where there are some, else the miniature's two marked classes."""
    (tmp_path / "data").mkdir()
    if root := os.environ.get("ESC10_ROOT"):
        (tmp_path / "data" / "ESC-50").symlink_to(root)
    else:
        write_miniature(tmp_path / "data" / "ESC-50")
    return tmp_path


def test_its_pictures_are_there() -> None:
    pictures = re.findall(r"\]\((pictures/.*?)\)", PAGE)
    assert pictures and all((REPOSITORY / "docs" / picture).is_file() for picture in pictures)


def headings(printed: str) -> set[str]:
    """The words that begin lines of a table or a message, but names of clips and figures."""
    return set(re.findall(r"^([A-Z][a-z]+)\b", printed, flags=re.MULTILINE))


def test_the_page_runs_as_it_stands(place: Path) -> None:
    commands = 0
    for kind, block in BLOCKS:
        if kind == "python":
            done = run_python("-c", block, cwd=place)
        else:
            command, shown = re.fullmatch(r"\$ petl-ast (.*?)\n(.*)", block, flags=re.DOTALL).groups()
            command = command.replace("sounds/dog", f"sounds/{min(os.listdir(place / 'sounds'))}")
            words = shlex.split(command)
            quick = ["--train.epochs=1"] if words[0] == "train" else []
            done = run_command(*words, *quick, cwd=place)
            told = headings(shown) - {"Worth"}  # listening to: where clips are confused at all
            assert told or words[0] == "predict"
            assert told <= headings(done.stdout + done.stderr)
            commands += 1
        assert done.returncode == 0, done.stderr
    assert commands == 3
    assert (place / "evening.wav").is_file()
    assert (place / "found" / "evening.csv").read_text().startswith("path,start,end,class")
    assert (place / "found" / "evening.png").read_bytes().startswith(b"\x89PNG")
