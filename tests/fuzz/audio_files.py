"""Sound: finite samples of a bounded number, and a spectrogram of the right shape from them."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import soundfile

from petl_ast.config import SpectrogramConfig
from petl_ast.data.audio import WHOLE, read_waveform
from petl_ast.data.spectrogram import log_mel, samples_heard
from tests.fuzz.mutations import spoil_bytes

CONFIG = SpectrogramConfig(max_length=48)
KINDS = (
    *(
        ("wav", "PCM_16", 16000, 1),
        ("wav", "FLOAT", 44100, 2),
        ("wav", "IMA_ADPCM", 22050, 1),
        ("w64", "PCM_24", 8000, 1),
    ),
    *(
        ("flac", "PCM_16", 44100, 1),
        ("ogg", "VORBIS", 44100, 2),
        ("aiff", "PCM_16", 16000, 8),
        ("au", "ULAW", 8000, 1),
    ),
    *(("caf", "ALAC_16", 48000, 2), ("wav", "DOUBLE", 384000, 1), ("mp3", "MPEG_LAYER_III", 44100, 1)),
)


class Files:
    """The reader that the module names."""

    def __init__(self, workshop: Path) -> None:
        draws = np.random.default_rng(0)
        self.originals = []
        for number, (ending, subtype, rate, channels) in enumerate(KINDS):
            path = workshop / f"{number}.{ending}"
            soundfile.write(path, draws.uniform(-0.5, 0.5, (rate // 5, channels)), rate, subtype)
            self.originals.append(path)
            assert len(read_waveform(path, CONFIG.sampling_rate))  # also imports what resampling needs

    def make(self, rng: random.Random, case: Path) -> None:
        original = rng.choice(self.originals)
        ending = original.suffix if rng.random() < 0.8 else rng.choice((".wav", ".flac", ".raw", ".txt", ""))
        within = rng.choice((48, 64, 200, None))
        (case / f"clip{ending}").write_bytes(spoil_bytes(rng, original.read_bytes(), within))

    def judge(self, rng: random.Random, case: Path) -> None:
        (path,) = case.iterdir()
        waveform = read_waveform(path, CONFIG.sampling_rate, samples_heard(CONFIG))
        assert waveform.dtype == np.float32 and waveform.ndim == 1
        assert 0 < len(waveform) <= 2 * WHOLE
        assert np.isfinite(waveform).all()
        spectrogram = log_mel([waveform], CONFIG)
        assert spectrogram.shape == (1, 48, 128)
        assert spectrogram.isfinite().all()
