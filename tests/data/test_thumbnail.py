"""A spectrogram for a picture: bounded, and no sound lost in it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from petl_ast.config import SpectrogramConfig
from petl_ast.data.thumbnail import COLUMNS, Thumbnail

CONFIG = SpectrogramConfig(num_mel_bins=2)


@settings(deadline=None)
@given(st.lists(st.integers(0, 3000), max_size=8))
def test_columns_are_the_loudest_of_their_frames(lengths: list[int]) -> None:
    """However the frames come."""
    frames = np.random.default_rng(0).normal(size=(sum(lengths), 2)).astype(np.float32)
    thumbnail, begin = Thumbnail(CONFIG), 0
    for length in lengths:
        thumbnail.add(frames[begin : begin + length])
        begin += length
    columns = thumbnail.columns()
    assert len(columns) <= COLUMNS + 1
    if len(frames) > COLUMNS:
        assert len(columns) >= COLUMNS / 2
    assert thumbnail.seconds_per_column == thumbnail.step / 100
    expected = [frames[i : i + thumbnail.step].max(axis=0) for i in range(0, len(frames), thumbnail.step)]
    np.testing.assert_array_equal(columns, np.reshape(expected, (-1, 2)))


def test_a_column_takes_what_its_samples_take() -> None:
    """At 22,050 Hz a frame is 220 samples, for 10 ms are 220.5."""
    assert Thumbnail(SpectrogramConfig(sampling_rate=22050)).seconds_per_column == 220 / 22050
