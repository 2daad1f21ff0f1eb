"""Voices: a source, periodic or noisy, through the resonances of a throat, held still or moved by syllables.

Formants are drawn from the ranges that phonetics gives for adults and children, not from anybody's vowel.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from .blocks import (
    Rng,
    Sound,
    Wave,
    angle,
    arch,
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
    shaped_noise,
    sine,
    slope,
    some,
    wander,
)


def _formants(rng: Rng) -> tuple[list[float], list[float], list[float]]:
    """Centres, widths and levels of three formants: 250 to 900, 800 to 2400 and 2300 to 3500 Hz."""
    first = log_uniform(rng, 250, 900)
    centres = [first, log_uniform(rng, max(800, 1.3 * first), 2400), rng.uniform(2300, 3500)]
    return centres, [80.0, 120.0, 200.0], [1.0, rng.uniform(0.3, 0.8), rng.uniform(0.1, 0.4)]


def _glottis(rng: Rng, t: Wave, f0: Wave | float) -> Wave:
    """A voice's source: harmonics that fall by 5 to 9 dB per octave, and a little breath."""
    breath = rng.standard_normal(len(t), dtype=np.float32)
    return harmonics(t, f0, slope(60, rng.uniform(5, 9))) + 0.03 * breath


def _throat(rng: Rng) -> Callable[[Wave], Wave]:
    """The gain of a throat in one position, to be given to `resonate` or `shaped_noise`."""
    centres, widths, levels = _formants(rng)
    return partial(peaks, centres=centres, widths=widths, levels=levels)


def _voiced(rng: Rng, t: Wave, f0: Wave | float) -> Wave:
    return resonate(t, _glottis(rng, t, f0), _throat(rng))


def _between(first: Wave, second: Wave, share: Wave) -> Wave:
    return np.asarray(first + (second - first) * share)


def held_vowel(rng: Rng, t: Wave) -> Sound:
    """One vowel on one pitch, 80 to 400 Hz, trembling by 1 %."""
    f0 = log_uniform(rng, 80, 400)
    return Sound(_voiced(rng, t, f0 * (1 + 0.01 * wander(rng, t, 8))), f0)


def gliding_vowels(rng: Rng, t: Wave) -> Sound:
    """Two vowels that melt into each other and back, 0.7 to 4 times a second; pitch 80 to 350 Hz."""
    f0, rate = log_uniform(rng, 80, 350), log_uniform(rng, 0.7, 4)
    source = _glottis(rng, t, f0 * (1 + 0.1 * sine(t, rate * 0.7)))
    ends = [resonate(t, source, _throat(rng)) for _ in range(2)]
    return Sound(_between(ends[0], ends[1], 0.5 - 0.5 * np.cos(angle(t, rate))), f0, rate)


def babbled_syllables(rng: Rng, t: Wave) -> Sound:
    """Syllables, 2.5 to 7 a second: a hiss, then a vowel whose pitch, 90 to 350 Hz, falls within phrases."""
    f0, rate = log_uniform(rng, 90, 350), log_uniform(rng, 2.5, 7)
    melody = f0 * 2 ** (0.25 * wander(rng, t, rate / 2))
    source = _glottis(rng, t, melody)
    vowels = [resonate(t, source, _throat(rng)) for _ in range(2)]
    speech = _between(vowels[0], vowels[1], 0.5 + 0.5 * wander(rng, t, rate))
    speech /= np.std(speech)
    out = np.zeros_like(t)
    hiss = noise(rng, t, log_uniform(rng, 2500, 6000), 0.5)
    start = 0.0
    while start < t[-1]:
        length = rng.uniform(0.6, 1.1) / rate
        consonant = int(start / t[1])
        vowel = consonant + int(rng.uniform(0.15, 0.35) * length / t[1])
        end = min(len(t), consonant + int(length / t[1]))
        out[consonant:vowel] += rng.uniform(0.1, 0.6) * hiss[consonant:vowel]
        if end > vowel:
            out[vowel:end] += speech[vowel:end] * np.hanning(end - vowel).astype(np.float32)
        start += length * (1 if rng.random() < 0.85 else 2.5)  # a pause after some syllables
    return Sound(out, f0, rate)


def whispered_syllables(rng: Rng, t: Wave) -> Sound:
    """Breath through formants, shaped into 2 to 6 syllables a second: no pitch at all."""
    rate = log_uniform(rng, 2, 6)
    vowels = [shaped_noise(rng, t, _throat(rng)) for _ in range(2)]
    level = np.maximum(0, sine(t, rate) + 0.4 + 0.5 * wander(rng, t, rate))
    return Sound(_between(vowels[0], vowels[1], 0.5 + 0.5 * wander(rng, t, rate)) * level, rate=rate)


