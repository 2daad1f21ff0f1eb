"""What `predict` found, as csv, JSON lines, labels and files: complete, and nowhere else than meant."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from petl_ast.errors import UserError
from petl_ast.prediction.events import Timeline
from petl_ast.prediction.output import (
    audacity_labels,
    csv_rows,
    destination,
    file_names,
    json_line,
    table_rows,
    write_predictions,
)
from petl_ast.prediction.predict import Prediction

LABELS = ["dog", "light rain", "sea"]
ROWS = [(0.75, 0.25, 0), (0.75, 0.25, 0), (0, 0.625, 0.375), (0.375, 0.375, 0.25)]


def prediction(path: str, rows: list[tuple[float, ...]], top_k: int = 2) -> Prediction:
    windows = [(2.5 * i, 2.5 * i + 5) for i in range(len(rows))]
    timeline = Timeline(LABELS, np.array(windows, float), np.array(rows, np.float32))
    return Prediction(Path(path), timeline.best(top_k), None, timeline.events(0.5), timeline)


LONG, SHORT = prediction("site/long.wav", ROWS), prediction('a,"b.wav', ROWS[3:])
BROKEN = Prediction(Path("broken.wav"), [], "broken.wav: holds no samples.")


def test_csv_has_a_row_for_each_event() -> None:
    text = csv_rows(LONG, 2) + csv_rows(SHORT, 2)
    assert list(csv.reader(io.StringIO(text))) == [
        ["site/long.wav", "0.000", "6.250", "dog", "0.750000", "0.750000", "2"],
        ["site/long.wav", "6.250", "8.750", "light rain", "0.625000", "0.625000", "1"],
        ['a,"b.wav', "0.000", "5.000", "dog", "0.375000", "0.375000", "1"],
    ]


def test_a_json_line_has_all_of_it() -> None:
    found = json.loads(json_line(LONG, 2))
    assert list(found) == ["clip", "classes", "seconds", "events", "windows"]
    assert found["clip"] == "site/long.wav"
    assert [c["class"] for c in found["classes"]] == ["dog", "light rain"]
    assert found["seconds"] == 12.5
    assert found["events"][0] == {
        **{"class": "dog", "start": 0.0, "end": 6.25, "probability": 0.75, "peak": 0.75, "windows": 2}
    }
    assert found["windows"][2] == {
        "start": 5.0,
        "end": 10.0,
        "classes": [{"class": "light rain", "probability": 0.625}, {"class": "sea", "probability": 0.375}],
    }


def test_audacity_takes_start_end_and_label_between_tabs() -> None:
    assert audacity_labels(LONG, 2) == "0.000000\t6.250000\tdog\n6.250000\t8.750000\tlight rain\n"


def test_a_table_tells_events_of_recordings_and_classes_of_clips() -> None:
    assert table_rows(SHORT) == [('a,"b.wav', "", "dog", "37.5%", "light rain 37.5%")]
    assert table_rows(LONG) == [
        ("site/long.wav", "0:00.0 - 0:06.2", "dog", "75.0%", ""),
        ("site/long.wav", "0:06.2 - 0:08.8", "light rain", "62.5%", ""),
    ]
    ((_, time, name, _, _),) = table_rows(prediction("x.wav", [ROWS[3]] * 2))
    assert (time, name) == ("0:00.0 - 0:07.5", "no event; on average dog")


@given(st.lists(st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=300)))
def test_names_are_plain_distinct_and_stay_in_the_folder(recordings: list[str]) -> None:
    names = file_names([Path("some") / recording for recording in recordings])
    assert len({name.casefold() for name in names}) == len(recordings)
    for name in names:
        assert Path("out", name).parent == Path("out")
        assert name not in ("", ".", "..") and not name.startswith((".", "-" * 300))
        assert len(name.encode()) < 170 and name.isprintable()


def test_names_are_the_recordings_own_with_a_number_if_need_be() -> None:
    recordings = ["x/a.wav", "y/a.flac", "A.wav", "a_2.wav", "b.c.wav", "two words.wav", ".wav", "p:q*.wav"]
    assert file_names(map(Path, recordings)) == [
        *("a", "a_2", "A_3", "a_2_2", "b.c", "two words", "wav", "p_q_.wav".removesuffix(".wav"))
    ]


def test_files_are_written_as_soon_as_there_is_something(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A broken recording is told in its turn and has no file; the others keep their names."""
    recordings = [LONG.path, BROKEN.path, Path("else/long.wav")]
    other = Prediction(recordings[2], SHORT.classes, None, SHORT.events, SHORT.timeline)
    where = destination("csv", 2, tmp_path / "out", False, False, recordings)
    written = []

    def found() -> object:
        yield LONG
        written.extend((tmp_path / "out").iterdir())
        yield BROKEN
        yield other

    assert write_predictions(found(), where) == 1  # type: ignore[arg-type]
    assert written == [tmp_path / "out" / "long.csv"]
    printed, errors = capsys.readouterr()
    assert printed.splitlines() == [str(tmp_path / "out" / name) for name in ("long.csv", "long_2.csv")]
    assert errors == "petl-ast predict: error: broken.wav: holds no samples.\n"
    heading, *rows = written[0].read_text().splitlines()
    assert heading == "path,start,end,class,probability,peak,windows"
    assert len(rows) == 2


