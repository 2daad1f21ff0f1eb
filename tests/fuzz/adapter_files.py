"""Adapter folders: one that loads predicts finite probabilities of as many classes as it names."""

from __future__ import annotations

import dataclasses
import json
import math
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from petl_ast import build_model
from petl_ast.adapter_folder import CONFIG, WEIGHTS
from petl_ast.config import SpectrogramConfig
from petl_ast.prediction.predict import predict
from petl_ast.utils.evaluation import evaluate
from tests.conftest import GOLDEN, write_miniature
from tests.fuzz.mutations import spoil_bytes, spoil_text, spoil_value

METHODS: dict[str, dict[str, Any]] = {
    "adapter": {"reduction_rate": 6},
    "soft_moa": {"reduction_rate": 12},
    "peft": {"r": 2, "rank_pattern": {"layers.0.*": 4}},
    "prompt_tuning": {"num_tokens": 3, "deep": True},
    "prefix_tuning": {"num_tokens": 4},
}


class Files:
    """The reader that the module names."""

    def __init__(self, workshop: Path) -> None:
        self.cache, self.clip = workshop / "cache", workshop / "clip.wav"
        soundfile.write(self.clip, np.random.default_rng(0).uniform(-0.5, 0.5, 8000), 16000)
        rows = write_miniature(workshop / "data", clips_per_fold=1, folds=3)
        self.originals = []
        for number, (method, options) in enumerate(METHODS.items()):
            torch.manual_seed(number)
            model = build_model(GOLDEN / "backbone", 3, 48, method, options)
            self.originals.append(workshop / method)
            model.save_adapter(
                self.originals[-1],
                labels=[row["category"] for row in rows[:3]],
                spectrogram=dataclasses.asdict(SpectrogramConfig(max_length=48)),
                data={
                    "root": str(workshop / "data"),
                    "subset": "all",
                    "train": [2],
                    "validation": 3,
                    "test": 1,
                },
                training={"batch_size": 8, "precision": "fp32"},
                metrics={"epoch": 2, "test_accuracy": 0.5, "test_loss": 1.0},
            )

        for original in self.originals:
            assert evaluate(original, cache=str(self.cache), device="cpu").clips == 3

    def make(self, rng: random.Random, case: Path) -> None:
        shutil.copytree(rng.choice(self.originals), case, dirs_exist_ok=True)
        config, weights, way = case / CONFIG, case / WEIGHTS, rng.randrange(8)
        if way < 4:
            values = json.loads(config.read_text())
            part = rng.choice((None, "model", "model", "spectrogram", "data"))
            if part is None:
                values = spoil_value(rng, values)
            else:
                values[part] = spoil_value(rng, values[part])
            config.write_bytes(json.dumps(values).encode("utf-8", "surrogatepass"))
        elif way == 4:
            config.write_bytes(spoil_text(rng, config.read_bytes()))
        elif way == 5:
            weights.write_bytes(spoil_bytes(rng, weights.read_bytes(), rng.choice((8, 400, None))))
        elif way == 6:  # the header says something else, with a length that is right
            data = weights.read_bytes()
            end = 8 + int.from_bytes(data[:8], "little")
            header = json.dumps(spoil_value(rng, json.loads(data[8:end]))).encode("utf-8", "surrogatepass")
            weights.write_bytes(len(header).to_bytes(8, "little") + header + data[end:])
        else:  # values alone
            data = bytearray(weights.read_bytes())
            start = 8 + int.from_bytes(data[:8], "little")
            for _ in range(rng.choice((1, 10, 100))):
                data[rng.randrange(start, len(data))] = rng.randrange(256)
            weights.write_bytes(data)

    def judge(self, rng: random.Random, case: Path) -> None:
        if rng.random() < 0.3:
            result = evaluate(case, cache=str(self.cache), device="cpu")
            assert 0 <= result.accuracy <= 1 and math.isfinite(result.loss)
            assert result.matrix.sum() == result.clips > 0
            return
        (found,) = predict(case, [self.clip], device="cpu")
        assert found.error is None, found
        assert 1 <= len(found.classes) <= 3
        assert all(isinstance(name, str) and 0 <= value <= 1 for name, value in found.classes), found
        assert sum(value for _, value in found.classes) <= 1.001
