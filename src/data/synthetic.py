"""An ESC-50-like data set made from nothing but code: the demo and the tests need no download.

Ten environmental sounds are synthesised from randomised physical parameters, then "recorded": onset, echo,
tone colour, background noise and level differ from clip to clip. Classes are neighbours on purpose (beeps,
chirps and pings; drops, taps and steps; engine and insects; wind and rain share parts of their ranges), so a
classifier lands well above chance and still makes mistakes. It is a demonstration, not a benchmark.

Everywhere: frequencies in Hz, times in seconds, levels in dB; `t` [n] is a time axis, 0 and then 1 / rate
apart. The ranges are this file's own, chosen by looking at spectrograms and a linear classifier's errors.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..files import clear_write_errors, read_csv, write_csv, write_whole
from .sounds.blocks import Rng, Wave, log_uniform, noise, phase, pulses, repeat, span, wander

SNR = (18.0, 5.0)  # dB over a clip, mean and standard deviation: one clip in twenty is below 10 dB
PEAK = (0.7, 0.95)  # of full scale
FIRST_SOURCE = 100_000  # clip ids count from here: six digits, like many of ESC-50's
MIN_SAMPLING_RATE = 16_000  # the sounds reach up to 8 kHz
MIN_SECONDS = 0.25  # room for a beep and its echo


def _approach(rng: Rng, t: Wave) -> Wave:
    """The fade-in of a steady sound that comes near."""
    return np.asarray(np.minimum(1, t / rng.uniform(0.02, 0.4)))


# The ten sounds: (rng, t) -> waveform [n] of any level, sounding from time 0 on.


def _alarm_beeps(rng: Rng, t: Wave) -> Wave:
    """Steady beeps of one pitch, or of two in turn, with hard or softly ringing ends."""
    rate, duty, damping = log_uniform(rng, 2, 6), rng.uniform(0.6, 0.85), rng.uniform(0, 2)
    pitch, reach = log_uniform(rng, 800, 2000), log_uniform(rng, 1200, 3000)  # reach: of the harmonics, Hz
    beep = span(t, duty / rate)
    edges = np.minimum(1, np.minimum(beep, beep[-1] - beep) / 0.005)  # ramps of 5 ms
    edges = edges * np.exp(-damping * beep / beep[-1])
    pair = (pitch, pitch * rng.choice([1, 1, 0.8, 1.25]))  # half of the alarms keep to one pitch
    tones = [pulses(2 * np.pi * f * beep, reach / f) * edges for f in pair]
    return repeat(rng, t, rate, 0, lambda start: tones[round(start * rate) % 2])


def _bird_chirps(rng: Rng, t: Wave) -> Wave:
    """Short whistled notes that glide and tremble, in an almost regular phrase."""
    pitch, rate = log_uniform(rng, 1600, 5000), log_uniform(rng, 3, 8)
    glide, trill, depth = rng.normal(0, 0.35), rng.uniform(15, 45), rng.uniform(0, 0.06)  # octaves, Hz, part

    def note(_: float) -> Wave:
        axis = span(t, rng.uniform(0.35, 0.8) / rate)
        along = axis / axis[-1]  # 0 to 1
        curve = pitch * 2 ** (glide * (along - 0.5) + rng.normal(0, 0.08))
        curve *= 1 + depth * np.sin(2 * np.pi * trill * axis)
        return np.asarray(np.sin(phase(axis, curve)) * np.sin(np.pi * along) * rng.uniform(0.5, 1))

    return repeat(rng, t, rate, 0.3, note)


def _glass_pings(rng: Rng, t: Wave) -> Wave:
    """Struck glass: a click, then inharmonic partials that ring down, the higher the faster."""
    pitch, rate, ring = log_uniform(rng, 1200, 3000), log_uniform(rng, 1, 3), log_uniform(rng, 0.2, 0.5)
    axis = span(t, 4 * ring)
    ping = rng.standard_normal(len(axis)) * np.exp(-axis / 0.004)  # the click, 4 ms
    for ratio, level in ((1, 1), (2.3, 0.5), (4.2, 0.25)):  # roughly the first modes of a bowl
        mode = pitch * ratio * rng.uniform(0.95, 1.05)
        if mode < MIN_SAMPLING_RATE / 2:
            tone = np.sin(2 * np.pi * mode * axis) * np.exp(-axis * ratio / ring)
            ping += level * rng.uniform(0.2, 1) * tone
    return repeat(rng, t, rate, 0.6, lambda _: ping * rng.uniform(0.3, 1))


def _water_drops(rng: Rng, t: Wave) -> Wave:
    """Dripping: each drop closes a bubble, a short tone that rises as it dies away."""
    pitch, rate = log_uniform(rng, 400, 1600), log_uniform(rng, 2, 7)

    def drop(_: float) -> Wave:
        decay, rise = log_uniform(rng, 0.01, 0.05), rng.uniform(0.05, 0.25)  # rise: part per decay
        axis = span(t, 6 * decay)
        curve = pitch * log_uniform(rng, 0.75, 1.33) * (1 + rise * axis / decay)
        return np.asarray(np.sin(phase(axis, curve)) * np.exp(-axis / decay) * rng.uniform(0.3, 1))

    return repeat(rng, t, rate, 0.8, drop)


def _woodpecker(rng: Rng, t: Wave) -> Wave:
    """Drum rolls on a hollow trunk: fast even taps that fade, then a pause."""
    rate, roll, pause = log_uniform(rng, 10, 20), rng.uniform(0.5, 1), rng.uniform(0.2, 0.5)
    hollow, octaves = log_uniform(rng, 800, 2200), rng.uniform(0.5, 0.9)
    decay = log_uniform(rng, 0.008, 0.03)
    axis = span(t, 6 * decay)
    tap = noise(rng, axis, hollow, octaves) * np.exp(-axis / decay)

    def strike(start: float) -> Wave:
        within = start % (roll + pause) / roll  # 0 to 1 in the roll, above 1 in the pause
        return np.asarray(tap * (1 - 0.6 * within) * (within < 1))

    return repeat(rng, t, rate, 0.1, strike)


def _footsteps(rng: Rng, t: Wave) -> Wave:
    """Walking or running: the heel's low thud, and the sole that scrapes the ground after it."""
    rate, decay, scrape = log_uniform(rng, 1.8, 6), log_uniform(rng, 0.015, 0.06), rng.uniform(0.1, 0.6)
    thud, ground = log_uniform(rng, 80, 300), log_uniform(rng, 300, 1200)
    axis = span(t, 6 * decay)

    def step(_: float) -> Wave:
        sole = noise(rng, axis, ground, 0.7) * axis / decay * np.e  # loudest one decay after the heel
        heel = np.sin(2 * np.pi * thud * axis)
        return np.asarray((heel + scrape * sole) * np.exp(-axis / decay) * rng.uniform(0.6, 1))

    return repeat(rng, t, rate, 0.15, step)


