"""Patterns in time: plain sounds whose order is what one hears, from a tick to a drum loop."""

from __future__ import annotations

import numpy as np

from .blocks import (
    Rng,
    Sound,
    Wave,
    arch,
    decay,
    harmonics,
    log_uniform,
    modes,
    moment,
    noise,
    place,
    repeat,
    sine,
    slope,
    some,
)


def _tick(rng: Rng, t: Wave) -> Wave:
    """A short dry sound, 1 to 6 kHz, of one mode or of noise."""
    axis, ring, centre = moment(t, 0.03), log_uniform(rng, 0.001, 0.005), log_uniform(rng, 1000, 6000)
    if rng.random() < 0.5:
        return modes(axis, centre, ring, 1)
    return noise(rng, axis, centre, 0.6) * decay(axis, ring)


def _drum(rng: Rng, t: Wave, low: float, high: float) -> Wave:
    """A drum between these pitches, with a noisy head."""
    axis, f = moment(t, 0.2), log_uniform(rng, low, high)
    head = noise(rng, axis, 3 * f, 1) * decay(axis, 0.02)
    return sine(axis, f * (1 + decay(axis, 0.02))) * decay(axis, 0.05) + 0.3 * head


def steady_ticks(rng: Rng, t: Wave) -> Sound:
    """One tick, exactly 1.5 to 12 times a second."""
    rate, tick = log_uniform(rng, 1.5, 12), _tick(rng, t)
    return Sound(repeat(rng, t, rate, 0, lambda _: tick), rate=rate)


def seesaw_ticks(rng: Rng, t: Wave) -> Sound:
    """Two ticks in turn, bright and dull, evenly or limping; 1 to 5 pairs a second."""
    rate, limp = log_uniform(rng, 1, 5), rng.uniform(0.3, 0.5)
    axis, bright = moment(t, 0.03), log_uniform(rng, 3000, 6000)
    pair = [modes(axis, bright, 0.003, 1), modes(axis, bright / rng.uniform(2, 4), 0.006, 1)]
    once = place(moment(t, limp / rate + 0.03), [0, limp / rate], pair)
    return Sound(repeat(rng, t, rate, 0, lambda _: once), rate=rate)


def galloping_drums(rng: Rng, t: Wave) -> Sound:
    """Three drum strokes, short short long, 1.2 to 3.5 groups a second."""
    rate, drum = log_uniform(rng, 1.2, 3.5), _drum(rng, t, 90, 500)
    gaps = rng.uniform(0.17, 0.24) / rate
    strokes = (drum * level for level in (0.6, 0.5, 1.0))
    once = place(moment(t, 2 * gaps + 0.2), [0, gaps, 2 * gaps], strokes)
    return Sound(repeat(rng, t, rate, 0.04, lambda _: once), rate=rate)


def drum_loop(rng: Rng, t: Wave) -> Sound:
    """Three drums, low, noisy and high, each with a random pattern of 8 or 16 steps, 4 to 12 steps a
    second.
    """
    rate, length = log_uniform(rng, 4, 12), int(rng.choice([8, 16]))
    axis = moment(t, 0.12)
    kit = [_drum(rng, t, 45, 90), noise(rng, axis, 2500, 1) * decay(axis, 0.04), _tick(rng, t)]
    bars = np.arange(int(t[-1] * rate) + 1)
    out = np.zeros_like(t)
    for drum, chance in zip(kit, (0.35, 0.25, 0.7), strict=True):
        pattern = rng.random(length) < chance
        pattern[0] |= drum is kit[0]
        starts = bars[pattern[bars % length]] / rate
        out += place(t, starts, some(rng, [drum], len(starts), 0.6))
    return Sound(out, rate=rate)


