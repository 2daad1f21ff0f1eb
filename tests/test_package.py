"""What the package gives away, and that its rooms keep their laws."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import petl_ast
from conftest import REPOSITORY

SOURCES = sorted((REPOSITORY / "src").rglob("*.py"))


def imported(path: str) -> set[str]:
    """Modules that a file imports relatively, with their dots."""
    tree = ast.parse((REPOSITORY / path).read_text())
    return {
        "." * n.level + (n.module or "") for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level
    }


def test_public_names() -> None:
    for name in petl_ast.__all__:
        assert getattr(petl_ast, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        petl_ast.nothing  # noqa: B018


def test_a_checkout_works_without_installation() -> None:
    command = "from src.data.esc50_dataset import ESC50Dataset; print('OK')"
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout == "OK\n"


def test_inside_the_package_every_import_is_relative() -> None:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert not [n for n in names if n.split(".")[0] in ("petl_ast", "src")], path


# What each room may import, besides itself and what lies at the package's root.
ROOMS = {
    "backbones": set(),
    "data": set(),
    "models": {"backbones"},
    "utils": {"data", "models", "backbones"},
    "costs": {"data", "models", "utils"},
    "prediction": {"data", "models", "utils"},
    "pretraining": {"data", "models", "utils"},
    "sharing": {"data", "models", "utils"},
    "verbs": {"data", "utils", "costs", "prediction", "pretraining", "sharing"},
}
DOORS = {"cli"}  # the root's module that calls the verbs


def rooms_imported(path: Path) -> set[str]:
    """First parts, below the package's root, of all that a file imports relatively."""
    inside = path.relative_to(REPOSITORY / "src").parent.parts
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = inside[: len(inside) - node.level + 1]
            names = [(node.module or "").split(".")[0]] if node.module else [a.name for a in node.names]
            found |= {base[0]} if base else set(names)
    return found


def test_every_room_imports_only_what_it_may() -> None:
    for path in SOURCES:
        room = path.relative_to(REPOSITORY / "src").parts[0]
        if room in ROOMS:
            others = rooms_imported(path) - ROOMS[room] - {room}
            assert not others & (ROOMS.keys() | DOORS), (path, others)
    rooms = {path.relative_to(REPOSITORY / "src").parts[0] for path in SOURCES if path.parent.name != "src"}
    assert rooms == ROOMS.keys()


def test_the_engine_knows_neither_data_nor_models() -> None:
    assert imported("src/utils/engine.py") == {".epoch_sums", ".loss", ".micro_batches"}
    assert imported("src/utils/loss.py") == {".epoch_sums"}
    assert imported("src/utils/epoch_sums.py") == set()
    assert imported("src/utils/micro_batches.py") == {"..errors"}