def test_several_adapters_say_whose_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In every format, and in a file for each; one alone is not named."""
    birds, frogs = (replace(LONG, adapter=name) for name in ("a/birds", "b/frogs"))
    assert next(csv.reader(io.StringIO(csv_rows(birds, 2))))[:4] == [
        "site/long.wav",
        "a/birds",
        "0.000",
        "6.250",
    ]
    assert list(json.loads(json_line(birds, 2)))[:3] == ["clip", "adapter", "classes"]
    assert audacity_labels(birds, 2).splitlines()[0] == "0.000000\t6.250000\ta/birds: dog"
    names, recordings = ["a/birds", "b/frogs"], [BROKEN.path, LONG.path]
    write_predictions([BROKEN, birds, frogs], destination("table", 2, None, False, False, recordings, names))
    table = capsys.readouterr().out
    assert "adapter" in table and table.count("a/birds") == table.count("b/frogs") == 2
    write_predictions([BROKEN, birds, frogs], destination("csv", 2, None, False, False, recordings, names))
    assert capsys.readouterr().out.startswith("path,adapter,start,end,class,probability,peak,windows\n")
    where = destination("csv", 2, tmp_path, False, False, recordings, names)
    write_predictions([BROKEN, birds, frogs], where)
    for name, found in (("birds", birds), ("frogs", frogs)):
        (path,) = tmp_path.glob(f"*{name}*")
        assert path.name == f"long_{found.adapter.replace('/', '_')}.csv"
        assert path.read_text().endswith(csv_rows(found, 2))
        assert path.read_text().startswith("path,adapter,start")


def test_no_file_is_replaced_unasked(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("mine")
    with pytest.raises(UserError, match=r"(?s)--overwrite replaces them.*long\.txt"):
        destination("audacity", 2, tmp_path, False, False, [LONG.path])
    destination("csv", 2, tmp_path, True, False, [LONG.path])  # another ending
    write_predictions([LONG], destination("audacity", 2, tmp_path, False, True, [LONG.path]))
    assert "dog" in (tmp_path / "long.txt").read_text()


def test_options_that_need_each_other(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--output"):
        destination("audacity", 2, None, False, False, [LONG.path])
    with pytest.raises(UserError, match="--output"):
        destination("csv", 2, None, True, False, [LONG.path])
    with pytest.raises(UserError, match="--format"):
        destination("table", 2, tmp_path, False, False, [LONG.path])


def test_a_table_in_a_file_is_as_wide_as_its_paths(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("recordings", "a" * 200, "clip.wav")
    found = Prediction(path, SHORT.classes, None, SHORT.events, SHORT.timeline)
    write_predictions([found], destination("table", 2, None, False, False, [path]))
    assert str(path) in capsys.readouterr().out
