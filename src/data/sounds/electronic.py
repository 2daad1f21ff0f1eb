"""Circuits and code: waves with edges, keyed data, filters about to ring, broken sample playback."""

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
    moment,
    noise,
    repeat,
    sine,
    slope,
    steps,
    turns,
    wander,
)


def pulse_width_sweep(rng: Rng, t: Wave) -> Sound:
    """A rectangle wave, 50 to 500 Hz, whose duty swings between 8 and 92 %, 0.3 to 4 times a second."""
    f0, rate = log_uniform(rng, 50, 500), log_uniform(rng, 0.3, 4)
    shift = 0.42 * sine(t, rate) + 0.5  # of a period: a rectangle is the difference of two sawtooths
    first = turns(t, f0)
    second = first + (shift.astype(np.float64) * 2**32).astype(np.int64).astype(np.int32)
    return Sound((first.astype(t.dtype) - second.astype(t.dtype)) * 2.0**-32, f0, rate)


def hard_sync(rng: Rng, t: Wave) -> Sound:
    """An oscillator restarted 50 to 300 times a second by another while its own pitch sweeps two octaves."""
    f0, rate = log_uniform(rng, 50, 300), log_uniform(rng, 0.3, 3)
    ratio = 1.5 + rng.uniform(1.5, 4) * (0.5 + 0.5 * sine(t, rate))
    along = 0.5 + angle(t, f0) * (0.5 / np.pi)  # 0 to 1 between restarts
    return Sound(2 * ((ratio * along) % 1) - 1, f0, rate)


def crushed_tone(rng: Rng, t: Wave) -> Sound:
    """A sine of 100 Hz to 1 kHz held at 1 to 4 kHz and two or three bits: mirrored partials in steps."""
    f0, hold, bits = log_uniform(rng, 100, 1000), log_uniform(rng, 1000, 4000), int(rng.integers(2, 4))
    at = np.floor(t * hold) / hold
    return Sound(np.round(np.sin(2 * np.pi * f0 * at) * 2 ** (bits - 1)) + 0.2 * sine(t, 3 * f0), f0)


def paired_dial_tones(rng: Rng, t: Wave) -> Sound:
    """Two sines at once, one of four low and one of four high pitches, another pair each time; 2 to 9 a
    second.
    """
    rate, tune = log_uniform(rng, 2, 9), rng.uniform(0.7, 1.4)
    low, high = tune * np.array([700, 770, 850, 940]), tune * np.array([1210, 1340, 1480, 1630])
    axis = moment(t, rng.uniform(0.5, 0.8) / rate)

    def press(_: float) -> Wave:
        return np.asarray((sine(axis, rng.choice(low)) + sine(axis, rng.choice(high))) * edges(axis))

    return Sound(repeat(rng, t, rate, 0.02, press), rate=rate)


def keyed_data(rng: Rng, t: Wave) -> Sound:
    """Bits as two close pitches, 800 Hz to 3 kHz, 40 to 300 bits a second, in packets."""
    low, rate = log_uniform(rng, 800, 3000), log_uniform(rng, 40, 300)
    high = low * rng.uniform(1.15, 1.6)
    bits = np.where(rng.random(int(t[-1] * rate) + 1) < 0.5, low, high).astype(np.float32)
    packets = (t * rng.uniform(0.5, 3)) % 1 < rng.uniform(0.6, 1)
    return Sound(sine(t, bits[(t * rate).astype(np.int32)]) * packets, rate=rate)


def arpeggio(rng: Rng, t: Wave) -> Sound:
    """A bright chord taken apart, three to five notes from 120 to 600 Hz in turn, 7 to 18 a second."""
    root, rate = log_uniform(rng, 120, 600), log_uniform(rng, 7, 18)
    chord = [root * 2 ** (n / 12) for n in (0, 4, 7, 12, 16)[: int(rng.integers(3, 6))]]
    gate = decay((t * rate) % 1, rng.uniform(0.3, 1))
    return Sound(harmonics(t, steps(rng, t, chord, rate), slope(40, 4)) * gate, float(np.mean(chord)), rate)


def bass_drops(rng: Rng, t: Wave) -> Sound:
    """Deep sines that sink from 150 to 300 Hz to below 45 Hz over 0.4 to 1.5 s, distorted; 0.6 to 2 a
    second.
    """
    top, rate = log_uniform(rng, 150, 300), log_uniform(rng, 0.6, 2)
    axis = moment(t, min(1.5, 0.9 / rate))
    along = axis / axis[-1]
    drop = np.tanh(rng.uniform(1, 6) * sine(axis, top * rng.uniform(0.1, 0.2) ** along)) * edges(axis, 0.01)
    return Sound(repeat(rng, t, rate, 0.02, lambda _: drop), rate=rate)


