"""Calls: short notes of a living or blown source, told apart by contour, roughness and grouping.

They are drawn from how such sources work (pulse trains through a resonator, membranes that break into chaos,
contours of muscle tension), not from any animal's recording.
"""

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
    modes,
    moment,
    noise,
    peaks,
    place,
    pulses,
    repeat,
    resonate,
    sine,
    slope,
    sloped_noise,
    wander,
)


def pulsed_carrier(rng: Rng, t: Wave) -> Sound:
    """A scraped comb: a pure carrier, 2.2 to 7 kHz, in trains of 3 to 12 pulses at 20 to 70 a second."""
    carrier, pulse_rate = log_uniform(rng, 2200, 7000), log_uniform(rng, 20, 70)
    count = int(rng.integers(3, 13))
    axis = moment(t, count / pulse_rate)
    train = sine(axis, carrier) * np.maximum(0, np.sin(np.pi * axis * pulse_rate)) ** 2
    rate = 1 / (count / pulse_rate + rng.uniform(0.05, 0.5))
    return Sound(repeat(rng, t, rate, 0.05, lambda _: train), carrier, rate)


def croaked_bursts(rng: Rng, t: Wave) -> Sound:
    """Bursts of 30 to 110 pulses a second through a sac that rings at 400 Hz to 2 kHz; 0.8 to 3 bursts a
    second.
    """
    pulse_rate, sac, rate = log_uniform(rng, 30, 110), log_uniform(rng, 400, 2000), log_uniform(rng, 0.8, 3)
    axis = moment(t, rng.uniform(0.4, 0.8) / rate)
    ring = modes(moment(t, 0.03), [sac, 2.3 * sac], 0.004, [1, 0.3])
    bend = rng.uniform(0.8, 1.4)
    starts = np.arange(0, 1, 1 / (pulse_rate * float(axis[-1]))) ** bend * float(axis[-1])
    burst = place(axis, starts, (ring for _ in starts)) * arch(axis, 0.5)
    return Sound(repeat(rng, t, rate, 0.15, lambda _: burst), rate=rate)


def tremulous_calls(rng: Rng, t: Wave) -> Sound:
    """Nasal notes, 200 to 700 Hz, of half a second and more, that shake 7 to 14 times a second."""
    f0, rate = log_uniform(rng, 200, 700), rng.uniform(7, 14)
    axis = moment(t, rng.uniform(0.5, 1.1))
    shake = sine(axis, rate)
    x = harmonics(axis, f0 * (1 + 0.04 * shake), slope(25, 2)) * (1 + 0.6 * shake) * arch(axis, 0.5)
    centre = rng.uniform(900, 1800)
    call = resonate(axis, x, lambda f: peaks(f, [centre, 2.2 * centre], [300, 500], [1, 0.5]))
    return Sound(repeat(rng, t, 1 / (float(axis[-1]) + rng.uniform(0.1, 0.6)), 0.1, lambda _: call), f0, rate)


def harsh_calls(rng: Rng, t: Wave) -> Sound:
    """A source in chaos: pitch 250 to 800 Hz jumping from pulse to pulse, broad bands; 1.2 to 4 calls a
    second.
    """
    f0, rate, centre = log_uniform(rng, 250, 800), log_uniform(rng, 1.2, 4), log_uniform(rng, 1000, 2500)

    def call(_: float) -> Wave:
        axis = moment(t, rng.uniform(0.45, 0.8) / rate)
        torn = f0 * (1.1 - 0.3 * axis / axis[-1]) * (1 + 0.35 * wander(rng, axis, f0))
        x = harmonics(axis, torn, slope(12, 2)) * arch(axis, 0.4)
        return resonate(axis, x, lambda f: peaks(f, [centre], [centre], [1]) + 0.1)

    return Sound(repeat(rng, t, rate, 0.2, call), rate=rate)


