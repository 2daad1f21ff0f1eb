"""Glides: the pitch is never still, and the shape of its path in time and log-frequency tells the family."""

from __future__ import annotations

import numpy as np

from .blocks import (
    Rng,
    Sound,
    Wave,
    edges,
    harmonics,
    log_uniform,
    moment,
    noise,
    repeat,
    sine,
    slope,
    sloped_noise,
)


def _sweeps(rng: Rng, t: Wave, rate: float, start: float, end: float, fall: float) -> Wave:
    """Sweeps from `start` to `end` Hz along a straight line of log-frequency, `rate` a second."""
    axis = moment(t, rng.uniform(0.6, 0.95) / rate)
    curve = start * (end / start) ** (axis / axis[-1])
    sweep = harmonics(axis, curve, slope(8, fall)) * edges(axis, 0.01)
    return repeat(rng, t, rate, 0.05, lambda _: sweep)


def rising_sweeps(rng: Rng, t: Wave) -> Sound:
    """One to three octaves up from 150 Hz to 1.2 kHz, 0.5 to 4 times a second."""
    low, octaves, rate = log_uniform(rng, 150, 1200), rng.uniform(1, 3), log_uniform(rng, 0.5, 4)
    x = _sweeps(rng, t, rate, low, min(low * 2**octaves, 7000), rng.uniform(6, 20))
    return Sound(x, low * 2 ** (octaves / 2), rate)


def falling_sweeps(rng: Rng, t: Wave) -> Sound:
    """One to three octaves down to 150 Hz to 1.2 kHz, 0.5 to 4 times a second."""
    low, octaves, rate = log_uniform(rng, 150, 1200), rng.uniform(1, 3), log_uniform(rng, 0.5, 4)
    x = _sweeps(rng, t, rate, min(low * 2**octaves, 7000), low, rng.uniform(6, 20))
    return Sound(x, low * 2 ** (octaves / 2), rate)


def rise_and_fall(rng: Rng, t: Wave) -> Sound:
    """A tone that swings smoothly over 0.7 to 2 octaves around 300 Hz to 1.8 kHz, 0.25 to 2.5 times a
    second.
    """
    f0, rate, reach = log_uniform(rng, 300, 1800), log_uniform(rng, 0.25, 2.5), rng.uniform(0.35, 1)
    return Sound(harmonics(t, f0 * 2 ** (reach * sine(t, rate)), slope(10, rng.uniform(6, 18))), f0, rate)


def swept_noise(rng: Rng, t: Wave) -> Sound:
    """A band of noise that slides up or down by two to four octaves in 0.25 to 2 s, over and over."""
    rate, low, octaves = log_uniform(rng, 0.5, 4), log_uniform(rng, 250, 700), rng.uniform(2, 3.5)
    along = (t * rate) % 1
    if rng.random() < 0.5:
        along = 1 - along
    carrier = low * 2 ** (octaves * along)
    hum = noise(rng, t, log_uniform(rng, 40, 120), 0.7)  # the carrier shifts it up
    return Sound(hum * sine(t, carrier), rate=rate)


def passing_source(rng: Rng, t: Wave) -> Sound:
    """A tone, 150 Hz to 1.2 kHz, that passes by at 15 to 60 m/s: louder, then lower, then gone; every 2
    to 5 s.
    """
    f0, speed, closest = log_uniform(rng, 150, 1200), rng.uniform(15, 60), rng.uniform(3, 12)  # Hz, m/s, m
    period = rng.uniform(2, 5)
    away = speed * ((t + 0.35 * period) % period - 0.5 * period)  # m along the road
    distance = np.sqrt(away**2 + closest**2)
    curve = f0 / (1 + speed * away / distance / 343)  # 343 m/s: sound in air
    x = harmonics(t, curve, slope(16, rng.uniform(3, 9))) + 0.2 * sloped_noise(rng, t, -3)
    return Sound(x / distance**1.5, f0)


