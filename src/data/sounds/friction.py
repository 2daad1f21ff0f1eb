"""Rubbed, rolled and torn: surfaces that stick and slip, from a bow's steady tone to a rip."""

from __future__ import annotations

import numpy as np

from .blocks import (
    Rng,
    Sound,
    Wave,
    angle,
    edges,
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


def short_squeaks(rng: Rng, t: Wave) -> Sound:
    """Rubber on a floor: chirps of 900 Hz to 3.5 kHz, 60 to 250 ms, that hook up at both ends; 1.5 to 6 a
    second.
    """
    f0, rate = log_uniform(rng, 900, 3500), log_uniform(rng, 1.5, 6)

    def squeak(_: float) -> Wave:
        axis = moment(t, min(0.8 / rate, rng.uniform(0.06, 0.25)))
        hook = (2 * axis / axis[-1] - rng.uniform(0.6, 1.4)) ** 2
        curve = f0 * rng.uniform(0.85, 1.15) * (1 + 0.25 * hook) * (1 + 0.01 * wander(rng, axis, 100))
        return np.asarray(harmonics(axis, curve, slope(6, 5)) * edges(axis, 0.01))

    return Sound(repeat(rng, t, rate, 0.5, squeak), f0, rate)


def bowed_string(rng: Rng, t: Wave) -> Sound:
    """A bow to and fro, 0.7 to 3 strokes a second: a saw of 90 to 700 Hz, vibrato, body, and rosin's
    scratch.
    """
    f0, rate = log_uniform(rng, 90, 700), log_uniform(rng, 0.7, 3)
    bow = np.abs(np.sin(np.pi * rate * t + 0.3)) ** 0.4
    curve = f0 * (1 + rng.uniform(0.002, 0.012) * sine(t, rng.uniform(4.5, 6.5)))
    centres = [log_uniform(rng, 250, 600), log_uniform(rng, 800, 1500), log_uniform(rng, 2000, 3500)]
    x = harmonics(t, curve, slope(60, 5)) + 0.15 * noise(rng, t, 3000, 1)
    return Sound(
        resonate(t, x * bow, lambda f: 0.2 + peaks(f, centres, [90, 200, 500], [1, 0.8, 0.6])), f0, rate
    )


def stick_slip_pulses(rng: Rng, t: Wave) -> Sound:
    """A heavy joint that yields in jerks: pulses from 8 to 120 a second, sped up and slowed, through a
    panel.
    """
    low, reach = log_uniform(rng, 8, 30), rng.uniform(1, 2)
    curve = low * 2 ** (reach * (1 + wander(rng, t, log_uniform(rng, 0.6, 2))))
    at = np.flatnonzero(np.diff(np.floor(np.cumsum(curve, dtype=np.float64) * float(t[1])), prepend=-1.0))
    axis = moment(t, 0.03)
    jerks = [
        modes(axis, rng.uniform(250, 2500, size=5), 0.005, rng.uniform(0.2, 1, size=5)) for _ in range(2)
    ]
    return Sound(place(t, at * float(t[1]), some(rng, jerks, len(at), 0.5)), rate=low * 2**reach)


def dragged_scrape(rng: Rng, t: Wave) -> Sound:
    """A hard edge dragged over a rough floor: noise through five fixed modes, strokes of 0.3 to 1.2 s."""
    length = rng.uniform(0.3, 1.2)
    centres = np.exp(rng.uniform(np.log(300), np.log(5000), size=5)).tolist()
    x = shaped_noise(rng, t, lambda f: peaks(f, centres, [0.12 * c for c in centres], [1.0] * 5) + 0.03)
    axis = moment(t, length)
    stroke = edges(axis, 0.05) * (0.6 + 0.4 * wander(rng, axis, 25))
    rate = 1 / (length + rng.uniform(0.1, 0.4))
    return Sound(x * repeat(rng, t, rate, 0.15, lambda _: stroke), rate=rate)


def to_and_fro(rng: Rng, t: Wave) -> Sound:
    """Rough on rough, pushed and pulled: two bands of noise in turn, 1.5 to 6 strokes a second each way."""
    rate, centre = log_uniform(rng, 1.5, 6), log_uniform(rng, 1200, 3500)
    swing = sine(t, rate)
    push, pull = noise(rng, t, centre, 0.6), noise(rng, t, centre * rng.uniform(1.3, 2), 0.6)
    x = np.where(swing > 0, push, rng.uniform(0.4, 1) * pull)
    return Sound(x * np.abs(swing) ** rng.uniform(0.7, 2), rate=rate)


def long_screech(rng: Rng, t: Wave) -> Sound:
    """Metal on metal: a pitch of 1.2 to 4 kHz with strong harmonics that wavers, breaks and takes hold
    again.
    """
    f0 = log_uniform(rng, 1200, 4000)
    grip = np.clip(wander(rng, t, log_uniform(rng, 1.5, 5)) + 0.7, 0, 1)
    curve = f0 * (1 + 0.04 * wander(rng, t, 8) + 0.01 * wander(rng, t, 150))
    return Sound(harmonics(t, curve, slope(5, 3)) * grip + 0.1 * noise(rng, t, f0, 1), f0)


def rolling_ball(rng: Rng, t: Wave) -> Sound:
    """A hard ball on boards: low rumble, 100 to 500 Hz, that beats with each turn, 2 to 9 a second, over
    joints.
    """
    rate, centre = log_uniform(rng, 2, 9), log_uniform(rng, 100, 500)
    x = noise(rng, t, centre, 0.6) * (1 + 0.7 * sine(t, rate)) + 0.3 * noise(rng, t, 5 * centre, 0.5)
    axis = moment(t, 0.08)
    joint = modes(axis, centre * np.array([1.3, 2.9, 4.1]), 0.015, 3)
    return Sound(x + repeat(rng, t, rng.uniform(0.8, 2.5), 0.05, lambda _: joint), rate=rate)


def zipper_runs(rng: Rng, t: Wave) -> Sound:
    """Teeth that close one after another: a buzz of 60 to 350 Hz that rises in runs of 0.3 to 0.8 s, 1.5
    to 5 kHz.
    """
    low, length, centre = log_uniform(rng, 60, 160), rng.uniform(0.3, 0.8), log_uniform(rng, 1500, 5000)
    axis = moment(t, length)
    turn = angle(axis, low * (1 + 1.2 * axis / length))
    teeth = np.maximum(0, np.sin(turn)) ** 6

    def run(_: float) -> Wave:
        return np.asarray(noise(rng, axis, centre, 0.7) * teeth * edges(axis, 0.03))

    return Sound(repeat(rng, t, 1 / (length + rng.uniform(0.1, 0.5)), 0.1, run), 1.5 * low)


def torn_cloth(rng: Rng, t: Wave) -> Sound:
    """Fibres that snap ever faster: crackle that grows into a rip of 0.2 to 0.8 s, noise of 1.5 to 5 kHz."""
    length, centre = rng.uniform(0.2, 0.8), log_uniform(rng, 1500, 5000)
    axis = moment(t, length)

    def rip(_: float) -> Wave:
        x = noise(rng, axis, centre, 0.9)
        snaps = rng.random(len(axis), dtype=np.float32) ** 12  # few samples stand out
        return np.asarray(x * (0.2 + 3 * snaps) * (0.15 + (axis / length) ** 2) * edges(axis, 0.004))

    return Sound(repeat(rng, t, 1 / (length + rng.uniform(0.15, 0.6)), 0.3, rip))


def rubbed_glass(rng: Rng, t: Wave) -> Sound:
    """A wet finger round a rim: one pure pitch, 300 Hz to 2 kHz, that swells twice a turn, 0.7 to 4 a
    second.
    """
    f0, rate = log_uniform(rng, 300, 2000), log_uniform(rng, 0.7, 4)
    swell = 0.5 + 0.4 * sine(t, rate) + 0.1 * wander(rng, t, 10)
    rub = 0.08 * noise(rng, t, 3000, 0.7)
    return Sound(
        (sine(t, f0) + 0.1 * sine(t, 2.32 * f0)) * swell * np.minimum(1, t / 0.2 + 0.1) + rub, f0, rate
    )


def washboard(rng: Rng, t: Wave) -> Sound:
    """A stick along ridges: 25 to 90 knocks a second in strokes up and down, 1.5 to 4 strokes a second."""
    rate, ridges = log_uniform(rng, 1.5, 4), log_uniform(rng, 25, 90)
    turn = angle(t, ridges * (0.6 + 0.8 * np.abs(np.sin(np.pi * rate * t))))
    x = pulses(turn, 5) * noise(rng, t, log_uniform(rng, 700, 2500), 0.4)
    return Sound(x * ((t * rate) % 1 < 0.8), rate=rate)
