"""What the package gives away, and that its rooms keep their laws."""

from __future__ import annotations

import ast
import subprocess
import sys

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


def test_models_know_no_data_and_data_no_models() -> None:
    for path in SOURCES:
        room, modules = path.parent.name, imported(str(path.relative_to(REPOSITORY)))
        forbidden = {"models": ("..data", "..cli"), "data": ("..models", "..cli")}.get(room, ())
        assert not [m for m in modules if m.startswith(forbidden or "no such module")], path
    assert imported("src/utils/engine.py") == {".epoch_sums", ".micro_batches"}
    assert imported("src/utils/epoch_sums.py") == set()
    assert imported("src/utils/micro_batches.py") == {"..errors"}