def _engine(rng: Rng, t: Wave) -> Wave:
    """A motor: low pulses of wandering rate, every 2nd to 4th a stronger one, and the exhaust's noise."""
    rate, reach = log_uniform(rng, 40, 150), log_uniform(rng, 150, 800)
    turn = phase(t, rate * (1 + rng.uniform(0.01, 0.12) * wander(rng, t, 2)))
    strokes = pulses(turn, reach / rate) * (1 + rng.uniform(0, 0.8) * np.cos(turn / rng.integers(2, 5)))
    exhaust = noise(rng, t, log_uniform(rng, 150, 800), 1)
    return (strokes + rng.uniform(0.1, 0.6) * exhaust) * _approach(rng, t)


def _insects(rng: Rng, t: Wave) -> Wave:
    """A fly or a bee: the buzz of a wing beat that bends in pitch and comes and goes."""
    rate, reach = log_uniform(rng, 160, 400), log_uniform(rng, 1200, 3000)
    turn = phase(t, rate * (1 + rng.uniform(0.02, 0.15) * wander(rng, t, 4)))
    near = 1 + rng.uniform(0.2, 0.9) * wander(rng, t, log_uniform(rng, 2, 15))
    return pulses(turn, reach / rate) * near * _approach(rng, t)


def _wind(rng: Rng, t: Wave) -> Wave:
    """Gusts: broad low noise that swells, now and then with a whistle at an edge."""
    gusts = 1 + rng.uniform(0.2, 0.9) * wander(rng, t, log_uniform(rng, 1, 4))
    air = noise(rng, t, log_uniform(rng, 200, 1000), rng.uniform(0.8, 1.4))
    whistle = noise(rng, t, log_uniform(rng, 500, 2000), 0.1)
    return np.asarray((air + rng.uniform(0, 0.6) * whistle) * gusts**2 * _approach(rng, t))


def _rain(rng: Rng, t: Wave) -> Wave:
    """Rain on leaves: a steady hiss, and in it the patter of single drops."""
    hiss = noise(rng, t, log_uniform(rng, 1500, 5000), rng.uniform(0.8, 1.4))
    axis = span(t, 0.02)
    splash = noise(rng, axis, log_uniform(rng, 1000, 4000), 0.7) * np.exp(-axis / 0.004)  # 4 ms
    patter = repeat(rng, t, log_uniform(rng, 15, 150), 0.9, lambda _: splash * rng.normal())
    return (hiss + rng.uniform(0.5, 3) * patter) * _approach(rng, t)


