"""A batch depends on the seed and its number alone, whoever makes it and how many others do."""

from __future__ import annotations

import pytest
import torch

from petl_ast.config import SpectrogramConfig
from petl_ast.data.sounds.clips import clip
from petl_ast.data.spectrogram import log_mel
from petl_ast.pretraining.batches import PretrainBatch, ProceduralBatches

CONFIG = SpectrogramConfig(max_length=256)
BATCHES = ProceduralBatches(seed=3, size=4, config=CONFIG)


def same(one: PretrainBatch, other: PretrainBatch) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("workers", [1, 2])
def test_the_stream_holds_the_batches_in_order_however_many_make_them(workers: int) -> None:
    stream = list(BATCHES.stream(2, 5, workers))
    assert len(stream) == 3
    assert all(same(batch, BATCHES.batch(number)) for batch, number in zip(stream, (2, 3, 4), strict=True))


def test_a_batch_holds_the_clips_of_its_number_and_every_frame_is_sound() -> None:
    batch = BATCHES.batch(2)
    made = clip(3, 2 * 4 + 1, seconds=(255 * 160 + 400) / 16000)
    torch.testing.assert_close(batch.spectrograms[1], log_mel([made.waveform], CONFIG)[0])
    assert batch.families[1].tolist() == [made.label, made.second_label]
    assert batch.parameters[1].tolist() == made.targets.tolist()
    assert batch.known[1].tolist() == made.mask.tolist()
    assert batch.spectrograms.shape == (4, 256, 128)


def test_another_seed_makes_other_clips() -> None:
    other = ProceduralBatches(seed=4, size=4, config=CONFIG)
    assert not torch.equal(other.batch(0).spectrograms, BATCHES.batch(0).spectrograms)
