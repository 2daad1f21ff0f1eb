"""A spectrogram for a picture: bounded, and no sound lost in it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from petl_ast.config import SpectrogramConfig
from petl_ast.data.overview import COLUMNS, Overview

CONFIG = SpectrogramConfig(num_mel_bins=2)


@settings(deadline=None)
@given(st.lists(st.integers(0, 3000), max_size=8))
def test_columns_are_the_loudest_of_their_frames(lengths: list[int]) -> None:
    """However the frames come."""
    frames = np.random.default_rng(0).normal(size=(sum(lengths), 2)).astype(np.float32)
    overview, begin = Overview(CONFIG), 0
    for length in lengths:
        overview.add(frames[begin : begin + length])
        begin += length
    columns = overview.columns()
    assert len(columns) <= COLUMNS + 1
    if len(frames) > COLUMNS:
        assert len(columns) >= COLUMNS / 2
    assert overview.seconds_per_column == overview.step / 100
    expected = [frames[i : i + overview.step].max(axis=0) for i in range(0, len(frames), overview.step)]
    np.testing.assert_array_equal(columns, np.reshape(expected, (-1, 2)))
