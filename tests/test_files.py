"""Writing whole files, and reading them back."""

from __future__ import annotations

import errno
import json
import math
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petl_ast.errors import UserError
from petl_ast.files import (
    clear_write_errors,
    list_some,
    read_csv,
    read_json,
    write_csv,
    write_json,
    write_text,
    write_whole,
)


def test_file_and_its_folders_appear(tmp_path):
    path = tmp_path / "a" / "b" / "file.bin"
    write_whole(path, lambda temporary: temporary.write_bytes(b"\x00\x01"))
    assert path.read_bytes() == b"\x00\x01"
    assert list(path.parent.iterdir()) == [path]


def test_old_content_stands_until_the_writer_is_done(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def write(temporary: Path) -> None:
        temporary.write_text("new, first half")
        assert path.read_text() == "old"
        with temporary.open("a") as file:
            file.write(", second half")
        assert path.read_text() == "old"

    write_whole(path, write)
    assert path.read_text() == "new, first half, second half"
    assert list(tmp_path.iterdir()) == [path]


def test_writer_sees_the_suffix_and_the_same_folder(tmp_path):
    """Libraries choose the format by the suffix; a rename is only whole within one file system."""
    seen: list[Path] = []

    def write(temporary: Path) -> None:
        seen.append(temporary)
        temporary.touch()

    write_whole(tmp_path / "picture.png", write)
    assert seen[0].suffix == ".png"
    assert seen[0].parent == tmp_path
    assert seen[0].name.startswith(".")


@pytest.mark.parametrize("error", [RuntimeError("bug"), KeyboardInterrupt(), ValueError("bad value")])
def test_failing_writer_leaves_the_old_content_and_nothing_else(tmp_path, error):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def write(temporary: Path) -> None:
        temporary.write_text("half of the ne")
        raise error

    with pytest.raises(type(error)) as caught:
        write_whole(path, write)
    assert caught.value is error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_full_disk_is_a_user_error_that_names_the_file(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def write(temporary: Path) -> None:
        temporary.write_text("half of the ne")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(UserError, match="No space left on device") as caught:
        write_whole(path, write)
    assert str(path) in str(caught.value)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_folder_in_the_way_stays(tmp_path):
    path = tmp_path / "summary.json"
    path.mkdir()
    (path / "mine").touch()
    with pytest.raises(UserError, match="Cannot write") as caught:
        write_text(path, "text")
    assert str(path) in str(caught.value)
    assert list(tmp_path.rglob("*")) == [path, path / "mine"]


def test_file_where_a_folder_should_be_stays(tmp_path):
    (tmp_path / "run").write_text("mine")
    path = tmp_path / "run" / "fold" / "summary.json"
    with pytest.raises(UserError, match="Cannot write") as caught:
        write_text(path, "text")
    assert str(path) in str(caught.value)
    assert (tmp_path / "run").read_text() == "mine"


def test_only_the_operating_systems_refusals_are_users_errors(tmp_path):
    with (
        pytest.raises(UserError, match=r"Cannot write .*target.*Permission denied"),
        clear_write_errors(tmp_path / "target"),
    ):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    with pytest.raises(UserError, match="in words only"), clear_write_errors(tmp_path):
        raise OSError("in words only")
    with pytest.raises(KeyError), clear_write_errors(tmp_path):
        raise KeyError("bug")


def test_a_file_in_the_way_is_told_as_one(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="A file is where a folder is meant"):
        write_text(tmp_path / "file" / "below.txt", "text")


@pytest.mark.parametrize("text", ["", "one\ntwo\n", "one\r\ntwo\r", "Größe, 音\n"])
def test_text_is_written_byte_for_byte_as_utf8(tmp_path, text):
    write_text(tmp_path / "file.txt", text)
    assert (tmp_path / "file.txt").read_bytes() == text.encode("utf-8")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@settings(deadline=None, max_examples=50)
@given(json_values)
def test_json_comes_back_the_same(value):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "value.json"
        write_json(path, value)
        assert read_json(path) == value
        assert json.loads(path.read_bytes()) == value


def test_json_is_for_people(tmp_path):
    path = tmp_path / "value.json"
    write_json(path, {"name": "Bär", "values": [1]})
    assert path.read_text(encoding="utf-8") == '{\n  "name": "Bär",\n  "values": [\n    1\n  ]\n}\n'


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_json_refuses_what_is_no_json_number(tmp_path, value):
    path = tmp_path / "value.json"
    write_json(path, {"accuracy": 0.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"accuracy": [0.5, value]})
    assert read_json(path) == {"accuracy": 0.5}
    assert list(tmp_path.iterdir()) == [path]


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.fixed_dictionaries({"name": cells, "väl, ue": cells, "": cells}), min_size=1, max_size=5))
def test_csv_comes_back_the_same(rows):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        write_csv(path, rows)
        assert read_csv(path) == rows


def test_csv_has_a_header_and_plain_line_ends(tmp_path):
    path = tmp_path / "table.csv"
    write_csv(path, [{"epoch": 1, "loss": 0.1}, {"epoch": 2, "loss": 1 / 3}])
    assert path.read_bytes() == b"epoch,loss\n1,0.1\n2,0.3333333333333333\n"


def test_csv_of_unequal_rows_leaves_the_old_table(tmp_path):
    path = tmp_path / "table.csv"
    write_csv(path, [{"epoch": 1}])
    with pytest.raises(ValueError, match="loss"):
        write_csv(path, [{"epoch": 1}, {"epoch": 2, "loss": 0.1}])
    assert read_csv(path) == [{"epoch": "1"}]


@pytest.mark.parametrize("read", [read_json, read_csv])
def test_unreadable_file_is_named(tmp_path, read):
    (tmp_path / "folder").mkdir()
    (tmp_path / "latin").write_bytes("Bär".encode("latin-1"))
    for name, reason in (
        ("missing", "No such file"),
        ("folder", "directory"),
        ("missing/deeper", "No such file"),
        ("latin", "utf-8"),
    ):
        with pytest.raises(UserError, match=reason) as caught:
            read(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize("content", ["", '{"accuracy": 0.', "not json", "{} {}"])
def test_json_that_is_none_is_named(tmp_path, content):
    path = tmp_path / "value.json"
    path.write_text(content)
    with pytest.raises(UserError, match="not valid JSON") as caught:
        read_json(path)
    assert str(path) in str(caught.value)


def test_long_lists_are_cut_with_a_count():
    assert list_some(["a", "b"]) == "  a\n  b"
    assert list_some(range(3), most=3) == "  0\n  1\n  2"
    assert list_some((i for i in range(25)), most=2) == "  0\n  1\n  ... and 23 more"
    assert list_some([]) == ""
