"""Liquids and moving air: bubbles that ring, jets that hiss, columns that resonate, sheets that flap."""

from __future__ import annotations

import numpy as np

from .blocks import (
    Rng,
    Sound,
    Wave,
    angle,
    arch,
    decay,
    harmonics,
    log_uniform,
    moment,
    noise,
    place,
    poisson,
    pulses,
    repeat,
    sine,
    slope,
    some,
    wander,
)


def _bubbles(rng: Rng, t: Wave, low: float, high: float, rise: float) -> list[Wave]:
    """Twelve bubbles: a bubble rings at 3.26 m/s over its radius, dies after some ten periods, and may
    rise.
    """
    out: list[Wave] = []
    for _ in range(12):
        f = log_uniform(rng, low, high)
        ring = rng.uniform(5, 15) / f
        axis = moment(t, 5 * ring)
        out.append(
            sine(axis, f * (1 + rise * axis / axis[-1])) * decay(axis, ring) * (1 - decay(axis, 0.001))
        )
    return out


def bubble_stream(rng: Rng, t: Wave) -> Sound:
    """Bubbles from a nozzle: 15 to 90 a second, sizes within two octaves of 400 Hz to 2 kHz."""
    rate, low = log_uniform(rng, 15, 90), log_uniform(rng, 400, 1500)
    bubbles = _bubbles(rng, t, low, 4 * low, rng.uniform(0, 0.3))
    starts = poisson(rng, t, rate)
    return Sound(place(t, starts, some(rng, bubbles, len(starts))), rate=rate)


def slow_gurgle(rng: Rng, t: Wave) -> Sound:
    """A neck that swallows air: clusters of deep bubbles, 90 to 350 Hz, 1.5 to 6 clusters a second."""
    rate, low = log_uniform(rng, 1.5, 6), log_uniform(rng, 90, 200)
    bubbles = _bubbles(rng, t, low, 1.8 * low, rng.uniform(0.5, 1.2))
    gulp = moment(t, 0.9 / rate)

    def cluster(_: float) -> Wave:
        count = int(rng.integers(2, 7))
        return place(gulp, rng.uniform(0, 0.5 / rate, size=count), some(rng, bubbles, count))

    return Sound(repeat(rng, t, rate, 0.5, cluster), rate=rate)


def rolling_boil(rng: Rng, t: Wave) -> Sound:
    """A full boil: 150 low bubbles a second, 150 to 900 Hz, that merge into a trembling roar."""
    bubbles = _bubbles(rng, t, log_uniform(rng, 120, 220), 900, 0.3)
    starts = poisson(rng, t, log_uniform(rng, 90, 160))
    roar = noise(rng, t, log_uniform(rng, 200, 500), 0.8) * (1 + 0.6 * wander(rng, t, 12))
    boil = place(t, starts, some(rng, bubbles, len(starts)))
    return Sound(boil / np.std(boil) + rng.uniform(0.3, 0.8) * roar)


def splashes(rng: Rng, t: Wave) -> Sound:
    """A body falls in: a slap, a spray that sinks from 3 kHz, then late bubbles; 0.5 to 1.5 a second."""
    rate = log_uniform(rng, 0.5, 1.5)
    axis = moment(t, min(1.0, 0.9 / rate))
    bubbles = _bubbles(rng, t, 300, 1500, 0.4)

    def splash(_: float) -> Wave:
        spray = noise(rng, axis, log_uniform(rng, 1500, 4000), 1) * (axis / 0.05) * decay(axis, 0.1)
        slap = noise(rng, axis, log_uniform(rng, 200, 600), 0.8) * decay(axis, 0.02)
        late = place(axis, 0.1 + rng.exponential(0.2, size=15), some(rng, bubbles, 15))
        return np.asarray((2 * slap + spray + 1.5 * late) * rng.uniform(0.5, 1))

    return Sound(repeat(rng, t, rate, 0.3, splash), rate=rate)


def filling_vessel(rng: Rng, t: Wave) -> Sound:
    """A vessel that fills: a noisy resonance climbs by one to two octaves from 250 to 700 Hz in 1.5 to 5
    s.
    """
    low, octaves, period = log_uniform(rng, 250, 700), rng.uniform(1, 2), rng.uniform(1.5, 5)
    column = low * 2 ** (octaves * (t / period % 1))
    band = noise(rng, t, log_uniform(rng, 20, 60), 0.6) * sine(t, column)
    bubbles = _bubbles(rng, t, 600, 2500, 0.2)
    starts = poisson(rng, t, 40)
    return Sound(band + 0.5 * place(t, starts, some(rng, bubbles, len(starts))))


def air_jet(rng: Rng, t: Wave) -> Sound:
    """Gas from a narrow valve: hiss around 3 to 7 kHz, pulled about by turbulence at 20 to 60 Hz."""
    hiss = noise(rng, t, log_uniform(rng, 3000, 7000), rng.uniform(0.5, 1.2))
    return Sound(hiss * (1 + rng.uniform(0.3, 0.7) * wander(rng, t, log_uniform(rng, 20, 60))))


