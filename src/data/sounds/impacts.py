"""Struck and plucked bodies: each shape has its own series of modes, each material its own decay.

Mode ratios are those of textbooks on acoustics (free and tuned bars, circular membrane, stiff string, closed
tube); every body is struck anew at random levels.
"""

from __future__ import annotations

import numpy as np

from .blocks import (
    Rng,
    Sound,
    Wave,
    decay,
    edges,
    log_uniform,
    modes,
    moment,
    noise,
    place,
    poisson,
    repeat,
    sine,
    some,
)


def _click(rng: Rng, axis: Wave, seconds: float) -> Wave:
    """The contact itself: white noise that dies away in `seconds`."""
    return rng.standard_normal(len(axis), dtype=np.float32) * decay(axis, seconds)


def _struck(rng: Rng, t: Wave, rate: float, jitter: float, body: Wave) -> Wave:
    return repeat(rng, t, rate, jitter, lambda _: body * rng.uniform(0.3, 1))


def wooden_bars(rng: Rng, t: Wave) -> Sound:
    """Tuned bars (1 : 4 : 9.2), 150 Hz to 1.2 kHz, dead after 40 to 200 ms; 1 to 6 strokes a second."""
    f0, rate, ring = log_uniform(rng, 150, 1200), log_uniform(rng, 1, 6), log_uniform(rng, 0.04, 0.2)
    axis = moment(t, 7 * ring)
    ratios = np.array([1, 4, 9.2])
    body = modes(axis, f0 * ratios, ring / ratios**0.7, [1, 0.5, 0.25]) + 0.3 * _click(rng, axis, 0.002)
    return Sound(_struck(rng, t, rate, 0.3, body), f0, rate)


def metal_bars(rng: Rng, t: Wave) -> Sound:
    """Free bars (1 : 2.76 : 5.40 : 8.93), 200 Hz to 1 kHz, ringing 0.6 to 2 s; 0.5 to 3 strokes a second."""
    f0, rate, ring = log_uniform(rng, 200, 1000), log_uniform(rng, 0.5, 3), log_uniform(rng, 0.6, 2)
    axis = moment(t, min(2.0, 4 * ring))
    ratios = np.array([1, 2.756, 5.404, 8.933])
    body = modes(axis, f0 * ratios, ring / ratios**0.3, rng.uniform(0.4, 1, size=4))
    return Sound(_struck(rng, t, rate, 0.4, body), f0, rate)


def plate_hits(rng: Rng, t: Wave) -> Sound:
    """A sheet: 24 modes anywhere from 150 Hz to 6 kHz, dead after 0.1 to 0.5 s; 0.7 to 4 strokes a second."""
    rate, ring = log_uniform(rng, 0.7, 4), log_uniform(rng, 0.1, 0.5)
    axis = moment(t, 4 * ring)
    f = np.exp(rng.uniform(np.log(150), np.log(6000), size=24))
    body = modes(axis, f, ring * rng.uniform(0.3, 1, size=24), rng.uniform(0.2, 1, size=24))
    return Sound(_struck(rng, t, rate, 0.5, body + _click(rng, axis, 0.005)), rate=rate)


def membrane_hits(rng: Rng, t: Wave) -> Sound:
    """A drum skin (Bessel's ratios), 60 to 350 Hz, sharper at first by up to a half; 1 to 6 strokes a
    second.
    """
    f0, rate, ring = log_uniform(rng, 60, 350), log_uniform(rng, 1, 6), log_uniform(rng, 0.06, 0.3)
    axis = moment(t, 5 * ring)
    bend = 1 + rng.uniform(0.05, 0.5) * decay(axis, ring / 4)
    ratios = np.array([1, 1.594, 2.136, 2.296, 2.653, 2.918])
    tones = [sine(axis, f0 * r * bend) * decay(axis, ring / r) * rng.uniform(0.2, 1) for r in ratios.tolist()]
    return Sound(_struck(rng, t, rate, 0.3, np.sum(tones, axis=0)), f0, rate)


def snared_hits(rng: Rng, t: Wave) -> Sound:
    """A skin of 120 to 300 Hz with rattling wires: a short thud under a hiss of 60 to 250 ms; 1 to 7 a
    second.
    """
    f0, rate, wires = log_uniform(rng, 120, 300), log_uniform(rng, 1, 7), log_uniform(rng, 0.06, 0.25)
    axis = moment(t, 4 * wires)
    hiss = noise(rng, axis, log_uniform(rng, 2000, 5000), 0.8) * decay(axis, wires)
    return Sound(_struck(rng, t, rate, 0.2, hiss + 2 * modes(axis, [f0, 1.6 * f0], 0.03, 1)), f0, rate)