def rising_whoops(rng: Rng, t: Wave) -> Sound:
    """Notes from 200 to 600 Hz that shoot up by one to two octaves at their end; 1 to 4 a second."""
    f0, rate, reach = log_uniform(rng, 200, 600), log_uniform(rng, 1, 4), rng.uniform(1, 2)
    axis = moment(t, rng.uniform(0.4, 0.8) / rate)
    curve = f0 * 2 ** (reach * (axis / axis[-1]) ** rng.uniform(2, 5))
    whoop = harmonics(axis, curve, slope(6, rng.uniform(6, 14))) * arch(axis, 0.7)
    return Sound(repeat(rng, t, rate, 0.2, lambda _: whoop), f0 * 2 ** (reach / 3), rate)


def soft_hoots(rng: Rng, t: Wave) -> Sound:
    """Low near-pure notes, 180 to 700 Hz, in phrases of two to five of unequal length, breath before each."""
    f0 = log_uniform(rng, 180, 700)
    notes: list[Wave] = []
    for _ in range(int(rng.integers(2, 6))):
        axis = moment(t, rng.uniform(0.12, 0.45))
        hoot = harmonics(axis, f0 * (1 - 0.05 * (axis / axis[-1]) ** 2), [1, 0.08, 0.04]) * arch(axis, 0.6)
        notes += [hoot, np.zeros(int(rng.uniform(0.05, 0.25) / t[1]), dtype=np.float32)]
    phrase = np.concatenate(notes)
    rate = 1 / (len(phrase) * float(t[1]) + rng.uniform(0.2, 0.6))
    return Sound(repeat(rng, t, rate, 0.1, lambda _: phrase), f0)


def arched_yelps(rng: Rng, t: Wave) -> Sound:
    """Short bright cries, 80 to 200 ms, up and down by half an octave around 500 Hz to 1.5 kHz; 2 to 6 a
    second.
    """
    f0, rate = log_uniform(rng, 500, 1500), log_uniform(rng, 2, 6)
    reach, fall = rng.uniform(0.3, 0.7), rng.uniform(1, 5)

    def yelp(_: float) -> Wave:
        axis = moment(t, min(0.8 / rate, rng.uniform(0.08, 0.2)))
        curve = f0 * rng.uniform(0.9, 1.1) * 2 ** (reach * (arch(axis) - 0.5))
        return harmonics(axis, curve, slope(12, fall)) * arch(axis, 0.4)

    return Sound(repeat(rng, t, rate, 0.4, yelp), f0, rate)


def low_purr(rng: Rng, t: Wave) -> Sound:
    """Soft pulses, 20 to 35 a second, in and out with a slow breath, the two halves unlike."""
    rate, breath = rng.uniform(20, 35), rng.uniform(0.4, 1.2)
    swing = sine(t, breath)
    turn = angle(t, rate * (1 + 0.12 * np.sign(swing)))
    x = pulses(turn, rng.uniform(3, 7)) + pulses(turn, 2) * noise(rng, t, log_uniform(rng, 200, 500), 0.8)
    return Sound(x * (0.25 + np.abs(swing)), rate=rate)


def closing_clicks(rng: Rng, t: Wave) -> Sound:
    """Sonar that closes in: sharp clicks of 2 to 7 kHz, 5 to 10 a second, that end in a buzz of 100 to
    200.
    """
    slow, fast, length = rng.uniform(5, 10), rng.uniform(100, 200), rng.uniform(0.7, 1.5)
    axis = moment(t, 0.008)
    click = modes(axis, log_uniform(rng, 2000, 7000), 0.001, 1)
    rates = np.geomspace(slow, fast, 400)
    whole = np.cumsum(np.full(400, length / 400) * rates)  # clicks so far
    starts = np.interp(np.arange(int(whole[-1])), whole, np.linspace(0, length, 400))
    once = place(moment(t, length + 0.01), starts, (click for _ in starts))
    return Sound(repeat(rng, t, 1 / (length + rng.uniform(0.1, 0.5)), 0, lambda _: once))