def endless_glide(rng: Rng, t: Wave) -> Sound:
    """Shepard's tone: octaves that rise or fall for ever under a fixed bell of loudness, 0.15 to 1
    octave/s.
    """
    speed, low = log_uniform(rng, 0.15, 1) * float(rng.choice([-1, 1])), log_uniform(rng, 40, 80)
    out = np.zeros_like(t)
    for voice in range(7):
        octave = (voice + speed * t + rng.uniform(0, 0.01)) % 7
        out += sine(t, low * 2**octave) * np.exp(-0.5 * ((octave - 3.5) / 1.3) ** 2)
    return Sound(out)


def fast_zaps(rng: Rng, t: Wave) -> Sound:
    """Tones that plunge from 2 to 7 kHz by three to five octaves within 40 to 200 ms, 1.5 to 9 a second."""
    top, octaves, rate = log_uniform(rng, 2000, 7000), rng.uniform(3, 5), log_uniform(rng, 1.5, 9)
    axis = moment(t, min(0.8 / rate, log_uniform(rng, 0.04, 0.2)))
    along = axis / axis[-1]
    zap = sine(axis, top * 2 ** (-octaves * along**0.6)) * edges(axis) * (1 - 0.7 * along)
    return Sound(repeat(rng, t, rate, 0.1, lambda _: zap), rate=rate)


def staircase(rng: Rng, t: Wave) -> Sound:
    """A scale of 6 to 14 equal steps over one to three octaves, up or down, 5 to 16 steps a second."""
    low, rate, count = log_uniform(rng, 150, 800), log_uniform(rng, 5, 16), int(rng.integers(6, 15))
    octaves = rng.uniform(1, 3)
    step = (t * rate).astype(np.int32) % count
    if rng.random() < 0.5:
        step = count - 1 - step
    curve = low * 2 ** (step.astype(np.float32) * (octaves / count))
    return Sound(harmonics(t, curve, slope(8, rng.uniform(6, 15))), low * 2 ** (octaves / 2), rate)


def crossing_pair(rng: Rng, t: Wave) -> Sound:
    """Two tones, one up while the other comes down over one to three octaves, crossing 0.4 to 2.5 times a
    second.
    """
    middle, reach, rate = log_uniform(rng, 400, 1800), rng.uniform(0.5, 1.5), log_uniform(rng, 0.4, 2.5)
    zigzag = reach * (2 * np.abs(2 * ((t * rate / 2 + 0.25) % 1) - 1) - 1)  # octaves
    return Sound(sine(t, middle * 2**zigzag) + sine(t, middle * 2**-zigzag), rate=rate)


def gliding_buzz(rng: Rng, t: Wave) -> Sound:
    """A rich buzz that climbs or sinks once through one to two octaves in 2 to 5 s, then starts again."""
    low, octaves, period = log_uniform(rng, 45, 200), rng.uniform(1, 2), rng.uniform(2, 5)
    along = (t / period) % 1
    if rng.random() < 0.5:
        along = 1 - along
    x = harmonics(t, low * 2 ** (octaves * along), slope(60, rng.uniform(2, 5)))
    return Sound(x, low * 2 ** (octaves / 2))


def parabolic_whistles(rng: Rng, t: Wave) -> Sound:
    """Pure whistles on a round arch, up and down by half to one and a half octaves, 1 to 5 kHz at the top."""
    top, rate, reach = log_uniform(rng, 1000, 5000), log_uniform(rng, 0.8, 3), rng.uniform(0.5, 1.5)
    sign = float(rng.choice([-1, 1]))

    def arch(_: float) -> Wave:
        axis = moment(t, rng.uniform(0.5, 0.9) / rate)
        along = 2 * axis / axis[-1] - 1
        bend = along**2 if sign > 0 else 1 - along**2
        return np.asarray(sine(axis, top * 2 ** (-reach * bend)) * edges(axis, 0.02))

    return Sound(repeat(rng, t, rate, 0.2, arch), top * 2 ** (-reach / 2), rate)
