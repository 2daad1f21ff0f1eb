"""Cache entries: whatever is in the folder, the spectrograms have the right shape, or are computed again."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import numpy as np
import soundfile

from petl_ast.config import SpectrogramConfig
from petl_ast.data.cache import open_entry
from petl_ast.data.cache_builder import CONTENT, SPECTROGRAMS
from tests.fuzz.mutations import spoil_bytes, spoil_text, spoil_value

CONFIG = SpectrogramConfig(num_mel_bins=32, max_length=12)


class Files:
    """The reader that the module names."""

    def __init__(self, workshop: Path) -> None:
        draws, self.clips = np.random.default_rng(0), []
        for number in range(3):
            self.clips.append(workshop / f"{number}.wav")
            soundfile.write(self.clips[-1], draws.uniform(-0.5, 0.5, 2000), 16000)
        self.clips.append(workshop / "bad.wav")
        self.clips[-1].write_text("no sound")
        self.good = np.array(
            open_entry(self.clips, CONFIG, workshop / "cache", keep_problems=True).spectrograms
        )
        (self.entry,) = (workshop / "cache").iterdir()

    def make(self, rng: random.Random, case: Path) -> None:
        entry = case / self.entry.name
        shutil.copytree(self.entry, entry)
        way = rng.randrange(5)
        if way < 3:
            file = entry / SPECTROGRAMS
            file.write_bytes(spoil_bytes(rng, file.read_bytes(), (None, 12, 128)[way]))
        elif way == 3:
            content = json.loads((entry / CONTENT).read_text())
            text = json.dumps(spoil_value(rng, content))
            (entry / CONTENT).write_bytes(text.encode("utf-8", "surrogatepass"))
        else:
            (entry / CONTENT).write_bytes(spoil_text(rng, (entry / CONTENT).read_bytes()))

    def judge(self, rng: random.Random, case: Path) -> None:
        entry = open_entry(self.clips, CONFIG, case, keep_problems=rng.random() < 0.8)
        assert entry.spectrograms.shape == self.good.shape
        assert entry.spectrograms.dtype == np.float32
        assert list(entry.problems) == ["bad.wav"]
        if entry.notes:  # it was computed again
            assert np.array_equal(entry.spectrograms, self.good)
