"""Steady tones: which partials sound, how strong they are, and how they beat; nothing else moves."""

from __future__ import annotations

import numpy as np

from .blocks import Rng, Sound, Wave, harmonics, log_uniform, peaks, sine, slope

SEMITONE = 2 ** (1 / 12)


def pure_tone(rng: Rng, t: Wave) -> Sound:
    """One sine, 60 Hz to 6 kHz."""
    f0 = log_uniform(rng, 60, 6000)
    return Sound(sine(t, f0), f0)


def sloped_harmonics(rng: Rng, t: Wave) -> Sound:
    """All harmonics of 50 Hz to 1.2 kHz, falling by 2 to 9 dB per octave."""
    f0 = log_uniform(rng, 50, 1200)
    return Sound(harmonics(t, f0, slope(60, rng.uniform(2, 9))), f0)


def odd_harmonics(rng: Rng, t: Wave) -> Sound:
    """A hollow tone, 100 Hz to 1.5 kHz: odd harmonics, falling by 3 to 8 dB per octave."""
    f0 = log_uniform(rng, 100, 1500)
    levels = slope(40, rng.uniform(3, 8))
    levels[1::2] *= rng.uniform(0, 0.05)
    return Sound(harmonics(t, f0, levels), f0)


def missing_fundamental(rng: Rng, t: Wave) -> Sound:
    """Four to eight neighbouring equal harmonics of 80 to 500 Hz, the lowest of them the 4th to 10th."""
    f0 = log_uniform(rng, 80, 500)
    lowest, count = int(rng.integers(4, 11)), int(rng.integers(4, 9))
    order = np.arange(1, 20)
    return Sound(harmonics(t, f0, (order >= lowest) & (order < lowest + count)), f0)


def resonant_body(rng: Rng, t: Wave) -> Sound:
    """A rich tone, 60 to 400 Hz, heard through two or three sharp fixed resonances from 400 Hz to 5 kHz."""
    f0, count = log_uniform(rng, 60, 400), int(rng.integers(2, 4))
    centres = [log_uniform(rng, 400, 5000) for _ in range(count)]
    widths = [log_uniform(rng, 0.06, 0.2) * centre for centre in centres]
    levels = peaks(f0 * np.arange(1.0, 64), centres, widths, [1.0] * count)
    return Sound(harmonics(t, f0, levels), f0)


def octave_stack(rng: Rng, t: Wave) -> Sound:
    """Sines an octave apart from 30 to 120 Hz up, each at a level of its own."""
    f0 = log_uniform(rng, 30, 120)
    levels = np.zeros(64)
    levels[2 ** np.arange(7) - 1] = rng.uniform(0.3, 1, size=7)
    return Sound(harmonics(t, f0, levels), f0)


def stretched_partials(rng: Rng, t: Wave) -> Sound:
    """Eight partials of 150 to 700 Hz times k to the power of 1.08 to 1.35: hardly a pitch, no beat."""
    f0, stretch, fall = log_uniform(rng, 150, 700), rng.uniform(1.08, 1.35), rng.uniform(0, 0.8)
    tones = [sine(t, f0 * k**stretch) * k**-fall for k in range(1, 9) if f0 * k**stretch < 7500]
    return Sound(np.sum(tones, axis=0), f0)


def scattered_partials(rng: Rng, t: Wave) -> Sound:
    """Five to twelve sines anywhere from 150 Hz to 7 kHz: a steady chime without a pitch."""
    count = int(rng.integers(5, 13))
    tones = [rng.uniform(0.2, 1) * sine(t, log_uniform(rng, 150, 7000)) for _ in range(count)]
    return Sound(np.sum(tones, axis=0))


def beating_pair(rng: Rng, t: Wave) -> Sound:
    """Two equal sines, 150 Hz to 4 kHz, that beat 1 to 15 times a second."""
    f0, rate = log_uniform(rng, 150, 4000), log_uniform(rng, 1, 15)
    return Sound(sine(t, f0 - rate / 2) + rng.uniform(0.7, 1) * sine(t, f0 + rate / 2), f0, rate)


def rough_cluster(rng: Rng, t: Wave) -> Sound:
    """Five to eight tones within two to five semitones, 120 Hz to 2 kHz: rough, like a pressed forearm."""
    f0, width = log_uniform(rng, 120, 2000), rng.uniform(2, 5)
    pitches = f0 * SEMITONE ** rng.uniform(-width / 2, width / 2, size=int(rng.integers(5, 9)))
    return Sound(np.sum([harmonics(t, f, [1, 0.4, 0.2]) for f in pitches], axis=0), f0)


def stacked_chord(rng: Rng, t: Wave) -> Sound:
    """A held chord of three or four harmonic tones on a root of 80 to 600 Hz."""
    f0, fall = log_uniform(rng, 80, 600), rng.uniform(5, 14)
    chords = ((0, 4, 7), (0, 3, 7), (0, 5, 7), (0, 4, 7, 10), (0, 3, 6, 9), (0, 7, 12, 16))  # semitones
    chord = chords[int(rng.integers(len(chords)))]
    return Sound(np.sum([harmonics(t, f0 * SEMITONE**n, slope(20, fall)) for n in chord], axis=0), f0)


def detuned_unison(rng: Rng, t: Wave) -> Sound:
    """Five sawtooths of nearly one pitch, 50 to 800 Hz, up to 2 % apart: a wide shimmering buzz."""
    f0, spread = log_uniform(rng, 50, 800), rng.uniform(0.004, 0.02)
    voices = f0 * (1 + spread * rng.uniform(-1, 1, size=5))
    return Sound(np.sum([harmonics(t, f, slope(40, 4)) for f in voices], axis=0), f0)
