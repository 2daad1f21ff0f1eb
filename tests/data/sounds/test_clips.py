"""Clips by address: the same from any side, each family in its turn, targets on their scale."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petl_ast.data.sounds.clips import LABELS, NO_LABEL, TARGETS, clip, label_of
from petl_ast.data.sounds.registry import FAMILIES


def same(a, b) -> bool:
    facts = (a.label, a.second_label) == (b.label, b.second_label)
    arrays = ("waveform", "targets", "mask")
    return facts and all(np.array_equal(getattr(a, name), getattr(b, name)) for name in arrays)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**63),
    index=st.integers(0, 10**12),
    seconds=st.sampled_from([0.5, 1.7, 5.0]),
    sampling_rate=st.sampled_from([16_000, 22_050]),
)
def test_a_clip_is_a_sound_with_all_its_facts(seed, index, seconds, sampling_rate):
    made = clip(seed, index, seconds=seconds, sampling_rate=sampling_rate)
    x = made.waveform
    assert (x.dtype, x.shape) == (np.float32, (round(seconds * sampling_rate),))
    assert np.isfinite(x).all()
    assert 0.04 < np.abs(x).max() < 1
    assert x.std() > 0.002 * np.abs(x).max()
    assert 0 <= made.label < len(LABELS)
    assert NO_LABEL <= made.second_label < len(LABELS)
    assert made.second_label != made.label
    assert made.targets.shape == made.mask.shape == (len(TARGETS),)
    assert (made.targets.dtype, made.mask.dtype) == (np.float32, np.bool_)
    assert (np.abs(made.targets) < 1.5).all()
    assert not made.targets[~made.mask].any()
    assert made.mask[2]  # a centre can always be measured


def test_a_clip_depends_on_its_address_alone():
    forwards = [clip(7, index, seconds=0.5) for index in range(20)]
    backwards = [clip(7, index, seconds=0.5) for index in reversed(range(20))]
    assert all(map(same, forwards, reversed(backwards)))


@pytest.mark.parametrize(("seed", "index"), [(8, 3), (7, 4), (7, 3 + len(LABELS)), (7, 3 + 2**32)])
def test_another_address_is_another_clip(seed, index):
    assert not same(clip(7, 3, seconds=0.5), clip(seed, index, seconds=0.5))


@given(seed=st.integers(0, 2**32), block=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_a_block_holds_every_family_once(seed, block):
    labels = [label_of(seed, block * len(LABELS) + place) for place in range(len(LABELS))]
    assert sorted(labels) == list(range(len(LABELS)))
    assert labels != sorted(labels)


def test_blocks_come_in_orders_of_their_own():
    first, second = ([label_of(0, block * len(LABELS) + n) for n in range(len(LABELS))] for block in (0, 1))
    assert first != second


def test_a_quarter_of_the_clips_holds_two_sounds():
    share = np.mean(
        [clip(1, index, seconds=0.5).second_label != NO_LABEL for index in range(2 * len(LABELS))]
    )
    assert 0.18 < share < 0.32


def test_targets_use_their_scale():
    clips = [clip(2, index, seconds=1.0) for index in range(2 * len(LABELS))]
    targets, mask = np.array([c.targets for c in clips]), np.array([c.mask for c in clips])
    for column, name in enumerate(TARGETS):
        known = targets[mask[:, column], column]
        assert len(known) > 0.4 * len(clips), name
        assert -0.6 < known.mean() < 0.6, name
        assert 0.25 < known.std() < 0.7, name
        assert np.mean(np.abs(known) <= 1.05) > 0.95, name


def test_labels_are_the_registrys():
    assert tuple(FAMILIES) == LABELS


@pytest.mark.parametrize("wrong", [{"seconds": 0.1}, {"sampling_rate": 8_000}])
def test_clips_that_cannot_hold_the_sounds_are_refused(wrong):
    with pytest.raises(ValueError, match="cannot hold the sounds"):
        clip(0, 0, **wrong)