def stopped_tubes(rng: Rng, t: Wave) -> Sound:
    """Slapped closed tubes, 80 to 500 Hz, odd modes that die in 40 to 150 ms; 1.5 to 8 slaps a second."""
    f0, rate, ring = log_uniform(rng, 80, 500), log_uniform(rng, 1.5, 8), log_uniform(rng, 0.04, 0.15)
    axis = moment(t, 6 * ring)
    ratios = np.arange(1, 14, 2)
    body = modes(axis, f0 * ratios, ring / ratios**0.3, ratios**-0.7)
    return Sound(_struck(rng, t, rate, 0.5, body), f0, rate)


def stiff_strings(rng: Rng, t: Wave) -> Sound:
    """Hammered strings, 50 to 500 Hz, 16 partials sharpened by stiffness; 0.7 to 4 notes a second."""
    f0, rate, ring = log_uniform(rng, 50, 500), log_uniform(rng, 0.7, 4), log_uniform(rng, 0.3, 1)
    k, stiffness = np.arange(1, 17), log_uniform(rng, 0.0003, 0.004)
    axis = moment(t, min(1.5, 3 * ring))
    body = modes(axis, f0 * k * np.sqrt(1 + stiffness * k**2), ring / k**0.5, k**-0.8)
    return Sound(_struck(rng, t, rate, 0.3, body + 0.5 * _click(rng, axis, 0.006)), f0, rate)


def plucked_strings(rng: Rng, t: Wave) -> Sound:
    """Plucked strings, four pitches from 80 to 700 Hz, muffled as they fade; 2 to 8 plucks a second."""
    root, rate, ring = log_uniform(rng, 80, 350), log_uniform(rng, 2, 8), log_uniform(rng, 0.15, 0.6)
    k, at = np.arange(1, 13), rng.uniform(0.1, 0.45)  # where it is plucked, a part of its length
    axis = moment(t, 3 * ring)
    pitches = root * 2 ** (rng.integers(0, 13, size=4) / 12)
    notes = [modes(axis, f * k, ring / k**0.8, np.sin(np.pi * at * k) / k) for f in pitches]
    starts = np.arange(0, t[-1], 1 / rate)
    f0 = float(np.exp(np.mean(np.log(pitches))))
    return Sound(place(t, starts, some(rng, notes, len(starts), 0.4)), f0, rate)


def cavity_taps(rng: Rng, t: Wave) -> Sound:
    """Taps on a hollow box: one broad air mode, 150 to 700 Hz, and a short dry click; 1.5 to 9 a second."""
    f0, rate, ring = log_uniform(rng, 150, 700), log_uniform(rng, 1.5, 9), log_uniform(rng, 0.015, 0.05)
    axis = moment(t, 6 * ring)
    body = noise(rng, axis, f0, 0.25) * decay(axis, ring) + 0.6 * _click(rng, axis, 0.001)
    return Sound(_struck(rng, t, rate, 0.6, body), rate=rate)


def dull_thuds(rng: Rng, t: Wave) -> Sound:
    """Heavy soft falls: a drooping sine of 35 to 110 Hz that dies in 50 to 200 ms; 0.8 to 4 a second."""
    f0, rate, ring = log_uniform(rng, 35, 110), log_uniform(rng, 0.8, 4), log_uniform(rng, 0.05, 0.2)
    axis = moment(t, 5 * ring)
    body = sine(axis, f0 * (1 + decay(axis, 0.02))) * decay(axis, ring) + 0.1 * _click(rng, axis, 0.01)
    return Sound(_struck(rng, t, rate, 0.4, body), f0, rate)


def bouncing_ball(rng: Rng, t: Wave) -> Sound:
    """A dropped ball: gaps of 0.25 to 0.6 s that shrink by 70 to 88 % each; then it is dropped again."""
    gap, bounce = rng.uniform(0.25, 0.6), rng.uniform(0.7, 0.88)
    powers = bounce ** np.arange(18)
    starts = np.concatenate([[0], np.cumsum(gap * powers)[:-1]])
    axis, ring = moment(t, 0.15), log_uniform(rng, 0.01, 0.03)
    body = modes(axis, log_uniform(rng, 120, 900) * np.array([1, 2.1, 3.4]), ring, [1, 0.6, 0.4])
    body += 0.2 * _click(rng, axis, 0.002)
    once = place(moment(t, starts[-1] + 0.3), starts, (body * float(p) for p in powers))
    return Sound(repeat(rng, t, 1 / (starts[-1] + rng.uniform(0.2, 0.8)), 0, lambda _: once))


