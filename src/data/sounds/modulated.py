"""Tones and noises under a regular modulation of level, pitch or colour: the rate is the physics here."""

from __future__ import annotations

import numpy as np

from .blocks import (
    Rng,
    Sound,
    Wave,
    angle,
    decay,
    edges,
    harmonics,
    log_uniform,
    noise,
    sine,
    slope,
    sloped_noise,
    steps,
    turns,
    wander,
)


def tremolo_tone(rng: Rng, t: Wave) -> Sound:
    """A tone, 100 Hz to 2.5 kHz, whose level swings 2 to 25 times a second by 60 to 100 %."""
    f0, rate, depth = log_uniform(rng, 100, 2500), log_uniform(rng, 2, 25), rng.uniform(0.6, 1)
    return Sound(harmonics(t, f0, slope(12, rng.uniform(4, 15))) * (1 + depth * sine(t, rate)), f0, rate)


def vibrato_tone(rng: Rng, t: Wave) -> Sound:
    """A tone, 150 Hz to 2.5 kHz, whose pitch swings 3 to 12 times a second by 2 to 15 %."""
    f0, rate, depth = log_uniform(rng, 150, 2500), log_uniform(rng, 3, 12), log_uniform(rng, 0.02, 0.15)
    return Sound(harmonics(t, f0 * (1 + depth * sine(t, rate)), slope(12, rng.uniform(4, 15))), f0, rate)


def ring_modulated(rng: Rng, t: Wave) -> Sound:
    """A harmonic tone times a sine: two sidebands for each harmonic, at 30 to 250 Hz either side."""
    f0, rate = log_uniform(rng, 300, 2500), log_uniform(rng, 30, 250)
    return Sound(harmonics(t, f0, slope(6, rng.uniform(3, 9))) * sine(t, rate), rate=rate)


def metallic_fm(rng: Rng, t: Wave) -> Sound:
    """A sine, 150 Hz to 2 kHz, bent by another at an irrational ratio, 2 to 8 rad deep: clang, held."""
    carrier, ratio = log_uniform(rng, 150, 2000), rng.uniform(1.1, 3.7)
    return Sound(np.sin(angle(t, carrier) + rng.uniform(2, 8) * sine(t, min(carrier * ratio, 2500))))


def fading_fm(rng: Rng, t: Wave) -> Sound:
    """Notes of 80 to 800 Hz, 1 to 6 a second, that begin bright (FM index 3 to 8) and end as plain sines."""
    f0, rate = log_uniform(rng, 80, 800), log_uniform(rng, 1, 6)
    along = (t * rate) % 1
    index = rng.uniform(3, 8) * decay(along, rng.uniform(0.1, 0.3))
    note = np.sin(angle(t, f0) + index * sine(t, f0 * int(rng.integers(1, 4))))
    return Sound(note * decay(along, rng.uniform(0.3, 2)) * edges(along, 0.02), f0, rate)


def pulsing_noise(rng: Rng, t: Wave) -> Sound:
    """Noise around 200 Hz to 5 kHz whose level follows a raised sine, 1.5 to 30 a second."""
    rate = log_uniform(rng, 1.5, 30)
    level = (0.5 + 0.5 * sine(t, rate)) ** rng.uniform(1, 3)
    return Sound(noise(rng, t, log_uniform(rng, 200, 5000), rng.uniform(0.4, 1.5)) * level, rate=rate)


def gated_noise(rng: Rng, t: Wave) -> Sound:
    """Noise of any slope switched on and off, 1.5 to 25 times a second, on for 20 to 70 % of the time."""
    rate, duty = log_uniform(rng, 1.5, 25), rng.uniform(0.2, 0.7)
    gate = (t * rate) % 1 < duty
    return Sound(sloped_noise(rng, t, rng.uniform(-6, 4)) * gate, rate=rate)


def pitch_trill(rng: Rng, t: Wave) -> Sound:
    """Two pitches one to seven semitones apart, 200 Hz to 2.5 kHz, in turn without a gap, 4 to 14
    trills/s.
    """
    low, rate = log_uniform(rng, 200, 2500), log_uniform(rng, 4, 14)
    high = low * 2 ** (int(rng.integers(1, 8)) / 12)
    curve = steps(rng, t, [low, high], 2 * rate)
    return Sound(harmonics(t, curve, slope(10, rng.uniform(4, 12))), (low * high) ** 0.5, rate)


def wandering_pitch(rng: Rng, t: Wave) -> Sound:
    """A thin tone around 200 Hz to 3 kHz that glides at random by up to an octave, 1 to 8 turns a second."""
    f0 = log_uniform(rng, 200, 3000)
    curve = f0 * 2 ** (rng.uniform(0.4, 1) * wander(rng, t, log_uniform(rng, 1, 8)))
    return Sound(harmonics(t, curve, [1, 0.3, 0.1]), f0)


def swept_resonance(rng: Rng, t: Wave) -> Sound:
    """A buzz of 80 to 300 Hz through a resonance that swings over two octaves, 0.5 to 6 times a second."""
    f0, rate, centre = log_uniform(rng, 80, 300), log_uniform(rng, 0.5, 6), log_uniform(rng, 600, 1800)
    place = np.log2(centre / f0) + rng.uniform(0.7, 1.2) * sine(t, rate)  # octaves above f0
    turn, out = angle(t, f0), np.zeros_like(t)
    for k in range(1, min(20, int(7500 / f0))):
        out += np.sin(k * turn) * np.exp(-8 * (place - float(np.log2(k))) ** 2)
    return Sound(out, f0, rate)


def flanged_noise(rng: Rng, t: Wave) -> Sound:
    """Noise and itself 0.3 to 4 ms later, the delay swinging 0.3 to 3 times a second: sliding stripes."""
    rate, deepest = log_uniform(rng, 0.3, 3), log_uniform(rng, 0.0015, 0.004) / t[1]
    x = sloped_noise(rng, t, rng.uniform(-3, 2))
    lag = deepest * (0.55 + 0.45 * sine(t, rate))
    at = np.maximum(0, np.arange(len(t)) - lag.astype(np.int32))
    return Sound(x + x[at], rate=rate)


def fluttering_tone(rng: Rng, t: Wave) -> Sound:
    """A tone, 120 Hz to 2 kHz, whose level is itself noise below 20 to 80 Hz: torn, without a rhythm."""
    f0 = log_uniform(rng, 120, 2000)
    level = np.abs(wander(rng, t, log_uniform(rng, 20, 80))) ** 1.5
    return Sound(harmonics(t, f0, slope(15, rng.uniform(4, 10))) * level, f0)


def chopped_harmonics(rng: Rng, t: Wave) -> Sound:
    """A rich tone whose even and odd harmonics sound in turn, 2 to 16 changes a second: octave flicker."""
    f0, rate = log_uniform(rng, 80, 600), log_uniform(rng, 2, 16)
    odd = slope(24, rng.uniform(2, 6))
    even = odd.copy()
    odd[1::2] = even[::2] = 0
    first = turns(t, rate) > 0  # half of every turn
    return Sound(np.where(first, harmonics(t, f0, odd), harmonics(t, f0, even)), f0, rate)
