"""Noises without events: what tells them apart is the shape of their spectrum or of their fine structure."""

from __future__ import annotations

import numpy as np

from .blocks import (
    Rng,
    Sound,
    Wave,
    echo,
    log_uniform,
    noise,
    peaks,
    shaped_noise,
    sloped_noise,
    wander,
)


def flat_noise(rng: Rng, t: Wave) -> Sound:
    """White noise, give or take 1 dB per octave."""
    return Sound(sloped_noise(rng, t, rng.uniform(-1, 1)))


def falling_noise(rng: Rng, t: Wave) -> Sound:
    """Pink noise: 2.5 to 4.5 dB less per octave."""
    return Sound(sloped_noise(rng, t, rng.uniform(-4.5, -2.5)))


def steep_noise(rng: Rng, t: Wave) -> Sound:
    """Brown noise: 6 to 10 dB less per octave."""
    return Sound(sloped_noise(rng, t, rng.uniform(-10, -6)))


def rising_noise(rng: Rng, t: Wave) -> Sound:
    """Blue to violet noise: 3 to 8 dB more per octave."""
    return Sound(sloped_noise(rng, t, rng.uniform(3, 8)))


def narrow_noise(rng: Rng, t: Wave) -> Sound:
    """A band of a tenth to a third of an octave, 150 Hz to 5 kHz: nearly a pitch, never steady."""
    centre = log_uniform(rng, 150, 5000)
    return Sound(noise(rng, t, centre, rng.uniform(0.03, 0.12)), centre)


def broad_band(rng: Rng, t: Wave) -> Sound:
    """A band with hard edges, one to two octaves wide, from 150 Hz to 3 kHz up."""
    low, octaves = log_uniform(rng, 150, 3000), rng.uniform(1, 2)
    return Sound(shaped_noise(rng, t, lambda f: ((f > low) & (f < low * 2**octaves)).astype(f.dtype)))


def notched_noise(rng: Rng, t: Wave) -> Sound:
    """White to pink noise with one to three silent bands, each half to one octave wide."""
    tilt, holes = rng.uniform(-0.5, 0), [log_uniform(rng, 250, 4000) for _ in range(int(rng.integers(1, 4)))]
    width = rng.uniform(0.25, 0.5)

    def gain(f: Wave) -> Wave:
        closed = [np.abs(np.log2(f / hole)) < width for hole in holes]
        return np.asarray(f**tilt * ~np.any(closed, axis=0))

    return Sound(shaped_noise(rng, t, gain))


def two_bands(rng: Rng, t: Wave) -> Sound:
    """Two narrow bands of noise, one from 150 to 900 Hz, one from 1.5 to 6 kHz."""
    low, high = log_uniform(rng, 150, 900), log_uniform(rng, 1500, 6000)
    widths = [rng.uniform(0.1, 0.4) * low, rng.uniform(0.1, 0.3) * high]
    return Sound(shaped_noise(rng, t, lambda f: peaks(f, [low, high], widths, [1, rng.uniform(0.4, 1)]) ** 2))


def pitched_noise(rng: Rng, t: Wave) -> Sound:
    """Noise through a feedback comb of 60 to 900 Hz: every harmonic hisses, 80 to 95 % fed back."""
    lag = round(1 / (log_uniform(rng, 60, 900) * t[1]))
    x = echo(sloped_noise(rng, t, rng.uniform(-4, 0)), lag, rng.uniform(0.8, 0.95))
    return Sound(x, float(1 / (lag * t[1])))


def ringing_noise(rng: Rng, t: Wave) -> Sound:
    """Noise through four to nine sharp resonances, 150 Hz to 6 kHz: steady clinking, no harmonic order."""
    centres = [log_uniform(rng, 150, 6000) for _ in range(int(rng.integers(4, 10)))]
    widths = [rng.uniform(6, 25) for _ in centres]
    return Sound(shaped_noise(rng, t, lambda f: peaks(f, centres, widths, [1.0] * len(centres))))


def spiky_noise(rng: Rng, t: Wave) -> Sound:
    """Noise of heavy tails: a normal variable to the power of 5 to 9, so that lone samples tower."""
    x = rng.standard_normal(len(t), dtype=np.float32)
    return Sound(x * np.abs(x) ** rng.uniform(4, 8))


def held_noise(rng: Rng, t: Wave) -> Sound:
    """Random levels held for 1 / 3000 to 1 / 250 s each: noise with zeros at multiples of that rate."""
    rate = log_uniform(rng, 250, 3000)
    levels = rng.standard_normal(int(t[-1] * rate) + 1, dtype=np.float32)
    return Sound(levels[(t * rate).astype(np.int32)])


def deep_rumble(rng: Rng, t: Wave) -> Sound:
    """Noise below 50 to 150 Hz that shifts slowly."""
    corner = log_uniform(rng, 50, 150)
    x = shaped_noise(rng, t, lambda f: np.exp(-((f / corner) ** 2)))
    return Sound(x * (1 + rng.uniform(0.2, 0.8) * wander(rng, t, log_uniform(rng, 1, 6))))


def hopping_bands(rng: Rng, t: Wave) -> Sound:
    """Narrow noise that jumps to another band, 300 Hz to 6 kHz, at random, 3 to 15 times a second."""
    rate, count = log_uniform(rng, 3, 15), 3
    bands = np.stack(
        [noise(rng, t, log_uniform(rng, 300, 6000), rng.uniform(0.08, 0.3)) for _ in range(count)]
    )
    order = rng.integers(count, size=int(t[-1] * rate) + 1)
    return Sound(bands[order[(t * rate).astype(np.int32)], np.arange(len(t))], rate=rate)


def surging_noise(rng: Rng, t: Wave) -> Sound:
    """Broad noise, 300 Hz to 3 kHz, that swells and ebbs by 20 dB and more, 0.4 to 2 times a second."""
    rate = log_uniform(rng, 0.4, 2)
    level = np.exp(2.5 * np.sin(2 * np.pi * rate * t + wander(rng, t, 1)))
    return Sound(noise(rng, t, log_uniform(rng, 300, 3000), rng.uniform(0.8, 1.6)) * level, rate=rate)
