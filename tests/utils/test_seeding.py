"""Random streams by address."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from petl_ast.utils.seeding import STREAMS, generator, stream_seed

ADDRESS = st.tuples(
    st.integers(0, 2**31), st.sampled_from(STREAMS), st.lists(st.integers(0, 10**6), max_size=3)
)


@given(ADDRESS, ADDRESS)
def test_an_address_names_one_stream(
    one: tuple[int, str, list[int]], other: tuple[int, str, list[int]]
) -> None:
    first, second = (stream_seed(seed, stream, *place) for seed, stream, place in (one, other))
    assert (first == second) == (one == other)
    assert 0 <= first < 2**63


def test_generators_start_at_their_stream() -> None:
    draws = [torch.rand(3, generator=generator("cpu", 10, "order", 1, epoch)) for epoch in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
