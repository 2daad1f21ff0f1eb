"""The model that is pre-trained: what it hears, where patches are, what its answers cost."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import ASTModel

from petl_ast.config import SpectrogramConfig
from petl_ast.models.build import build_model
from petl_ast.pretraining.config import ObjectiveConfig, ShapeConfig
from petl_ast.pretraining.model import SOFTER, Answers, Listener, losses, sine_positions
from petl_ast.pretraining.statistics import STATISTICS

SHAPE = ShapeConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
SPECTROGRAM = SpectrogramConfig(max_length=256)
PATCHES = 8 * 16


def listener(kept: int = PATCHES) -> Listener:
    torch.manual_seed(0)
    return Listener(SHAPE, SPECTROGRAM, ObjectiveConfig(kept_patches=kept), families=5)


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_with_every_patch_kept_it_answers_from_the_features_a_head_gets() -> None:
    model, clips = listener(kept=10_000).eval(), torch.randn(3, 256, 128)
    answers = model(clips, draws())
    copy = ASTModel(model.backbone.config)
    copy.load_state_dict(model.backbone.state_dict())
    features = build_model(copy, num_classes=2, max_length=256, method="linear").features(clips)
    torch.testing.assert_close(answers.families, model.families(features), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(answers.statistics, model.statistics(features), atol=1e-5, rtol=1e-4)


def test_a_patch_that_is_not_kept_is_not_heard() -> None:
    model = listener(kept=1).eval()
    silent, changed = torch.zeros(1, 256, 128), 0
    for place in range(PATCHES):
        clip = silent.clone()
        row, column = divmod(place, 16)
        clip[:, 16 * column : 16 * column + 16, 16 * row : 16 * row + 16] = 3.0
        changed += not torch.equal(model(clip, draws()).families, model(silent, draws()).families)
    assert changed == 1


def test_each_clip_keeps_patches_of_its_own() -> None:
    model, clip = listener(kept=20).eval(), torch.randn(1, 256, 128)
    one, two = model(clip.expand(2, -1, -1), draws()).families
    assert not torch.allclose(one, two)


@pytest.mark.parametrize(("frequency", "time"), [(8, 31), (1, 3)])
def test_every_place_has_its_own_position(frequency: int, time: int) -> None:
    table = sine_positions(frequency, time, 32)
    assert table.shape == (1, frequency * time, 32)
    distances = torch.cdist(table[0], table[0]) + torch.eye(frequency * time)
    assert distances.min() > 0.1
    torch.testing.assert_close(table.square().sum(2), torch.full((1, frequency * time), 16.0))


def test_positions_are_frequency_major_as_the_patches() -> None:
    table = sine_positions(4, 5, 8).view(4, 5, 8)
    assert torch.equal(table[2, 0, :4], table[2, 3, :4])  # the first half tells the frequency
    assert torch.equal(table[0, 3, 4:], table[2, 3, 4:])  # the second the time


def test_losses_of_known_answers() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [math.log(3), 0.0, 0.0, 0.0]])
    answers = Answers(logits, torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]), torch.zeros(2, STATISTICS))
    families = torch.tensor([[2, -1], [0, 1]])
    known = torch.tensor([[True, False, False], [True, True, False]])
    told = losses(answers, families, torch.zeros(2, 3), known, torch.full((2, STATISTICS), 2.0))
    second = (1 - SOFTER) * math.log(2) + SOFTER * math.log(6)
    assert told["family"].item() == pytest.approx((math.log(4) + second) / 2)
    assert told["parameters"].item() == pytest.approx(1 / 3)  # the one error that is known, of three
    assert told["statistics"].item() == pytest.approx(1.5)  # beyond 1 linear: |2| - 1/2


def test_without_anything_known_the_parameters_cost_nothing() -> None:
    answers = Answers(torch.zeros(1, 4), torch.ones(1, 3), torch.zeros(1, STATISTICS))
    none = torch.zeros(1, 3, dtype=torch.bool)
    told = losses(answers, torch.tensor([[0, -1]]), torch.zeros(1, 3), none, torch.zeros(1, STATISTICS))
    assert told["parameters"].item() == 0
    assert all(loss.isfinite() for loss in told.values())


def test_statistics_are_standardised() -> None:
    model, found = listener(), torch.randn(50, STATISTICS, generator=draws()) * 3 + 7
    model.standardise(found)
    scaled = (found - model.mean) / model.deviation
    torch.testing.assert_close(scaled.mean(0), torch.zeros(STATISTICS), atol=1e-5, rtol=0)
    torch.testing.assert_close(scaled.std(0), torch.ones(STATISTICS))