def hanging_tubes(rng: Rng, t: Wave) -> Sound:
    """Long tubes in a breeze: five pitches, 350 Hz to 2 kHz, struck at random, 1 to 6 a second, long
    rings.
    """
    rate, ring, root = log_uniform(rng, 1, 6), log_uniform(rng, 0.5, 1.5), log_uniform(rng, 350, 1000)
    axis = moment(t, min(1.8, 3 * ring))
    pitches = root * 2 ** (np.array([0, 2, 4, 7, 9]) / 12)
    notes = [
        modes(axis, f * np.array([1, 2.76, 5.4]), ring / np.array([1, 2, 4]), [1, 0.5, 0.3]) for f in pitches
    ]
    starts = poisson(rng, t, rate)
    return Sound(place(t, starts, some(rng, notes, len(starts))), rate=rate)


def swelling_plate(rng: Rng, t: Wave) -> Sound:
    """A great thin plate: low modes at once, high ones well up to half a second later; every 1.2 to 3 s."""
    ring, count, low = log_uniform(rng, 0.6, 1.5), 16, log_uniform(rng, 80, 250)
    axis = moment(t, 2.2)
    out = np.zeros_like(axis)
    for octave in np.sort(rng.uniform(0, 4.5, size=count)).tolist():
        rise = 1 - decay(axis, 0.005 + 0.1 * octave)
        out += sine(axis, low * 2**octave) * decay(axis, ring) * rise * rng.uniform(0.3, 1)
    return Sound(_struck(rng, t, rng.uniform(0.33, 0.8), 0.2, out))


def fragment_shower(rng: Rng, t: Wave) -> Sound:
    """A crash, then splinters that ring at 1.5 to 7 kHz, ever fewer; every 1 to 2.5 s."""
    count = int(rng.integers(15, 50))
    axis = moment(t, 0.08)
    splinters = [modes(axis, rng.uniform(1500, 7000, size=2), rng.uniform(0.005, 0.03), 1) for _ in range(8)]
    starts = rng.exponential(rng.uniform(0.15, 0.35), size=count)
    once = place(moment(t, 1.2), starts, some(rng, splinters, count))
    once += rng.uniform(0.5, 1.5) * _click(rng, moment(t, 1.2), rng.uniform(0.02, 0.06))
    return Sound(_struck(rng, t, rng.uniform(0.4, 1), 0.2, once))


def spring_twangs(rng: Rng, t: Wave) -> Sound:
    """A coil spring: a click that returns every 30 to 90 ms, each time more drawn out, high pitches first."""
    lap, top = rng.uniform(0.03, 0.09), log_uniform(rng, 2000, 5000)
    chirps: list[Wave] = []
    laps = np.arange(8)
    for n in laps.tolist():
        chirp = moment(t, 0.04 + 0.4 * lap * n)
        chirps.append(0.75**n * sine(chirp, top * 0.1 ** (chirp / chirp[-1])) * edges(chirp, 0.002))
    out = place(moment(t, 0.9), lap * laps, chirps)
    return Sound(_struck(rng, t, log_uniform(rng, 0.8, 2.5), 0.3, out), rate=1 / lap)


def loose_rattle(rng: Rng, t: Wave) -> Sound:
    """A loose part that is shaken: irregular clatter, 15 to 40 hits a second, of one body with six modes."""
    rate, ring = log_uniform(rng, 15, 40), log_uniform(rng, 0.006, 0.025)
    axis = moment(t, 6 * ring)
    f = np.exp(rng.uniform(np.log(500), np.log(5000), size=(4, 6)))
    hits = [modes(axis, row, ring, rng.uniform(0.3, 1, size=6)) for row in f]
    starts = poisson(rng, t, rate)
    shaken = 0.6 + 0.4 * sine(t, log_uniform(rng, 0.7, 3))
    return Sound(place(t, starts, some(rng, hits, len(starts))) * shaken, rate=rate)