def squelching_bass(rng: Rng, t: Wave) -> Sound:
    """Short saw notes, 50 to 150 Hz, each under a sharp resonance that drops from 1.5 to 4 kHz; 3 to 9 a
    second.
    """
    f0, rate, top = log_uniform(rng, 50, 150), log_uniform(rng, 3, 9), log_uniform(rng, 1500, 4000)
    axis = moment(t, 0.95 / rate)
    centre = np.log2(top / f0) - rng.uniform(2, 3.5) * (1 - decay(axis, 0.06))  # octaves above f0
    notes = []
    for pitch in (1.0, 1.0, 2 ** (3 / 12), 2.0):
        turn, note = angle(axis, f0 * pitch), np.zeros_like(axis)
        for k in range(1, min(40, int(7500 / (f0 * pitch)))):
            note += np.sin(k * turn) / k * (1 + 8 * np.exp(-30 * (centre - float(np.log2(k))) ** 2))
        notes.append(note * edges(axis))
    return Sound(repeat(rng, t, rate, 0, lambda _: notes[int(rng.integers(4))]), f0, rate)


def shift_register(rng: Rng, t: Wave) -> Sound:
    """A short loop of random bits read out 30 to 200 times a second: a rasp with every harmonic at random."""
    f0, length = log_uniform(rng, 30, 200), int(rng.choice([31, 63, 93]))
    bits = np.where(rng.random(length) < 0.5, -1, 1).astype(np.float32)
    return Sound(bits[((t * f0) % 1 * length).astype(np.int32) % length], f0)


def howling_feedback(rng: Rng, t: Wave) -> Sound:
    """An amplifier that rings up: one pitch of 400 Hz to 4 kHz out of hiss, into clipping, then cut;
    every 0.8 to 2.5 s.
    """
    f0, period = log_uniform(rng, 400, 4000), rng.uniform(0.8, 2.5)
    along = (t / period) % 1
    grown = 0.05 * np.exp(rng.uniform(4, 7) * along)
    howl = np.tanh(grown * sine(t, f0 * (1 + 0.003 * wander(rng, t, 3))))
    return Sound(howl + 0.06 * noise(rng, t, f0, 1.5), f0)


def warbling_ringer(rng: Rng, t: Wave) -> Sound:
    """Two pitches, 600 Hz to 2 kHz, swapped 12 to 30 times a second, rung for a part of each 0.7 to 2 s."""
    low, rate, period = log_uniform(rng, 600, 2000), rng.uniform(12, 30), rng.uniform(0.7, 2)
    curve = steps(rng, t, [low, low * rng.uniform(1.15, 1.5)], 2 * rate)
    rung = (t / period) % 1 < rng.uniform(0.4, 0.8)
    return Sound(harmonics(t, curve, [1, 0, 0.3, 0, 0.1]) * rung, low * 1.15, rate)


def stuck_sample(rng: Rng, t: Wave) -> Sound:
    """A scrap of a gliding noisy tone, 40 to 150 ms, repeated 3 to 12 times, then another scrap."""
    rate, times = 1 / log_uniform(rng, 0.04, 0.15), int(rng.integers(3, 13))
    f0 = log_uniform(rng, 150, 1500)
    source = harmonics(t, f0 * 2 ** wander(rng, t, 6), slope(10, 5)) + 0.3 * noise(rng, t, 2000, 1.5)
    scrap = np.floor(t * (rate / times)) * (times / rate)
    at = ((scrap + (t * rate) % 1 / rate) / t[1]).astype(np.int32)
    return Sound(source[np.minimum(at, len(t) - 1)], rate=rate)


def stepped_filter_noise(rng: Rng, t: Wave) -> Sound:
    """White noise into a ringing filter whose pitch, 300 Hz to 5 kHz, is sampled anew 4 to 14 times a
    second.
    """
    rate, low = log_uniform(rng, 4, 14), log_uniform(rng, 300, 1000)
    pitches = low * 2 ** rng.uniform(0, 2.4, size=int(t[-1] * rate) + 1)
    curve = pitches.astype(np.float32)[(t * rate).astype(np.int32)]
    return Sound(noise(rng, t, 25, 0.8) * sine(t, curve) + 0.05 * noise(rng, t, 2000, 2), rate=rate)


def folded_sine(rng: Rng, t: Wave) -> Sound:
    """A sine, 60 to 500 Hz, driven through a wave folder one to six times over, 0.3 to 3 swings a second."""
    f0, rate = log_uniform(rng, 60, 500), log_uniform(rng, 0.3, 3)
    drive = 1 + rng.uniform(3, 9) * (0.5 + 0.5 * sine(t, rate))
    return Sound(np.sin(drive * sine(t, f0) + rng.uniform(0, 1.5)), f0, rate)
