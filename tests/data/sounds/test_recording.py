"""A recording keeps the sound and its facts, whatever is done to it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petl_ast.data.sounds import recording
from petl_ast.data.sounds.blocks import Sound, sine
from petl_ast.data.sounds.clips import time_axis
from petl_ast.data.sounds.recording import record

T = time_axis(2.0, 16_000)
TONE = Sound(sine(T, 1000.0), 1000.0)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32), level=st.sampled_from([1e-4, 1.0, 1e4]), overlap=st.booleans())
def test_a_recording_is_within_its_peaks_at_any_level(seed, level, overlap):
    sound = Sound(level * TONE.wave, 1000.0)
    take = record(np.random.default_rng(seed), T, sound, TONE if overlap else None)
    assert (take.wave.dtype, take.wave.shape) == (np.float32, T.shape)
    assert recording.PEAK[0] * 0.999 < np.abs(take.wave).max() < recording.PEAK[1] * 1.001


@given(st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_the_centre_is_the_louder_sounds_whatever_the_room(seed):
    other = Sound(sine(T, 5000.0))
    assert record(np.random.default_rng(seed), T, TONE, other).centre == pytest.approx(1000, rel=0.15)


def test_repetition_gives_a_steady_sound_a_rate_and_leaves_others_theirs():
    rates = {record(np.random.default_rng(seed), T, TONE).rate for seed in range(100)}
    known = rates - {None}
    assert None in rates
    assert 5 < len(known) < 40  # one in five
    assert all(0.4 < rate < 8 for rate in known)
    beating = Sound(TONE.wave * sine(T, 7.0), 1000.0, 7.0)
    assert {record(np.random.default_rng(seed), T, beating).rate for seed in range(50)} == {7.0}


def noise_floors(monkeypatch, **constants: float) -> list[float]:
    """Power of what is no tone against that of the tone, for some recordings in a dry room."""
    for name in ("REPEATED", "DELAYED", "CUT", "REVERBERANT", "ECHOING", "NOISELESS"):
        monkeypatch.setattr(recording, name, constants.get(name, 0.0))
    floors = []
    for seed in range(40):
        power = (
            np.abs(np.fft.rfft(record(np.random.default_rng(seed), T, TONE).wave * np.hanning(len(T)))) ** 2
        )
        tone = power[1990:2011].sum()
        floors.append(10 * np.log10((power.sum() - tone) / tone))
    return floors


def test_noise_lies_as_far_below_the_sound_as_drawn(monkeypatch):
    floors = noise_floors(monkeypatch)
    assert -41 < min(floors) < -30
    assert -12 < max(floors) < -2


def test_without_noise_there_is_none(monkeypatch):
    assert max(noise_floors(monkeypatch, NOISELESS=1.0)) < -60


def test_sounds_that_start_late_leave_silence_before(monkeypatch):
    for name, chance in (("REPEATED", 0), ("DELAYED", 1), ("CUT", 0), ("REVERBERANT", 0), ("ECHOING", 0)):
        monkeypatch.setattr(recording, name, chance)
    monkeypatch.setattr(recording, "NOISELESS", 1)
    waves = [record(np.random.default_rng(seed), T, TONE).wave for seed in range(20)]
    starts = [np.flatnonzero(np.abs(x) > 0.1 * np.abs(x).max())[0] / len(T) for x in waves]
    assert max(starts) <= recording.DELAY + 0.01
    assert len(set(starts)) == 20
