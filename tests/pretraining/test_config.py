"""What pre-training can be asked to do."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from conftest import REPOSITORY
from petl_ast.errors import UserError
from petl_ast.pretraining.config import ObjectiveConfig, PretrainConfig, ShapeConfig, plain


@pytest.mark.parametrize(
    ("section", "values", "says"),
    [
        (ShapeConfig, {"hidden_size": 190}, "shape.hidden_size is 190"),
        (ShapeConfig, {"num_hidden_layers": 0}, "shape.num_hidden_layers is 0"),
        (ObjectiveConfig, {"kept_patches": 0}, "objective.kept_patches is 0"),
        (ObjectiveConfig, {"family": float("nan")}, "objective.family is nan"),
        (PretrainConfig, {"clips": 0}, "clips is 0"),
        (PretrainConfig, {"warmup": 2.0}, "warmup is 2.0"),
        (PretrainConfig, {"workers": 0}, "workers is 0"),
        (PretrainConfig, {"learning_rate": 0.0}, "learning_rate is 0.0"),
        (PretrainConfig, {"betas": (0.9, 1.0)}, "betas is"),
        (PretrainConfig, {"shape": ShapeConfig(patch_size=200)}, "shape.patch_size is 200"),
    ],
)
def test_what_makes_no_sense_is_refused(section: type[Any], values: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        section(**values)


@pytest.mark.parametrize(("clips", "size", "steps"), [(64, 32, 2), (65, 32, 3), (1, 32, 1)])
def test_every_clip_is_in_a_step(clips: int, size: int, steps: int) -> None:
    assert PretrainConfig(clips=clips, batch_size=size).steps == steps


def test_ast_mini_was_made_by_the_shipped_recipe() -> None:
    recipe = yaml.safe_load((REPOSITORY / "configs" / "pretrain_synthetic.yaml").read_text())
    record = json.loads((REPOSITORY / "src" / "backbones" / "ast-mini" / "pretraining.json").read_text())
    for name in ("output", "checkpoint_steps", "workers"):
        recipe.pop(name, None)
    for name, value in recipe.items():
        made = record["config"][name]
        assert (made | value if isinstance(value, dict) else value) == made, name


def test_the_shipped_recipe_names_every_number() -> None:
    recipe = yaml.safe_load((REPOSITORY / "configs" / "pretrain_synthetic.yaml").read_text())
    values = plain(PretrainConfig())
    values.pop("spectrogram")
    for name, value in values.items():
        assert name in recipe
        assert not isinstance(value, dict) or set(value) == set(recipe[name])
