"""Textures of many small events that nobody counts: density, grain and clustering differ."""

from __future__ import annotations

import numpy as np

from .blocks import (
    Rng,
    Sound,
    Wave,
    decay,
    edges,
    harmonics,
    log_uniform,
    modes,
    moment,
    noise,
    place,
    poisson,
    repeat,
    sine,
    some,
    wander,
)


def _grains(rng: Rng, t: Wave, ring: float, low: float, high: float, octaves: float) -> list[Wave]:
    """Six noise grains that die away in `ring`, centred anywhere between `low` and `high`."""
    axis = moment(t, 6 * ring)
    return [noise(rng, axis, log_uniform(rng, low, high), octaves) * decay(axis, ring) for _ in range(6)]


def poisson_clicks(rng: Rng, t: Wave) -> Sound:
    """Independent equal clicks of a millisecond, 3 to 40 a second."""
    rate = log_uniform(rng, 3, 40)
    axis = moment(t, 0.004)
    click = modes(axis, log_uniform(rng, 1500, 5000), 0.0005, 1)
    starts = poisson(rng, t, rate)
    return Sound(place(t, starts, (click for _ in starts)), rate=rate)


def heavy_crackle(rng: Rng, t: Wave) -> Sound:
    """Snaps of very unequal strength, 8 to 60 a second, over a faint low hiss."""
    rate = log_uniform(rng, 8, 60)
    snaps = _grains(rng, t, log_uniform(rng, 0.0008, 0.004), 800, 5000, 1.2)
    starts = poisson(rng, t, rate)
    levels = rng.pareto(1.3, size=len(starts)).clip(0.05, 12).astype(np.float32)
    out = place(
        t, starts, (s * level for s, level in zip(some(rng, snaps, len(starts)), levels, strict=True))
    )
    return Sound(out + 0.1 * noise(rng, t, 300, 1.5), rate=rate)


def tone_grains(rng: Rng, t: Wave) -> Sound:
    """A cloud of sine grains, 10 to 60 ms, pitches anywhere in one to three octaves, 20 to 100 a second."""
    rate, low, octaves = log_uniform(rng, 20, 100), log_uniform(rng, 300, 1500), rng.uniform(1, 3)
    axis = moment(t, log_uniform(rng, 0.01, 0.06))
    window = edges(axis, float(axis[-1]) / 2)
    grains = [sine(axis, low * 2 ** rng.uniform(0, octaves)) * window for _ in range(24)]
    starts = poisson(rng, t, rate)
    return Sound(place(t, starts, some(rng, grains, len(starts))), rate=rate)


def stony_grains(rng: Rng, t: Wave) -> Sound:
    """Pebbles on pebbles: hard knocks of 3 to 12 ms around 700 Hz to 3 kHz, in handfuls, 1 to 4 a second."""
    rate = log_uniform(rng, 1, 4)
    grains = _grains(rng, t, log_uniform(rng, 0.003, 0.012), 700, 3000, 0.5)
    hand, count = moment(t, 0.6 / rate), int(rng.integers(8, 25))

    def handful(_: float) -> Wave:
        return place(hand, rng.triangular(0, 0.2, 1, size=count) * 0.5 / rate, some(rng, grains, count))

    return Sound(repeat(rng, t, rate, 0.2, handful), rate=rate)


def dense_sizzle(rng: Rng, t: Wave) -> Sound:
    """Frying: 100 to 200 tiny high spits a second on a wavering hiss around 3.5 to 6 kHz."""
    spits = _grains(rng, t, log_uniform(rng, 0.0006, 0.002), 3000, 7000, 0.6)
    starts = poisson(rng, t, log_uniform(rng, 100, 200))
    hiss = noise(rng, t, log_uniform(rng, 3500, 6000), 0.6) * (0.3 + 0.15 * wander(rng, t, 10))
    return Sound(place(t, starts, some(rng, spits, len(starts))) + rng.uniform(0.5, 1.2) * hiss)


def crumpling_sheet(rng: Rng, t: Wave) -> Sound:
    """A stiff sheet is crushed: bursts of clicks that excite ever other modes, 2 to 6 bursts a second."""
    rate, ring = log_uniform(rng, 2, 6), log_uniform(rng, 0.002, 0.008)
    axis, burst = moment(t, 6 * ring), moment(t, 1.2 / rate)
    clicks = [
        modes(axis, rng.uniform(600, 6500, size=5), ring, rng.uniform(0.2, 1, size=5)) for _ in range(10)
    ]

    def crush(_: float) -> Wave:
        count = int(rng.integers(4, 30))
        return place(burst, rng.beta(1, 2, size=count) / rate, some(rng, clicks, count)) * rng.uniform(0.2, 1)

    return Sound(repeat(rng, t, rate, 0.7, crush), rate=rate)


