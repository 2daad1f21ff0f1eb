"""Batches give the clips they are asked for, in the order they are asked for."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from petl_ast.data.batches import Batches, place

CPU = torch.device("cpu")


@given(st.lists(st.integers(0, 19), max_size=40), st.integers(1, 50))
def test_every_chosen_clip_once_in_order(indices: list[int], batch_size: int) -> None:
    clips, labels = torch.arange(20.0)[:, None, None].expand(20, 3, 2), torch.arange(20)
    batches = Batches(clips, labels, indices, batch_size, CPU)
    seen = list(batches)
    assert len(seen) == len(batches)
    assert [label for _, y in seen for label in y.tolist()] == indices
    assert all(torch.equal(x[:, 0, 0].long(), y) for x, y in seen)
    assert all(len(y) == batch_size for _, y in seen[:-1])


def test_shuffled_is_another_order_of_the_same_clips_each_time_from_its_generator() -> None:
    batches = Batches(torch.zeros(100, 1), torch.arange(100), range(10, 60), 8, CPU)
    first, again, other = (
        [label for _, y in batches.shuffled(torch.Generator().manual_seed(seed)) for label in y.tolist()]
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
    assert sorted(first) == sorted(other) == list(range(10, 60))
    assert batches.indices.tolist() == list(range(10, 60))


def test_without_a_gpu_clips_stay_where_they_are() -> None:
    clips = torch.zeros(3, 2)
    assert place(clips, CPU) is clips
