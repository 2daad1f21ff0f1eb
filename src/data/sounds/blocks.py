"""What procedural sounds are made of: random numbers, noises, oscillators, resonances and events in time.

The demo's ten classes (`synthetic.py`) and the pre-training families share these. Frequencies are in Hz,
times in seconds, levels are amplitudes; `t` [n] is a time axis, 0 and then 1 / rate apart. A block answers in
`t`'s precision: the demo computes in float64, the families in float32, which is several times as fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

Wave = NDArray[np.floating[Any]]
Rng = np.random.Generator

TABLE_BITS = 13  # a period of 8192 samples: the 64th harmonic still has 128 a turn
TURN = 2.0**32  # one turn of an oscillator, counted in 32-bit integers that wrap where the phase does


class Sound(NamedTuple):
    """One draw of a family.

    Attributes:
        wave: float32 [n], of any level, sounding from time 0 on.
        f0: Fundamental frequency in Hz (of a glide: its middle), or None where no pitch can be told.
        rate: Events or modulations a second, or None where there are none.
    """

    wave: Wave
    f0: float | None = None
    rate: float | None = None


def log_uniform(rng: Rng, low: float, high: float) -> float:
    """Draw a positive number; every octave between `low` and `high` is equally likely."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


# Noises, all of unit power.


def shaped_noise(rng: Rng, t: Wave, gain: Callable[[Wave], Wave]) -> Wave:
    """Noise whose amplitude at each frequency is `gain(frequencies)`."""
    frequencies = np.fft.rfftfreq(len(t), d=t[1])[1:].astype(t.dtype)
    real, imaginary = gain(frequencies) * rng.standard_normal((2, len(frequencies)), dtype=t.dtype)
    spectrum = np.concatenate([np.zeros(1, t.dtype), real + 1j * imaginary])  # silent at 0 Hz
    x = np.fft.irfft(spectrum, n=len(t))
    return np.asarray(x / np.std(x))


def noise(rng: Rng, t: Wave, centre: float, octaves: float) -> Wave:
    """Noise around `centre`: a Gaussian of half-width `octaves` on a log-frequency axis."""
    return shaped_noise(rng, t, lambda f: np.exp(-0.5 * (np.log2(f / centre) / octaves) ** 2))


def sloped_noise(rng: Rng, t: Wave, slope: float) -> Wave:
    """Noise that rises by `slope` dB per octave (falls, where negative) above 30 Hz."""
    return shaped_noise(rng, t, lambda f: np.maximum(f, 30) ** (slope / 6.02))


def peaks(
    frequencies: Wave, centres: Sequence[float], widths: Sequence[float], levels: Sequence[float]
) -> Wave:
    """The gain of parallel resonances, bell curves of half-power `widths` in Hz, over `frequencies`."""
    gain = np.zeros_like(frequencies)
    for centre, width, level in zip(centres, widths, levels, strict=True):
        gain += level / (1 + ((frequencies - centre) / (width / 2)) ** 2)
    return gain


def resonate(t: Wave, x: Wave, gain: Callable[[Wave], Wave]) -> Wave:
    """Filter a whole clip (its end wraps to its start, where nothing is heard of it under a steady sound)."""
    frequencies = np.fft.rfftfreq(len(t), d=t[1]).astype(t.dtype)
    return np.asarray(scipy.fft.irfft(scipy.fft.rfft(x) * gain(frequencies), n=len(x)))


def echo(x: Wave, lag: int, feedback: float) -> Wave:
    """Add echoes `lag` samples apart, each `feedback` times the last, until they are 40 dB down: a comb."""
    out = np.pad(x, (0, 0))
    gain, at = feedback, lag
    while gain > 0.01 and at < len(x):
        out[at:] += gain * x[:-at]
        gain, at = gain * feedback, at + lag
    return out


# Slow curves.


def wander(rng: Rng, t: Wave, rate: float) -> Wave:
    """A random curve in [-1, 1] that turns about `rate` times a second: gusts, unsteady revs."""
    knots = rng.uniform(-1, 1, size=int(t[-1] * rate) + 2).astype(t.dtype)
    x = t * rate
    left = x.astype(np.int32)
    return np.asarray((knots[left + 1] - knots[left]) * (x - left.astype(t.dtype)) + knots[left])


def steps(rng: Rng, t: Wave, values: Sequence[float], rate: float) -> Wave:
    """Values in turn, each held for 1 / `rate`; the order starts again after the last."""
    held = np.asarray(values, dtype=t.dtype)
    return np.asarray(held[(t * rate).astype(np.int32) % len(held)])


def edges(axis: Wave, seconds: float = 0.005) -> Wave:
    """The gain of an event that fades in and out linearly in that time (5 ms: no click is heard)."""
    return np.asarray(np.minimum(1, np.minimum(axis, axis[-1] - axis) / seconds))


# Oscillators.


def phase(t: Wave, frequency: Wave) -> Wave:
    """The running phase, in radians, of an oscillator whose frequency changes with time."""
    return np.asarray(2 * np.pi * t[1] * np.cumsum(frequency))


