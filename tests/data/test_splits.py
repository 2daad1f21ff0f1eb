"""Folds: every clip in exactly one, recordings whole, classes even, and the same ones whatever the order."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petl_ast.data.listing import NO_FOLD, Clip, Listing
from petl_ast.data.splits import divide, part_of, with_folds
from petl_ast.errors import UserError


def clip(name: str, category: str, fold: int = NO_FOLD, group: str = "") -> Clip:
    return Clip(Path("/nowhere") / name, name, fold, -1, category, group=group)


def listing(clips: list[Clip], tested: tuple[int, ...] = ()) -> Listing:
    return Listing(Path("sounds"), clips, tested=tested)


def folds_of(found: Listing) -> dict[str, int]:
    return {clip.name: clip.fold for clip in found.clips}


CLIPS = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 12)), min_size=1, max_size=80)


@settings(deadline=None)
@given(drawn=CLIPS, number=st.integers(3, 7), seed=st.integers(0, 5), order=st.randoms(use_true_random=False))
def test_groups_stay_whole_in_any_order(drawn, number, seed, order):
    classes = {f"{i}.wav": label for i, (label, _) in enumerate(drawn)}
    first: dict[int, str] = {}
    recordings = {f"{i}.wav": first.setdefault(group, f"{i}.wav") for i, (_, group) in enumerate(drawn)}
    folds = divide(classes, recordings, number, seed)
    assert folds.keys() == classes.keys()
    assert set(folds.values()) <= set(range(1, number + 1))
    for name, recording in recordings.items():
        assert folds[name] == folds[recording]
    shuffled = list(classes.items())
    order.shuffle(shuffled)
    assert divide(dict(shuffled), recordings, number, seed) == folds


@settings(deadline=None)
@given(labels=st.lists(st.sampled_from("abcde"), min_size=1, max_size=100), number=st.integers(3, 7))
def test_clips_on_their_own_are_stratified_within_one(labels, number):
    classes = {f"{i}.wav": label for i, label in enumerate(labels)}
    folds = divide(classes, {name: name for name in classes}, number, seed=0)
    counts = Counter((classes[name], fold) for name, fold in folds.items())
    for label in set(labels):
        of_class = [counts[label, fold] for fold in range(1, number + 1)]
        assert max(of_class) - min(of_class) <= 1
    sizes = [sum(counts[label, fold] for label in set(labels)) for fold in range(1, number + 1)]
    assert max(sizes) - min(sizes) <= len(set(labels))


def test_a_class_of_uneven_groups_is_in_every_fold():
    sizes = [30, 9, 9, 2, 1, 1]
    classes = {f"{group}-{i}.wav": "dog" for group, size in enumerate(sizes) for i in range(size)}
    folds = divide(classes, {name: f"{name.split('-')[0]}-0.wav" for name in classes}, 5, seed=3)
    assert set(folds.values()) == {1, 2, 3, 4, 5}


def test_the_division_is_this_one_for_ever():
    """An adapter's test fold is found again by seed and number alone: these values may never change."""
    classes = {f"{label}/{i}.wav": label for label in ("cat", "dog") for i in range(6)}
    folds = divide(classes, {name: name for name in classes}, 3, seed=0)
    assert "".join(str(folds[name]) for name in classes) == "122313211332"
    assert divide(classes, {name: name for name in classes}, 3, seed=1) != folds


def test_the_same_bytes_under_two_names_stay_together_and_are_named(tmp_path):
    clips = []
    for i in range(12):
        path = tmp_path / f"{i:02}.wav"
        path.write_bytes(bytes([i if i not in (4, 9) else 99]) * 100)
        clips.append(Clip(path, path.name, NO_FOLD, -1, "ab"[i % 2 if i != 9 else 0]))
    for seed in range(8):
        found = with_folds(listing(clips), 3, seed)
        folds = folds_of(found)
        assert folds["04.wav"] == folds["09.wav"]
        (note,) = found.notes
        assert "04.wav = 09.wav" in note
        assert found.problems == []


def test_the_same_bytes_under_two_labels_are_a_problem(tmp_path):
    clips = []
    for i in range(10):
        path = tmp_path / f"{i}.wav"
        path.write_bytes(bytes([min(i, 8)]) * 10)
        clips.append(Clip(path, path.name, NO_FOLD, -1, "ab"[i % 2]))
    found = with_folds(listing(clips), 3, 0)
    assert [problem.clip for problem in found.problems] == ["8.wav", "9.wav"]
    assert "8.wav (a), 9.wav (b)" in found.problems[0].reason
    assert {"8.wav", "9.wav"}.isdisjoint(folds_of(found))