def sung_notes(rng: Rng, t: Wave) -> Sound:
    """A singer: vibrato of 4.5 to 7 Hz on notes of a scale, 130 to 700 Hz, a new one every 0.3 to 1 s."""
    f0, rate, change = log_uniform(rng, 130, 700), rng.uniform(4.5, 7), rng.uniform(1, 3.3)
    scale = f0 * 2 ** (np.array([-5, -3, 0, 0, 2, 4]) / 12)
    tune = rng.choice(scale, size=int(t[-1] * change) + 1).astype(np.float32)[(t * change).astype(np.int32)]
    return Sound(_voiced(rng, t, tune * (1 + rng.uniform(0.015, 0.04) * sine(t, rate))), f0, rate)


def choir(rng: Rng, t: Wave) -> Sound:
    """Five voices on one vowel and one to three pitches of 120 to 500 Hz, each unsteady in its own way."""
    f0 = log_uniform(rng, 120, 500)
    chord = (1.0, 1.0, rng.choice([1, 1.25, 1.5]), rng.choice([1, 1.5]), 0.5)
    voices = [harmonics(t, f0 * float(r) * (1 + 0.012 * wander(rng, t, 5)), slope(30, 6)) for r in chord]
    return Sound(resonate(t, np.sum(voices, axis=0), _throat(rng)), f0)


def nasal_hum(rng: Rng, t: Wave) -> Sound:
    """Humming with closed lips: a murmur at 250 Hz and a weak nasal one near 1 kHz, gliding in 0.5 to 2 s."""
    f0 = log_uniform(rng, 90, 400)
    tune = f0 * 2 ** (0.3 * wander(rng, t, rng.uniform(0.5, 2)))
    centres, levels = [250, rng.uniform(800, 1200)], [1, rng.uniform(0.03, 0.15)]
    return Sound(resonate(t, _glottis(rng, t, tune), lambda f: peaks(f, centres, [120, 300], levels)), f0)


def creaky_voice(rng: Rng, t: Wave) -> Sound:
    """Vocal fry: irregular pulses, 25 to 70 a second, each ringing the formants for a moment."""
    rate, (centres, _, levels) = log_uniform(rng, 25, 70), _formants(rng)
    axis = moment(t, 0.04)
    ring = modes(axis, centres, [0.005, 0.003, 0.002], levels)
    return Sound(repeat(rng, t, rate, 0.35, lambda _: ring * rng.uniform(0.5, 1)), rate=rate)


def fricatives(rng: Rng, t: Wave) -> Sound:
    """Hisses of the mouth, each another band of 1.2 to 7 kHz, 80 to 300 ms, 2 to 6 a second."""
    rate = log_uniform(rng, 2, 6)

    def hiss(_: float) -> Wave:
        axis = moment(t, rng.uniform(0.5, 0.95) / rate)
        return noise(rng, axis, log_uniform(rng, 1200, 7000), rng.uniform(0.15, 0.4)) * arch(axis)

    return Sound(repeat(rng, t, rate, 0.2, hiss), rate=rate)


def shouted_arcs(rng: Rng, t: Wave) -> Sound:
    """Loud vowels whose pitch, 200 to 700 Hz, rises by half and falls again, 0.8 to 2.5 shouts a second."""
    f0, rate = log_uniform(rng, 200, 700), log_uniform(rng, 0.8, 2.5)
    along = (t * rate) % 1 / rng.uniform(0.5, 0.9)
    arc = np.sin(np.pi * np.minimum(along, 1)).clip(0)
    return Sound(_voiced(rng, t, f0 * (0.8 + rng.uniform(0.2, 0.6) * arc)) * np.sqrt(arc), f0, rate)


def rolled_vowel(rng: Rng, t: Wave) -> Sound:
    """A vowel interrupted by a rolling tongue, 18 to 32 times a second; pitch 90 to 300 Hz."""
    f0, rate = log_uniform(rng, 90, 300), rng.uniform(18, 32)
    gate = np.clip(0.6 + 1.2 * sine(t, rate * (1 + 0.05 * wander(rng, t, 3))), 0.05, 1)
    return Sound(_voiced(rng, t, f0 * (1 + 0.1 * wander(rng, t, 2))) * gate, f0, rate)


def distant_crowd(rng: Rng, t: Wave) -> Sound:
    """Many talkers at once: a dozen overlapping streams of short vowels, none of them understood."""
    grains = []
    for _ in range(10):
        axis = moment(t, rng.uniform(0.1, 0.3))
        tone = pulses(angle(axis, log_uniform(rng, 90, 300) * (1 - 0.2 * axis / axis[-1])), 8)
        grains.append(resonate(axis, tone, _throat(rng)) * arch(axis))
    starts = np.sort(np.append(rng.uniform(0, t[-1], size=int(40 * t[-1])), 0))
    crowd = place(t, starts, some(rng, grains, len(starts), 0.1))
    return Sound(crowd / np.std(crowd) + 0.1 * noise(rng, t, 400, 1.2))