def turns(t: Wave, frequency: ArrayLike) -> NDArray[np.int32]:
    """The running phase in 2**-32 turns, wrapped by the integers' own overflow.

    As exact after a minute as at once, where float32 phases lose 0.01 rad within seconds; and fast.
    Frequencies (one, or a curve) stay below half the sampling rate, for they are cut there.
    """
    step = np.clip(np.asarray(frequency, dtype=np.float64) * float(t[1]), -0.4999, 0.4999) * TURN
    if step.ndim == 0:
        return np.arange(len(t), dtype=np.int32) * np.int32(step)
    return np.cumsum(step.astype(np.int32), dtype=np.int32)


def angle(t: Wave, frequency: ArrayLike) -> Wave:
    """The running phase in radians, wrapped into one turn; `frequency` is one or a curve like `t`."""
    return np.asarray(turns(t, frequency).astype(t.dtype) * (2 * np.pi / TURN))


def sine(t: Wave, frequency: ArrayLike) -> Wave:
    """A sine of one frequency, or of a frequency curve like `t`."""
    return np.asarray(np.sin(angle(t, frequency)))


def pulses(phase: Wave, harmonics: float) -> Wave:
    """A tone of unit power with about that many strong harmonics: near a sine below 1, a buzz at 10."""
    x = np.exp(harmonics**2 * (np.cos(phase) - 1))  # Gaussian spectrum: hardly aliases
    return np.asarray((x - np.mean(x)) / np.std(x))


def harmonics(t: Wave, frequency: ArrayLike, levels: ArrayLike) -> Wave:
    """A tone of unit power whose k-th harmonic has `levels[k - 1]`; those that would alias are left out."""
    highest = float(np.max(frequency))
    kept = np.asarray(levels, dtype=np.float64)[: max(1, int(0.499 / (highest * t[1])))]
    spectrum = np.zeros(2 ** (TABLE_BITS - 1) + 1, dtype=np.complex64)
    spectrum[1 : len(kept) + 1] = -1j * kept
    table = scipy.fft.irfft(spectrum)
    table /= np.std(table) + 1e-12
    return np.asarray(table[(turns(t, frequency) >> (32 - TABLE_BITS)) & (2**TABLE_BITS - 1)])


def slope(count: int, decibels: float) -> Wave:
    """Levels of that many harmonics that fall by so many dB per octave: 6 a sawtooth, 12 a triangle."""
    return np.asarray(np.arange(1, count + 1) ** (-decibels / 6.02))


# Events.


def span(t: Wave, seconds: float) -> Wave:
    """The time axis of a short event: the first `seconds` of `t`."""
    return t[: int(seconds / t[1])]


def moment(t: Wave, seconds: float) -> Wave:
    """The same, a little longer where the Fourier transform of noise of just that length would be slow."""
    return t[: scipy.fft.next_fast_len(int(seconds / t[1]), real=True)]


def arch(axis: Wave, power: float = 1.0) -> Wave:
    """The gain of a breath or a stroke: half a sine over the whole event, flatter at powers below 1."""
    return np.asarray(np.maximum(0, np.sin(np.pi * axis / axis[-1])) ** power)


def decay(axis: Wave, seconds: float) -> Wave:
    """An exponential that falls to 1 / e in that time."""
    return np.asarray(np.exp(axis * float(-1 / seconds)))


def modes(axis: Wave, frequencies: ArrayLike, decays: ArrayLike, levels: ArrayLike) -> Wave:
    """What a struck body sounds: sines that die away, each of its own frequency, decay time and level."""
    nyquist = 0.499 / axis[1]
    out = np.zeros_like(axis)
    for f, d, level in np.broadcast(frequencies, decays, levels):
        if f < nyquist:
            ring = axis[: int(7 * d / axis[1])]  # 60 dB down
            out[: len(ring)] += float(level) * sine(ring, f) * decay(ring, float(d)) if len(ring) > 1 else 0
    return out


def repeat(rng: Rng, t: Wave, rate: float, jitter: float, event: Callable[[float], Wave]) -> Wave:
    """Sound `event(start)` from time 0 on, `rate` a second; a gap is off by up to `jitter` of itself."""
    out, start = np.zeros_like(t), 0.0
    while start < t[-1]:
        at, sound = int(start / t[1]), event(start)
        out[at : at + len(sound)] += sound[: len(out) - at]
        start += rng.uniform(1 - jitter, 1 + jitter) / rate
    return out


def poisson(rng: Rng, t: Wave, rate: float) -> NDArray[np.float64]:
    """Times of independent events, `rate` a second on average, the first at 0: [events]."""
    gaps = rng.exponential(1 / rate, size=int(t[-1] * rate + 4 * (t[-1] * rate) ** 0.5) + 4)
    starts = np.cumsum(gaps) - gaps[0]
    return np.asarray(starts[starts < t[-1]])


def place(t: Wave, starts: Iterable[float], events: Iterable[Wave]) -> Wave:
    """Sound one event at each start (seconds from 0 on); what lies behind the clip's end is cut."""
    out = np.zeros_like(t)
    for start, sound in zip(starts, events, strict=False):
        at = int(start / t[1])
        out[at : at + len(sound)] += sound[: max(0, len(out) - at)]
    return out


def some(rng: Rng, sounds: Sequence[Wave], count: int, softest: float = 0.2) -> Iterable[Wave]:
    """That many sounds, each one of `sounds` at a level between `softest` and 1."""
    which = rng.integers(len(sounds), size=count)
    levels = rng.uniform(softest, 1, size=count).astype(np.float32)
    return (sounds[i] * level for i, level in zip(which, levels, strict=True))