def popping_rush(rng: Rng, t: Wave) -> Sound:
    """Hollow pops, rare at first, then thick, then rare again; the rush takes 1.5 to 4 s."""
    length, count = rng.uniform(1.5, 4), int(rng.integers(30, 90))
    axis = moment(t, 0.04)
    pops = [modes(axis, log_uniform(rng, 350, 1500), 0.005, 1) for _ in range(8)]

    def rush(_: float) -> Wave:
        starts = np.concatenate([[0], np.clip(rng.normal(0.5, 0.18, size=count), 0, 1)]) * length
        return place(moment(t, length + 0.05), starts, some(rng, pops, count + 1))

    return Sound(repeat(rng, t, 1 / (length + 0.2), 0, rush))


def pellets_on_plate(rng: Rng, t: Wave) -> Sound:
    """Hard pellets on a thin sheet: 6 to 40 hits a second ring the same ten modes for 20 to 100 ms."""
    rate, ring = log_uniform(rng, 6, 40), log_uniform(rng, 0.02, 0.1)
    axis, f = moment(t, 4 * ring), np.exp(rng.uniform(np.log(600), np.log(7000), size=10))
    hits = [modes(axis, f, ring * rng.uniform(0.4, 1, size=10), rng.uniform(0, 1, size=10)) for _ in range(5)]
    starts = poisson(rng, t, rate)
    return Sound(place(t, starts, some(rng, hits, len(starts))), rate=rate)


def brittle_rustle(rng: Rng, t: Wave) -> Sound:
    """Dry light pieces brushed in strokes: high soft grains, 60 to 150 a second, 0.7 to 3 strokes a
    second.
    """
    rate = log_uniform(rng, 0.7, 3)
    grains = _grains(rng, t, log_uniform(rng, 0.004, 0.015), 2500, 6500, 0.35)
    starts = poisson(rng, t, log_uniform(rng, 60, 150))
    strokes = np.maximum(0, 0.2 + np.cos(2 * np.pi * rate * t + 1.5 * wander(rng, t, 3) * np.minimum(1, t)))
    return Sound(place(t, starts, some(rng, grains, len(starts))) * strokes, rate=rate)


def shaken_grains(rng: Rng, t: Wave) -> Sound:
    """A shaker: hundreds of seeds against a shell of 2 to 6 kHz, thrown 2 to 9 times a second."""
    rate, shell = log_uniform(rng, 2, 9), log_uniform(rng, 2000, 6000)
    axis = moment(t, min(0.25, 0.9 / rate))
    rise = rng.uniform(0.2, 0.6) * float(axis[-1])
    swell = np.minimum(axis / rise, 1) ** 2 * decay(np.maximum(0, axis - rise), 0.02)
    return Sound(repeat(rng, t, rate, 0.06, lambda _: noise(rng, axis, shell, 0.3) * swell), rate=rate)


def spark_bursts(rng: Rng, t: Wave) -> Sound:
    """Arcs: buzzing bursts of 20 to 200 ms, broad and hard, at 100 or 120 sparks a second, in random
    order.
    """
    f0 = float(rng.choice([100, 120]))
    buzz = harmonics(t, f0, np.ones(64)) * (1 + rng.standard_normal(len(t), dtype=np.float32))
    starts = poisson(rng, t, log_uniform(rng, 2, 8))
    gates = (moment(t, log_uniform(rng, 0.02, 0.2)) * 0 + rng.uniform(0.3, 1) for _ in starts)
    return Sound(buzz * np.minimum(1, place(t, starts, gates)), f0)


def reversed_grains(rng: Rng, t: Wave) -> Sound:
    """Decays played backwards: tones that swell for 50 to 250 ms and stop dead, 2 to 10 a second."""
    rate, ring = log_uniform(rng, 2, 10), log_uniform(rng, 0.02, 0.08)
    axis, root = moment(t, 4 * ring), log_uniform(rng, 250, 1500)
    grains = [modes(axis, root * rng.uniform(1, 3, size=3), ring, 1)[::-1] for _ in range(6)]
    starts = poisson(rng, t, rate)
    return Sound(place(t, starts, some(rng, grains, len(starts))), rate=rate)
