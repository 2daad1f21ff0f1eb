"""Every family sounds, at once and in full; a simple classifier tells them apart; none is the demo's."""

import importlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import ExtraTreesClassifier

from petl_ast.config import SpectrogramConfig
from petl_ast.data.sounds.clips import time_axis
from petl_ast.data.sounds.registry import FAMILIES, GROUPS
from petl_ast.data.spectrogram import log_mel
from petl_ast.data.synthetic import CLASSES

NAMES = tuple(FAMILIES)
RATE = 16_000
CLIPS, SEEN = 16, 8  # of each family: drawn, and learnt from
SETTINGS = SpectrogramConfig(num_mel_bins=64, max_length=198, mean=0.0, std=0.5)  # 2 s; natural logarithms


def sound(name: str, seed: int, seconds: float):
    return FAMILIES[name](np.random.default_rng(seed), time_axis(seconds, RATE))


def test_a_hundred_families_and_more_each_listed_once():
    assert len(FAMILIES) == sum(map(len, GROUPS.values())) >= 100
    for group, families in GROUPS.items():
        assert {family.__module__.rsplit(".")[-1] for family in families} == {group}


def test_no_family_of_the_modules_is_forgotten():
    for group in GROUPS:
        module = importlib.import_module(f"petl_ast.data.sounds.{group}")
        public = {n for n, f in vars(module).items() if getattr(f, "__module__", "") == module.__name__}
        assert {n for n in public if not n.startswith("_")} == {f.__name__ for f in GROUPS[group]}


def test_the_demos_classes_are_not_among_them():
    assert not set(NAMES) & set(CLASSES)


@pytest.mark.parametrize("name", NAMES)
def test_every_family_is_documented(name):
    assert FAMILIES[name].__doc__


@settings(max_examples=400, deadline=None)
@given(name=st.sampled_from(NAMES), seed=st.integers(0, 2**32), seconds=st.sampled_from([0.5, 1.3, 3.0]))
def test_every_draw_sounds_from_the_start(name, seed, seconds):
    wave, f0, rate = sound(name, seed, seconds)
    assert (wave.dtype, wave.shape) == (np.float32, (round(seconds * RATE),))
    assert np.isfinite(wave).all()
    assert wave.std() > 0.005 * np.abs(wave).max() > 0  # not a lone click in silence
    assert np.flatnonzero(np.abs(wave) > 0.001 * np.abs(wave).max())[0] < 0.3 * RATE
    assert f0 is None or 20 < f0 < 8000
    assert rate is None or 0.1 < rate < 500


@settings(max_examples=100, deadline=None)
@given(name=st.sampled_from(NAMES), seed=st.integers(0, 2**32))
def test_draws_differ_within_a_family_and_repeat_with_their_seed(name, seed):
    first, again, other = (sound(name, s, 0.5).wave for s in (seed, seed, seed + 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    "name", ["pure_tone", "sloped_harmonics", "odd_harmonics", "vibrato_tone", "rubbed_glass"]
)
def test_f0_is_the_lowest_strong_line(name):
    for seed in range(5):
        wave, f0, _ = sound(name, seed, 2.0)
        power = np.abs(np.fft.rfft(wave * np.hanning(len(wave)))) ** 2
        lines = np.flatnonzero(power > 0.02 * power.max()) / 2  # Hz
        assert lines[0] == pytest.approx(f0, rel=0.2)


@pytest.mark.parametrize(
    "name", ["steady_ticks", "gated_noise", "pulsing_noise", "tremolo_tone", "noise_puffs"]
)
def test_rate_is_the_envelopes(name):
    for seed in range(5):
        wave, _, rate = sound(name, seed, 5.0)
        envelope = np.convolve(np.abs(wave), np.ones(160) / 160, mode="same")[::80]  # 200 values a second
        spectrum = np.abs(np.fft.rfft(envelope - envelope.mean()))
        frequencies = np.arange(len(spectrum)) / 5
        at_rate = spectrum[np.abs(frequencies - rate) < 0.05 * rate + 0.2].max()
        assert at_rate > 0.5 * spectrum[frequencies < 1.2 * rate].max()


def statistics(values: np.ndarray) -> np.ndarray:
    """Mean and deviation of every mel bin over time: [clips, frames, bins] -> [clips, 2 * bins]."""
    return np.concatenate([values.mean(1), values.std(1)], axis=1)


def movements(values: np.ndarray) -> np.ndarray:
    """What the statistics cannot see: flux, asymmetry of rise and fall, direction of glides, rhythm."""
    change, centred = np.diff(values, axis=1), values - values.mean(1, keepdims=True)
    up = (centred[:, 2:, 1:] * centred[:, :-2, :-1] - centred[:, :-2, 1:] * centred[:, 2:, :-1]).mean(1)
    rhythm = (np.abs(np.fft.rfft(centred * np.hanning(values.shape[1])[:, None], axis=1)) ** 2).sum(2)
    edges = np.unique(np.geomspace(1, rhythm.shape[1] - 1, 16).astype(int))
    rhythm = np.log(np.add.reduceat(rhythm, edges, axis=1) + 1e-3)
    return np.concatenate([np.abs(change).mean(1), (change**3).mean(1), up, rhythm], axis=1)


@pytest.fixture(scope="module")
def described() -> tuple[np.ndarray, np.ndarray]:
    """Log-mel statistics, and these with movements, of some clips of each family at one level."""
    simple, full = [], []
    for label, name in enumerate(NAMES):
        waves = [sound(name, 1000 * label + draw, 2.0).wave for draw in range(CLIPS)]
        values = log_mel([0.1 * wave / wave.std() for wave in waves], SETTINGS).numpy()
        values = np.maximum(values, values.max((1, 2), keepdims=True) - 14)  # 60 dB
        simple.append(statistics(values))
        full.append(np.concatenate([simple[-1], movements(values)], axis=1))
    return np.array(simple), np.array(full)  # [families, CLIPS, n] each


def learnt(model, described: np.ndarray) -> np.ndarray:
    """Scores of the unseen clips: [families, CLIPS - SEEN, families]."""
    width = described.shape[-1]
    model.fit(described[:, :SEEN].reshape(-1, width), np.repeat(np.arange(len(NAMES)), SEEN))
    return model.predict_proba(described[:, SEEN:].reshape(-1, width)).reshape(len(NAMES), -1, len(NAMES))


def test_a_linear_classifier_on_log_mel_statistics_tells_families_apart(described):
    scores = learnt(LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1), described[0])
    accuracy = (scores.argmax(-1) == np.arange(len(NAMES))[:, None]).mean()
    assert 0.35 < accuracy < 0.95  # chance is below 0.01; a task that statistics solve would teach nothing


def test_no_two_families_are_alike(described):
    """A forest that also sees movement prefers, clip by clip, the family that it is over any other one."""
    scores = learnt(ExtraTreesClassifier(100, max_features=25, random_state=0), described[1])
    assert (scores.argmax(-1) == np.arange(len(NAMES))[:, None]).mean() > 0.7
    own = np.einsum("kik->ki", scores)[:, :, None]
    preferred = ((own > scores) + 0.5 * (own == scores)).mean(1)  # [family, other one]
    between = (preferred + preferred.T) / 2
    np.fill_diagonal(between, 1)
    alike = [(NAMES[a], NAMES[b]) for a, b in np.argwhere(between < 0.6) if a < b]
    assert not alike