def valve_releases(rng: Rng, t: Wave) -> Sound:
    """Pressure let go: a burst that falls in level and in pitch for 0.2 to 0.8 s; 0.6 to 2 a second."""
    rate, length, centre = log_uniform(rng, 0.6, 2), rng.uniform(0.2, 0.8), log_uniform(rng, 2000, 5000)
    axis = moment(t, length)

    def release(_: float) -> Wave:
        high, low = noise(rng, axis, centre, 0.6), noise(rng, axis, centre / 4, 0.6)
        early = decay(axis, length / 4)
        return np.asarray(
            (high * early + low * (1 - early)) * decay(axis, length / 2.5) * (axis < 0.97 * length)
        )

    return Sound(repeat(rng, t, rate, 0.2, release), rate=rate)


def blown_bottle(rng: Rng, t: Wave) -> Sound:
    """Breath across a neck: a hooting resonance, 90 to 500 Hz, in breaths of 0.5 to 1.5 s, hiss around it."""
    f0, length = log_uniform(rng, 90, 500), rng.uniform(0.5, 1.5)
    axis = moment(t, length)
    breath = arch(axis, 0.5)

    def blow(_: float) -> Wave:
        tone = sine(axis, f0) + 0.5 * noise(rng, axis, f0, 0.06)
        return np.asarray((tone + 0.25 * noise(rng, axis, 3000, 1.2)) * breath)

    return Sound(repeat(rng, t, 1 / (length + rng.uniform(0.1, 0.4)), 0.1, blow), f0)


def breathy_pipe(rng: Rng, t: Wave) -> Sound:
    """A flue pipe: notes of 250 Hz to 1.5 kHz, 1 to 4 a second, that overblow for a moment as they start."""
    root, rate = log_uniform(rng, 250, 1500), log_uniform(rng, 1, 4)
    axis = moment(t, rng.uniform(0.7, 0.98) / rate)

    def note(_: float) -> Wave:
        f0 = root * 2 ** (float(rng.choice([-5, -3, 0, 2, 4])) / 12)
        start = decay(axis, 0.03)
        tone = (
            sine(axis, f0) * (1 - start)
            + start * sine(axis, min(2.02 * f0, 7000))
            + 0.15 * sine(axis, 2 * f0)
        )
        air = 0.2 * noise(rng, axis, 2.5 * f0, 0.8)
        return np.asarray((tone + air) * np.minimum(1, (axis[-1] - axis) / 0.04))

    return Sound(repeat(rng, t, rate, 0.02, note), root, rate)


def aeolian_wire(rng: Rng, t: Wave) -> Sound:
    """A taut wire in a stream: the vortex tone locks to one harmonic of 60 to 200 Hz after another."""
    f0, speed = log_uniform(rng, 60, 200), 6 + 5 * wander(rng, t, log_uniform(rng, 0.7, 3))
    order = np.round(np.maximum(1, speed))
    tone = sine(t, f0 * order) * (0.3 + np.cos(np.pi * (speed - order)) ** 2)
    return Sound(tone + 0.3 * noise(rng, t, 8 * f0, 0.4), f0)


def flapping_sheet(rng: Rng, t: Wave) -> Sound:
    """A loose sheet in a stream: dull cracks of 150 Hz to 1.2 kHz, 5 to 20 a second, in gusts."""
    rate, centre = log_uniform(rng, 5, 20), log_uniform(rng, 150, 1200)
    axis = moment(t, 0.6 / rate)
    crack = decay(axis, 0.012) + 0.3 * decay(axis, 0.2 / rate)
    flaps = repeat(rng, t, rate, 0.4, lambda _: noise(rng, axis, centre, 1) * crack * rng.uniform(0.3, 1))
    return Sound(flaps * (0.6 + 0.4 * wander(rng, t, 1.5)), rate=rate)


def pinched_reed(rng: Rng, t: Wave) -> Sound:
    """Air through pinched rubber: a rasp of 120 to 600 Hz that strains up and down and splutters."""
    f0 = log_uniform(rng, 120, 600)
    strain = wander(rng, t, log_uniform(rng, 1.5, 6))
    turn = angle(t, f0 * 2 ** (0.6 * strain + 0.06 * wander(rng, t, 60)))
    return Sound(pulses(turn, rng.uniform(5, 10)) * np.clip(0.7 + wander(rng, t, 15), 0, 1), f0)


def buzzing_lips(rng: Rng, t: Wave) -> Sound:
    """A brass tube: notes of its harmonic series on 50 to 150 Hz, brighter as they swell, 1 to 4 a second."""
    root, rate = log_uniform(rng, 50, 150), log_uniform(rng, 1, 4)
    axis = moment(t, 0.9 / rate)
    swell = np.minimum(1, axis / 0.06) * np.minimum(1, (axis[-1] - axis) / 0.06)

    def note(_: float) -> Wave:
        f0 = root * int(rng.integers(2, 7))
        dark, bright = harmonics(axis, f0, slope(8, 12)), harmonics(axis, f0, slope(30, 3))
        return np.asarray(dark * swell + (bright - dark) * swell**2 * rng.uniform(0.4, 1))

    return Sound(repeat(rng, t, rate, 0.02, note), 4 * root, rate)