def test_groups_join_over_several_steps(tmp_path):
    """A and b by their group, b and c by their bytes, c and d by another group."""
    contents = {"a": b"1", "b": b"2", "c": b"2", "d": b"3", **{f"e{i}": b"e%d" % i for i in range(8)}}
    groups = {"a": "x", "b": "x", "c": "y", "d": "y"}
    clips = []
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        label = "dog" if name in "abcd" or name > "e3" else "cat"
        clips.append(Clip(tmp_path / name, name, NO_FOLD, -1, label, group=groups.get(name, "")))
    for seed in range(5):
        folds = folds_of(with_folds(listing(clips), 3, seed))
        assert len({folds[name] for name in "abcd"}) == 1


def test_few_recordings_are_fewer_folds_and_said():
    clips = [clip(f"{label}{i}", label) for label, n in (("dog", 20), ("cat", 4)) for i in range(n)]
    found = with_folds(listing(clips), 5, 0)
    assert found.folds == {1, 2, 3, 4}
    assert found.drawn_folds
    assert found.notes == ["Class cat has 4 recordings: there are 4 folds instead of 5."]


def test_a_class_of_two_can_not_be_tested():
    clips = [clip(f"{label}{i}", label) for label in ("dog", "cat") for i in range(5)]
    found = with_folds(listing([*clips, clip("b1", "bird"), clip("b2", "bird")]), 5, 0)
    assert [problem.clip for problem in found.problems] == ["b1", "b2"]
    assert "class bird has 2 recordings, and needs 3" in found.problems[0].reason
    assert found.targets == {0: "cat", 1: "dog"}
    assert len(found.clips) == 10


def test_given_folds_are_kept_and_what_they_tear_is_said():
    clips = [clip(f"{label}{fold}", label, fold) for label in ("dog", "cat") for fold in (7, 8, 9)]
    found = with_folds(listing([*clips, clip("x", "dog", 7, "g"), clip("y", "cat", 9, "g")]), 5, 0)
    assert folds_of(found) == {**{c.name: c.fold for c in clips}, "x": 7, "y": 9}
    assert not found.drawn_folds
    (note,) = found.notes
    assert "x (fold 7) = y (fold 9)" in note


@pytest.mark.parametrize("number", [3, 5])
def test_a_split_without_validation_takes_it_from_training(number):
    clips = [clip(f"{label}{i}", label, 1) for label in ("dog", "cat") for i in range(15)]
    tests = [clip("t1", "dog", 3), clip("t2", "cat", 3)]
    found = with_folds(listing(clips + tests, (3,)), number, 0)
    counts = Counter((clip.category, clip.fold) for clip in found.clips)
    assert counts["dog", 2] == counts["cat", 2] == 15 // number
    assert counts["dog", 3] == counts["cat", 3] == 1
    assert f"{30 // number} of the 30 for training" in found.notes[0]


def test_a_split_without_test_is_refused():
    clips = [clip(f"{label}{i}", label, 1) for label in ("dog", "cat") for i in range(5)]
    with pytest.raises(UserError, match="without any clip to test on"):
        with_folds(listing(clips, (3,)), 5, 0)


def test_one_class_is_refused_by_name():
    with pytest.raises(UserError, match="single class, dog"):
        with_folds(listing([clip(f"{i}", "dog") for i in range(9)]), 5, 0)


@pytest.mark.parametrize("pair", [("Dog", "dog"), ("B\u00e4r", "Ba\u0308r"), ("STRASSE", "Stra\u00dfe")])
def test_classes_that_look_alike_are_refused(pair):
    with pytest.raises(UserError, match="differ by case") as caught:
        with_folds(listing([clip(f"{name}{i}", name) for name in pair for i in range(3)]), 3, 0)
    assert f"{pair[0]} and {pair[1]}" in str(caught.value) or f"{pair[1]} and {pair[0]}" in str(caught.value)


def test_words_for_parts():
    words = ("train", "Training", "VAL", "valid", "dev", "validation", "test", "testing", "dog")
    assert [part_of(word) for word in words] == ["train"] * 2 + ["validation"] * 4 + ["test"] * 2 + [None]


def test_many_recordings_are_quick():
    rng = random.Random(0)
    classes = {f"{i}.wav": rng.choice("abcdefghij") for i in range(20_000)}
    folds = divide(classes, {name: name for name in classes}, 5, 0)
    by_class: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for name, label in classes.items():
        by_class[label][folds[name]] += 1
    assert all(max(counts.values()) - min(counts.values()) <= 1 for counts in by_class.values())