_PITCHED = (_alarm_beeps, _bird_chirps, _glass_pings)
_STRUCK = (_water_drops, _woodpecker, _footsteps)
_STEADY = (_engine, _insects, _wind, _rain)
SOUNDS = {sound.__name__.lstrip("_"): sound for sound in (*_PITCHED, *_STRUCK, *_STEADY)}
CLASSES: tuple[str, ...] = tuple(SOUNDS)  # a class's target is its place here


def _record(rng: Rng, t: Wave, sound: Wave) -> Wave:
    """What a microphone makes of a sound: onset, echo, tone colour, background noise, level."""
    delay = rng.integers(0, len(t) // 8)  # samples: it starts within the first eighth of the clip
    x = np.concatenate([np.zeros(delay), sound[: len(t) - delay]])
    if rng.random() < 0.25:  # one clip in four has an echo, from a wall 5 to 25 m away
        lag = int(rng.uniform(0.03, 0.15) / t[1])
        x[lag:] += rng.uniform(0.2, 0.6) * x[:-lag]
    x[1:] += rng.uniform(-0.4, 0.4) * x[:-1]  # a one-tap equaliser: brighter or duller by a few dB
    hiss = noise(rng, t, log_uniform(rng, 100, 1000), 4)  # four octaves either way: near white to pink
    x = x / np.std(x) + hiss * 10 ** (-rng.normal(*SNR) / 20)
    return np.asarray(x / np.max(np.abs(x)) * log_uniform(rng, *PEAK))


def synthesise(target: int, index: int, *, seconds: float, sampling_rate: int, seed: int) -> Wave:
    """Clip number `index` of class number `target`: float [seconds * sampling_rate] in [-1, 1].

    Its randomness is addressed by (seed, target, index) alone: no clip depends on how many others are made.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(target, index)))
    t = np.arange(round(seconds * sampling_rate)) / sampling_rate
    return _record(rng, t, SOUNDS[CLASSES[target]](rng, t))


def write_dataset(
    folder: Path,
    *,
    clips_per_class: int = 30,
    seconds: float = 2.0,
    sampling_rate: int = 22050,
    folds: int = 5,
    seed: int = 10,
    on_clip: Callable[[], None] | None = None,
) -> Path:
    """Write audio/*.wav (16-bit PCM, mono) and meta/esc50.csv, ESC-50's layout, and return `folder`.

    The same arguments give the same bytes, and more clips per class leave the earlier ones as they were. An
    older table goes before the first clip and the new one comes after the last: an interrupted run has none.

    Args:
        folder: Where to write; made if missing. An earlier synthetic data set in it is written over.
        clips_per_class: Dealt out to the folds in turn; a multiple of `folds` makes them equal.
        seconds: Length of every clip.
        sampling_rate: In Hz.
        folds: Number of folds, counted from 1.
        seed: Another seed makes another data set of the same ten classes.
        on_clip: Called after each written clip.

    Raises:
        UserError: if a fold would lack a class, the clips would be too short or too coarsely sampled for the
            sounds, or `folder` holds another data set.
    """
    import soundfile

    if not 1 <= folds <= clips_per_class:
        raise UserError(f"{clips_per_class} clips per class cannot fill {folds} folds; every fold needs one.")
    if seconds < MIN_SECONDS or sampling_rate < MIN_SAMPLING_RATE:
        least = f"{MIN_SECONDS} s at {MIN_SAMPLING_RATE} Hz"
        raise UserError(f"{seconds} s at {sampling_rate} Hz cannot hold the sounds: ask for {least} or more.")
    table = folder / "meta" / "esc50.csv"
    if table.exists() and any(row.get("category") not in CLASSES for row in read_csv(table)):
        raise UserError(f"{table} describes another data set, which stays as it is; choose another folder.")
    with clear_write_errors(table):
        table.unlink(missing_ok=True)
    rows = []
    for index in range(clips_per_class):
        for target, category in enumerate(CLASSES):
            fold, source = index % folds + 1, FIRST_SOURCE + index * len(CLASSES) + target
            name = f"{fold}-{source}-A-{target}.wav"
            x = synthesise(target, index, seconds=seconds, sampling_rate=sampling_rate, seed=seed)
            save = partial(soundfile.write, data=x, samplerate=sampling_rate, subtype="PCM_16")
            write_whole(folder / "audio" / name, save)
            clip = {"filename": name, "fold": fold, "target": target, "category": category}
            rows.append(clip | {"esc10": False, "src_file": source, "take": "A"})
            if on_clip is not None:
                on_clip()
    write_csv(table, rows)
    return folder
