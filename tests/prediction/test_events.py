"""From windows to events: disjoint, in order, and what the probabilities say."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petl_ast.prediction.events import Event, Timeline, clock

LABELS = ["dog", "rain", "sea"]


def timeline(*rows: tuple[float, ...], length: float = 5, hop: float = 2.5) -> Timeline:
    windows = [(i * hop, i * hop + length) for i in range(len(rows))]
    return Timeline(LABELS, np.array(windows, float), np.array(rows, np.float32))


def test_neighbours_of_one_class_become_one_event() -> None:
    dog, rain, unsure = (0.75, 0.25, 0), (0.125, 0.875, 0), (0.375, 0.375, 0.25)
    found = timeline(dog, dog, rain, unsure, dog, (0.5, 0.25, 0.25)).events(0.5)
    assert found == [
        Event(0, 6.25, "dog", 0.75, 0.75, 2),
        Event(6.25, 8.75, "rain", 0.875, 0.875, 1),
        Event(11.25, 17.5, "dog", 0.625, 0.75, 2),
    ]


def test_a_clip_is_an_event_however_improbable() -> None:
    (event,) = timeline((0.4, 0.3, 0.3)).events(0.9)
    assert (event.start, event.end, event.name) == (0, 5, "dog")


def test_best_classes_of_a_window_and_of_the_whole() -> None:
    line = timeline((0.5, 0.25, 0.25), (0, 0.25, 0.75))
    assert line.best(2, 0) == [("dog", 0.5), ("rain", 0.25)]
    assert line.best(9) == [("sea", 0.5), ("dog", 0.25), ("rain", 0.25)]


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.floats(0, 1, width=32)] * 3), min_size=2, max_size=30), st.floats(0, 1))
def test_events_are_disjoint_and_as_probable_as_asked(
    rows: list[tuple[float, ...]], threshold: float
) -> None:
    line = timeline(*rows)
    found = line.events(threshold)
    assert all(0 <= event.start < event.end <= line.seconds for event in found)
    assert all(one.end <= other.start for one, other in itertools.pairwise(found))
    assert all(threshold - 1e-6 <= event.probability <= event.peak + 1e-6 for event in found)
    sure = [i for i, row in enumerate(line.probabilities) if row.max() >= threshold]
    assert sum(event.windows for event in found) == len(sure)
    centres = [line.windows[i][0] + 2.5 for i in sure]
    assert all(any(e.start <= centre <= e.end for e in found) for centre in centres)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00.0"), (59.96, "1:00.0"), (62.5, "1:02.5"), (3599.99, "1:00:00.0"), (7325.04, "2:02:05.0")],
)
def test_times_as_people_write_them(seconds: float, text: str) -> None:
    assert clock(seconds) == text
