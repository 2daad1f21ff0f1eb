"""Which files are meant by what one types: in order, and nothing forgotten."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import pytest

from petl_ast.data.audio import ENDINGS
from petl_ast.data.inputs import audio_files, find_recordings, missing
from petl_ast.errors import UserError

NAMES = ["b.wav", "a.wav", "c/deep/d.FLAC", "c/e.ogg", "c/f.mp3", "[1].wav"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty files, for only their names count; the current folder, so that words are short."""
    for name in (*NAMES, "notes.txt", "c/list.csv", "noending"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def typed(*words: str) -> list[str]:
    return [path.as_posix() for path in find_recordings(words)]


def on_stdin(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content)))


def test_a_folder_is_all_audio_below_it_sorted(folder: Path) -> None:
    assert audio_files(folder) == sorted(folder / name for name in NAMES)
    assert typed("c") == ["c/deep/d.FLAC", "c/e.ogg", "c/f.mp3"]


@pytest.mark.parametrize("ending", sorted(ENDINGS))
def test_sound_is_known_by_its_ending(ending: str, tmp_path: Path) -> None:
    (tmp_path / f"a{ending}").touch()
    assert audio_files(tmp_path) == [tmp_path / f"a{ending}"]


def test_who_names_a_file_means_it(folder: Path) -> None:
    assert typed("notes.txt", "b.wav", "noending", "b.wav") == ["notes.txt", "b.wav", "noending", "b.wav"]


def test_a_pattern_is_all_audio_that_matches(folder: Path) -> None:
    assert typed("?.wav") == ["a.wav", "b.wav"]
    assert typed("*") == ["[1].wav", "a.wav", "b.wav"]
    assert typed("c/**/*.[fF]*") == ["c/deep/d.FLAC"]
    assert typed("**/*.ogg", "a.wav") == ["c/e.ogg", "a.wav"]


def test_a_name_that_looks_like_a_pattern_is_a_name_first(folder: Path) -> None:
    assert typed("[1].wav") == ["[1].wav"]


def test_a_list_on_standard_input(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One name a line, in any bytes, with either line end; it takes its place among the other words."""
    on_stdin(monkeypatch, b"c/e.ogg\r\n\nc\nB\xe4r.wav\nlast.wav")
    assert [str(path) for path in find_recordings(["b.wav", "-", "a.wav"])] == [
        *("b.wav", "c/e.ogg", "c/deep/d.FLAC", "c/e.ogg", "c/f.mp3", "B\udce4r.wav", "last.wav", "a.wav")
    ]


def test_an_empty_list_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    on_stdin(monkeypatch, b"\n")
    with pytest.raises(UserError, match="standard input names no file"):
        find_recordings(["-"])


def test_what_leads_nowhere_stays_and_is_told(folder: Path) -> None:
    (folder / "empty").mkdir()
    assert typed("gone.wav", "empty", "*.opus", "a.wav") == ["gone.wav", "empty", "*.opus", "a.wav"]
    assert missing(Path("gone.wav")) == "gone.wav: no such file or folder."
    assert missing(Path("empty")) == "empty: no audio file in this folder."
    assert missing(Path("*.opus")) == "*.opus: no audio file matches this pattern."
    assert missing(Path("a.wav")) is None
    assert missing(Path("a" * 5000)) == f"{'a' * 5000}: no such file or folder."
    assert missing(Path("a\0b")) == "a\0b: no such file or folder."