def long_moans(rng: Rng, t: Wave) -> Sound:
    """Slow deep notes, 60 to 250 Hz, of 0.8 to 2 s, that bend by half an octave and grow rough at the end."""
    f0, length = log_uniform(rng, 60, 250), rng.uniform(0.8, 2)
    bend = rng.uniform(-0.6, 0.6)
    axis = moment(t, length)
    along = axis / axis[-1]
    rough = 1 + 0.6 * along**2 * sine(axis, f0 / 2)
    moan = harmonics(axis, f0 * 2 ** (bend * np.sin(2.5 * along)), slope(15, rng.uniform(5, 9))) * rough
    return Sound(repeat(rng, t, 1 / (length + 0.3), 0.1, lambda _: moan * arch(axis, 0.5)), f0)


def rapid_chatter(rng: Rng, t: Wave) -> Sound:
    """Volleys of clipped broad notes, 12 to 25 a second, each falling fast from 2 to 6 kHz; pauses
    between.
    """
    rate, top = log_uniform(rng, 12, 25), log_uniform(rng, 2000, 6000)
    axis = moment(t, 0.5 / rate)
    note = harmonics(axis, top * 0.4 ** (axis / axis[-1]), [1, 0.5]) * arch(axis)
    note = note + 0.5 * noise(rng, axis, top, 0.5) * arch(axis)
    volley, pause = int(rng.integers(5, 16)), int(rng.integers(3, 8))
    order = np.arange(int(t[-1] * rate) + 1)
    starts = order[order % (volley + pause) < volley] / rate
    return Sound(place(t, starts, (note * rng.uniform(0.6, 1) for _ in starts)), rate=rate)


def throaty_growl(rng: Rng, t: Wave) -> Sound:
    """A deep voice, 50 to 130 Hz, whose every second or third pulse is stronger, with noise in step;
    swelling.
    """
    f0 = log_uniform(rng, 50, 130)
    curve = f0 * (1 + 0.1 * wander(rng, t, 3))
    turn = angle(t, curve / int(rng.integers(2, 4)))
    strong = 1 + 0.8 * np.cos(turn)
    x = harmonics(t, curve, slope(40, 3)) * strong + 0.5 * sloped_noise(rng, t, -3) * strong**2
    centre = log_uniform(rng, 300, 900)
    growl = resonate(t, x, lambda f: peaks(f, [centre, 2.7 * centre], [centre / 2, 500], [1, 0.4]))
    return Sound(growl * (0.6 + 0.4 * wander(rng, t, 2)), f0)


def answering_pair(rng: Rng, t: Wave) -> Sound:
    """A high and a low caller in turn, a fourth to two octaves apart, each with its own contour; 1 to 3
    pairs/s.
    """
    low, rate = log_uniform(rng, 300, 1200), log_uniform(rng, 1, 3)
    calls = []
    for pitch in (low * rng.uniform(1.33, 4), low):
        axis = moment(t, rng.uniform(0.2, 0.45) / rate)
        bend = rng.uniform(-0.4, 0.4)
        calls.append(harmonics(axis, pitch * 2 ** (bend * axis / axis[-1]), [1, 0.4, 0.2]) * arch(axis, 0.5))
    once = place(moment(t, 1 / rate), [0, 0.5 / rate], calls)
    return Sound(repeat(rng, t, rate, 0.05, lambda _: once), low, rate)


def spat_hisses(rng: Rng, t: Wave) -> Sound:
    """Bursts of breath: a hard onset, then a hiss around 2 to 6 kHz that sinks in 0.2 to 0.7 s; 0.8 to 2
    a second.
    """
    rate, centre = log_uniform(rng, 0.8, 2), log_uniform(rng, 2000, 6000)
    length = rng.uniform(0.2, 0.7)
    axis = moment(t, length)

    def spit(_: float) -> Wave:
        hiss = noise(rng, axis, centre, 0.6) * decay(axis, length / 2)
        return np.asarray(hiss + 2 * noise(rng, axis, centre / 3, 0.8) * decay(axis, 0.012))

    return Sound(repeat(rng, t, rate, 0.3, spit), rate=rate)
