"""Configurations: what is read reads back the same and is within the bounds."""

from __future__ import annotations

import random
from pathlib import Path

from petl_ast.config import MOST_FRAMES, load_run_config, to_yaml
from tests.conftest import REPOSITORY
from tests.fuzz.mutations import spoil_text

ORIGINALS = ("esc50_conformer.yaml", "demo.yaml", "esc50_dora.yaml", "esc50_soft_moa.yaml")


class Files:
    """The reader that the module names."""

    def __init__(self, workshop: Path) -> None:
        self.again = workshop / "again.yaml"
        self.originals = [(REPOSITORY / "configs" / name).read_bytes() for name in ORIGINALS]

    def make(self, rng: random.Random, case: Path) -> None:
        (case / "run.yaml").write_bytes(spoil_text(rng, rng.choice(self.originals)))

    def judge(self, rng: random.Random, case: Path) -> None:
        config = load_run_config(case / "run.yaml")
        assert 1 <= config.spectrogram.max_length <= MOST_FRAMES
        assert 1 <= config.train.batch_size <= 8192
        assert isinstance(config.model.method_options, dict)
        assert isinstance(config.data.root, str)
        self.again.write_text(to_yaml(config), encoding="utf-8")
        assert load_run_config(self.again) == config
