"""What becomes of a sound on its way into a clip: it is repeated, cut, overlaid, coloured by a room and a
microphone, and covered by noise, so that a family is never learnt from its level, its onset or its silence.

The chance of each effect is a constant here; its strength is drawn anew for every clip. Everything after the
cut is done to the clip's spectrum, at the cost of one inverse transform.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from .blocks import Rng, Sound, Wave, decay, edges, log_uniform, place, span

Spectrum = NDArray[np.complexfloating]

REPEATED = 0.2  # chance that a scrap of the sound is played over and over
DELAYED, DELAY = 0.5, 0.3  # chance that the sound starts late; by up to that part of the clip
CUT, SHORTEST = 0.25, 0.35  # chance that it ends early; after that part of the clip at least
OVERLAPPED, LOUDER = 0.25, (1.0, 12.0)  # chance of a second sound; dB that the first is above it
REVERBERANT, ECHOING = 0.4, 0.15  # chances of a reverberation and of single echoes; else the room is dry
EQUALISER = 9.0  # dB up or down, at five places over the spectrum
BAND_LIMITED = 0.25  # chance that low, high or both ends of the spectrum are missing
NOISELESS, SNR = 0.1, (3.0, 40.0)  # chance of no noise at all; dB over the clip otherwise
NOISE_SLOPE = (-8.0, 3.0)  # dB per octave: brown to blue
PEAK = (0.05, 0.95)  # of full scale
TAIL = 0.5  # s behind the clip, where a room's tail ends instead of wrapping round to the clip's start
LOWEST = 30.0  # Hz: below it nothing counts for a sound's centre


class Take(NamedTuple):
    """A recorded sound.

    Attributes:
        wave: float32 [n] in [-1, 1].
        rate: Events a second of the sound, or of its repetition where it has none of its own; else None.
        centre: Hz; the power-weighted mean of log-frequency of the louder sound, before room and microphone.
    """

    wave: Wave
    rate: float | None
    centre: float


def record(rng: Rng, t: Wave, sound: Sound, other: Sound | None = None) -> Take:
    """Record a sound, and perhaps another under it, with effects drawn from `rng`.

    Args:
        rng: Where the effects are drawn from.
        t: Time axis of the clip, float32 [n].
        sound: The louder sound [n], at any level.
        other: A second, softer one.
    """
    wave, rate = _repeated(rng, t, sound)
    size = scipy.fft.next_fast_len(len(t) + int(TAIL / t[1]), real=True)
    octaves = _octaves(size, float(t[1]))
    spectrum = _spectrum(_cut(rng, t, wave), size)
    power = np.abs(spectrum) ** 2
    heard = power[octaves > 0]
    centre = LOWEST * 2 ** float(np.sum(heard * octaves[octaves > 0]) / np.sum(heard))

    if other is not None:
        level = 10 ** (-rng.uniform(*LOUDER) / 20)
        spectrum = spectrum + level * _spectrum(_cut(rng, t, _repeated(rng, t, other)[0]), size)
    spectrum = spectrum * _equaliser(rng, octaves)
    chance = rng.random()
    if chance < REVERBERANT + ECHOING:
        impulse = _reverberation(rng, t) if chance < REVERBERANT else _echoes(rng, t)
        spectrum = spectrum * scipy.fft.rfft(impulse, n=size)
    spectrum = spectrum + _background(rng, spectrum, octaves)
    wave = scipy.fft.irfft(spectrum, n=size)[: len(t)]
    peak = np.float32(log_uniform(rng, *PEAK) / np.max(np.abs(wave)))
    return Take(wave * peak, rate, centre)


@lru_cache(maxsize=4)
def _octaves(size: int, step: float) -> Wave:
    """The frequencies of a transform, in octaves above `LOWEST`; 0 Hz counts as far below."""
    frequencies = np.fft.rfftfreq(size, d=step)
    frequencies[0] = frequencies[1]
    return np.asarray(np.log2(frequencies / LOWEST).astype(np.float32))


def _spectrum(wave: Wave, size: int) -> Spectrum:
    """The spectrum of unit power per sample: sounds are compared by their power, however sparse."""
    return np.asarray(scipy.fft.rfft(wave / np.sqrt(np.mean(wave**2)), n=size))


def _repeated(rng: Rng, t: Wave, sound: Sound) -> tuple[Wave, float | None]:
    """Now and then: a scrap of 0.15 to 1.5 s from the sound's start, over and over, gaps up to its length.

    A scrap holds two and a half events at least, so that the sound's own rate can still be told.
    """
    shortest = max(0.15, 2.5 / sound.rate) if sound.rate else 0.15
    if rng.random() >= REPEATED or shortest > min(1.5, t[-1] / 2):
        return sound.wave, sound.rate
    axis = span(t, log_uniform(rng, shortest, min(1.5, t[-1] / 2)))
    period = float(axis[-1]) * rng.uniform(1, 2)
    scrap = sound.wave[: len(axis)] * edges(axis)
    starts = np.arange(0, t[-1], period)
    return place(t, starts, (scrap for _ in starts)), sound.rate or 1 / period


def _cut(rng: Rng, t: Wave, wave: Wave) -> Wave:
    """Let the sound start late, end early, or both."""
    n = len(t)
    start = int(rng.uniform(0, DELAY) * n) if rng.random() < DELAYED else 0
    end = int(rng.uniform(SHORTEST, 1) * n) if rng.random() < CUT else n
    kept = wave[: max(end - start, int(0.05 * n))].copy()
    fade = span(t, 0.02)  # s: no click where it is cut
    kept[-len(fade) :] *= (fade / fade[-1])[::-1]
    return np.concatenate([np.zeros(start, t.dtype), kept])


def _equaliser(rng: Rng, octaves: Wave) -> Wave:
    """A smooth random gain over the spectrum, sometimes with an end missing (18 dB an octave)."""
    knots = np.linspace(0, 8, 5)  # octaves: 30 Hz to 8 kHz
    decibels = np.interp(octaves, knots, rng.uniform(-EQUALISER, EQUALISER, size=5)).astype(np.float32)
    if rng.random() < BAND_LIMITED:
        which = rng.integers(3)
        if which != 0:
            decibels -= 18 * np.maximum(0, rng.uniform(1.5, 4) - octaves)  # below 85 to 480 Hz
        if which != 1:
            decibels -= 18 * np.maximum(0, octaves - rng.uniform(6, 7.5))  # above 1.9 to 5.4 kHz
    return np.asarray(np.exp(decibels * np.float32(np.log(10) / 20)))


def _reverberation(rng: Rng, t: Wave) -> Wave:
    """A room's impulse response: the sound itself, then noise that falls by 60 dB in 0.1 to 1.2 s."""
    fall = log_uniform(rng, 0.1, 1.2)
    axis = span(t, min(TAIL, fall))
    tail = rng.standard_normal(len(axis), dtype=np.float32) * decay(axis, fall / np.log(1000))
    tail *= 10 ** (rng.uniform(-15, 3) / 20) / np.sqrt(np.sum(tail**2))  # dB: its energy against the sound's
    tail[0] = 1
    return tail


def _echoes(rng: Rng, t: Wave) -> Wave:
    """One to three echoes of 30 to 400 ms, from walls 5 to 70 m away."""
    count = int(rng.integers(1, 4))
    impulse = np.zeros_like(span(t, TAIL))
    impulse[(rng.uniform(0.03, 0.4, size=count) / t[1]).astype(np.int64)] = rng.uniform(0.15, 0.6, size=count)
    impulse[0] = 1
    return impulse


def _background(rng: Rng, spectrum: Spectrum, octaves: Wave) -> Spectrum | float:
    """The spectrum of coloured noise at a random level under `spectrum`."""
    if rng.random() < NOISELESS:
        return 0.0
    tilt = np.exp(np.maximum(octaves, 0) * np.float32(rng.uniform(*NOISE_SLOPE) * np.log(10) / 20))
    real, imaginary = rng.standard_normal((2, len(octaves)), dtype=np.float32) * tilt
    noise = real + np.complex64(1j) * imaginary
    noise[0] = noise[-1] = 0
    ratio = np.sqrt(np.sum(np.abs(spectrum) ** 2) / np.sum(np.abs(noise) ** 2))
    return np.asarray(noise * np.float32(ratio * 10 ** (-rng.uniform(*SNR) / 20)))
