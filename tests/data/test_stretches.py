"""Long clips: every frame can be drawn and is evaluated, and no stretch reaches into another clip."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from petl_ast.data.batches import Batches
from petl_ast.data.stretches import Stretches

LENGTH = 5
counts = st.lists(st.integers(LENGTH, 4 * LENGTH), min_size=1, max_size=6)


@given(counts, st.integers(0, 2**32))
def test_a_drawn_stretch_lies_in_its_clip(frames: list[int], seed: int) -> None:
    stretches = Stretches.of(frames, LENGTH)
    drawn = stretches.draw(torch.Generator().manual_seed(seed)).tolist()
    begin = 0
    for position, count in zip(drawn, frames, strict=True):
        assert begin <= position <= begin + count - LENGTH
        begin += count


def test_all_stretches_of_a_clip_are_drawn_equally_often() -> None:
    stretches = Stretches.of([LENGTH, LENGTH + 3], LENGTH)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([stretches.draw(generator) for _ in range(4000)])
    assert drawn[:, 0].eq(0).all()
    shares = torch.bincount(drawn[:, 1] - LENGTH, minlength=4) / 4000
    torch.testing.assert_close(shares, torch.full((4,), 0.25), atol=0.03, rtol=0)


@given(counts)
def test_windows_hold_every_frame_of_their_clip_and_no_other(frames: list[int]) -> None:
    stretches = Stretches.of(frames, LENGTH)
    clips = list(reversed(range(len(frames))))
    owners, positions = stretches.windows(clips)
    assert list(dict.fromkeys(owners)) == clips
    for clip, count in enumerate(frames):
        first = sum(frames[:clip])
        starts = [p - first for p, owner in zip(positions, owners, strict=True) if owner == clip]
        assert len(set(starts)) == len(starts)
        assert {start + i for start in starts for i in range(LENGTH)} == set(range(count))
        assert (len(starts) == 1) == (count == LENGTH)


def test_batches_of_stretches_are_slices_of_the_frames() -> None:
    frames = [LENGTH, LENGTH + 4, LENGTH + 1]
    stretches = Stretches.of(frames, LENGTH)
    values = torch.arange(sum(frames) * 2.0).reshape(-1, 2)
    heard, labels = stretches.heard(values), torch.tensor([7, 8, 9])
    assert heard.data_ptr() == values.data_ptr(), "a view takes no memory"
    positions = stretches.draw(torch.Generator().manual_seed(3))
    batches = Batches(heard, labels, [2, 0, 1], 2, torch.device("cpu")).at(positions)
    shuffled = batches.shuffled(torch.Generator().manual_seed(1))
    for chosen, left in ((batches, 0), (shuffled, 0), (shuffled.after(1), 1)):
        clips = chosen.indices.tolist()
        assert len(clips) == 3 - 2 * left
        x, y = (torch.cat(parts) for parts in zip(*chosen, strict=True))
        assert y.tolist() == [7 + clip for clip in clips]
        for row, clip in zip(x, clips, strict=True):
            torch.testing.assert_close(row, values[positions[clip] : positions[clip] + LENGTH])
        assert x.is_contiguous()