def spread_pattern(rng: Rng, t: Wave) -> Sound:
    """Wood blocks: k strokes spread as evenly as they go over n steps (3 in 8, 5 in 12 ...), 6 to 14
    steps/s.
    """
    rate, steps = log_uniform(rng, 6, 14), int(rng.integers(7, 17))
    strokes = int(rng.integers(3, steps // 2 + 1))
    order = np.arange(int(t[-1] * rate) + 1)
    on = order[(order * strokes) % steps < strokes]
    axis, pitch = moment(t, 0.06), log_uniform(rng, 500, 1800)
    block = modes(axis, pitch * np.array([1, 2.4]), 0.012, [1, 0.5])
    return Sound(place(t, on / rate, some(rng, [block], len(on), 0.5)), rate=rate)


def accelerating_clicks(rng: Rng, t: Wave) -> Sound:
    """Clicks from 2 to 4 a second up to 20 to 50, or back down, in 1.2 to 3 s, again and again."""
    low, high, length = rng.uniform(2, 4), rng.uniform(20, 50), rng.uniform(1.2, 3)
    growth = float(np.log(high / low))  # the rate grows exponentially: starts are where its integral is whole
    count = length * (high - low) / growth
    starts = length * np.log1p(np.arange(int(count)) / count * (high / low - 1)) / growth
    if rng.random() < 0.3:
        starts = (length - starts)[::-1] - (length - starts[-1])
    tick = _tick(rng, t)
    once = place(moment(t, length + 0.03), starts, (tick for _ in starts))
    return Sound(repeat(rng, t, 1 / (length + 0.15), 0, lambda _: once))


def keyed_tone(rng: Rng, t: Wave) -> Sound:
    """A tone of 400 Hz to 1.5 kHz keyed in short and long marks and gaps at random, 8 to 20 units a
    second.
    """
    f0, rate = log_uniform(rng, 400, 1500), log_uniform(rng, 8, 20)
    units = [u for _ in range(int(t[-1] * rate)) for u in (1,) * int(rng.choice([1, 3])) + (0,)]
    keyed = np.array([1, *units, 0], dtype=np.float32)[(t * rate).astype(np.int32)]
    return Sound(harmonics(t, f0, slope(6, rng.uniform(6, 20))) * keyed, f0, rate)


def noise_puffs(rng: Rng, t: Wave) -> Sound:
    """Soft equal puffs of noise around 300 Hz to 2.5 kHz, rise and fall alike, 1 to 5 a second."""
    rate, centre = log_uniform(rng, 1, 5), log_uniform(rng, 300, 2500)
    axis = moment(t, rng.uniform(0.3, 0.7) / rate)
    window = arch(axis, 2)
    return Sound(repeat(rng, t, rate, 0.05, lambda _: noise(rng, axis, centre, 0.8) * window), rate=rate)


def paired_thuds(rng: Rng, t: Wave) -> Sound:
    """Low double thuds, 40 to 100 Hz, the second a third of a period later; 0.8 to 2.5 pairs a second."""
    rate, f = log_uniform(rng, 0.8, 2.5), log_uniform(rng, 40, 100)
    axis = moment(t, 0.2)
    first, second = (sine(axis, pitch) * arch(axis, 2) for pitch in (f, 1.3 * f))
    once = place(moment(t, 0.33 / rate + 0.2), [0, 0.33 / rate], [first, 0.7 * second])
    return Sound(repeat(rng, t, rate, 0.05, lambda _: once), rate=rate)


def two_against_three(rng: Rng, t: Wave) -> Sound:
    """Two ringing pitches, each at its own steady tempo in a ratio of 2:3, 3:4 or 4:5, 1.5 to 5 a second."""
    rate, (a, b) = log_uniform(rng, 1.5, 5), ((2, 3), (3, 4), (4, 5))[int(rng.integers(3))]
    axis, root = moment(t, 0.3), log_uniform(rng, 300, 900)
    low, high = (modes(axis, root * r * np.array([1, 3]), 0.06, [1, 0.3]) for r in (1, rng.uniform(1.6, 2.8)))
    out = repeat(rng, t, rate, 0, lambda _: low) + repeat(rng, t, rate * b / a, 0, lambda _: high)
    return Sound(out, rate=rate)


def random_melody(rng: Rng, t: Wave) -> Sound:
    """Soft-edged notes of a five-tone scale on 150 to 600 Hz, at random, 2.5 to 9 a second."""
    root, rate = log_uniform(rng, 150, 600), log_uniform(rng, 2.5, 9)
    scale = root * 2 ** (np.array([0, 2, 4, 7, 9, 12, 14, 16]) / 12)
    axis = moment(t, 1 / rate)
    window = np.minimum(1, axis / 0.01) * decay(axis, rng.uniform(0.3, 0.8) / rate)
    levels = slope(12, rng.uniform(6, 15))
    notes = [harmonics(axis, f, levels) * window for f in scale.tolist()]
    starts = np.arange(0, t[-1], 1 / rate)
    return Sound(place(t, starts, some(rng, notes, len(starts), 0.6)), 1.6 * root, rate)


def counted_groups(rng: Rng, t: Wave) -> Sound:
    """Groups of two to four equal clacks, 4 to 9 a second, with as long a rest after each group."""
    rate, count = log_uniform(rng, 4, 9), int(rng.integers(2, 5))
    axis = moment(t, 0.06)
    clack = modes(axis, rng.uniform(700, 3500, size=4), 0.008, rng.uniform(0.3, 1, size=4))
    starts = np.arange(count) / rate
    once = place(moment(t, count / rate), starts, (clack for _ in starts))
    return Sound(repeat(rng, t, 1 / (2 * count / rate), 0.03, lambda _: once), rate=rate)
