"""Configuration: types, limits, YAML there and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from petl_ast.config import (
    AugmentConfig,
    DataConfig,
    ModelConfig,
    RunConfig,
    SpectrogramConfig,
    TrainConfig,
    load_run_config,
    parse_dataclass,
    to_yaml,
)
from petl_ast.errors import UserError

WHOLE = st.integers(-(2**63) + 1, 2**63 - 1)  # a larger number is refused
CONFIGS = st.builds(
    RunConfig,
    output=st.text(st.characters(categories=("L", "N"), include_characters="/_- "), min_size=1),
    data=st.builds(DataConfig, folds=st.none() | st.lists(st.integers(1, 10), min_size=1)),
    spectrogram=st.builds(SpectrogramConfig, max_length=st.integers(1, 3000), mean=st.floats(-9, 9)),
    augment=st.builds(AugmentConfig, frequency_mask=st.integers(0, 128)),
    model=st.builds(
        ModelConfig, method_options=st.dictionaries(st.sampled_from("abc"), WHOLE | st.booleans())
    ),
    train=st.builds(
        TrainConfig,
        learning_rate=st.floats(1e-9, 10),
        betas=st.tuples(st.floats(0, 0.99), st.floats(0, 0.99)),
        eps=st.floats(1e-12, 1e-3),
    ),
)


@settings(max_examples=30, deadline=None)
@given(config=CONFIGS)
def test_yaml_reads_back_as_it_was(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    path.write_text(to_yaml(config), encoding="utf-8")
    assert load_run_config(path) == config


def test_a_run_keeps_every_option_but_overwrite() -> None:
    assert set(yaml.safe_load(to_yaml(RunConfig(overwrite=True)))) == {
        "output",
        "data",
        "spectrogram",
        "augment",
        "model",
        "train",
    }


@pytest.mark.parametrize(
    ("section", "values", "named"),
    [
        (TrainConfig, {"epochs": 0}, "train.epochs is 0"),
        (TrainConfig, {"batch_size": 0}, "train.batch_size is 0"),
        (TrainConfig, {"learning_rate": 0.0}, "train.learning_rate is 0.0"),
        (TrainConfig, {"learning_rate": float("nan")}, "train.learning_rate is nan"),
        (TrainConfig, {"eps": float("inf")}, "train.eps is inf"),
        (TrainConfig, {"betas": (0.9, 1.0)}, "train.betas"),
        (TrainConfig, {"weight_decay": -0.1}, "train.weight_decay is -0.1"),
        (TrainConfig, {"seed": -1}, "train.seed is -1"),
        (SpectrogramConfig, {"max_length": 0}, "spectrogram.max_length is 0"),
        (SpectrogramConfig, {"std": 0.0}, "spectrogram.std is 0.0"),
        (AugmentConfig, {"time_mask": -1}, "augment.time_mask is -1"),
    ],
)
def test_senseless_values_are_named(section: type, values: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=named):
        section(**values)


def test_parse_dataclass_checks_names_and_types() -> None:
    assert parse_dataclass(AugmentConfig, {"time_mask": 3}, "here") == AugmentConfig(24, 3)
    with pytest.raises(UserError, match=r"here: .*mask_time.*\n.*frequency_mask, time_mask"):
        parse_dataclass(AugmentConfig, {"mask_time": 3}, "here")
    with pytest.raises(UserError, match=r"here: .*time_mask"):
        parse_dataclass(AugmentConfig, {"time_mask": "three"}, "here")


@pytest.mark.parametrize("text", ["output: [", "train: {epochs: many}", "nothing: here", ""])
def test_a_configuration_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"config\.yaml"):
        load_run_config(path)
