"""Machines: turning parts give steady lines and sidebands, working strokes give cycles of several sounds."""

from __future__ import annotations

import numpy as np

from .blocks import (
    Rng,
    Sound,
    Wave,
    angle,
    arch,
    decay,
    edges,
    harmonics,
    log_uniform,
    modes,
    moment,
    noise,
    place,
    poisson,
    pulses,
    repeat,
    sine,
    slope,
    sloped_noise,
    some,
    steps,
    wander,
)


def gear_whine(rng: Rng, t: Wave) -> Sound:
    """Meshing teeth, 300 Hz to 2.5 kHz, with sidebands at the shaft's 8 to 40 turns a second."""
    f0, rate = log_uniform(rng, 300, 2500), log_uniform(rng, 8, 40)
    shaft = sine(t, rate)
    mesh = np.sin(angle(t, f0) + rng.uniform(0.5, 2.5) * shaft) + 0.5 * sine(t, min(2 * f0, 7000))
    return Sound(mesh * (1 + 0.5 * shaft) + 0.1 * sloped_noise(rng, t, -3), f0, rate)


def bladed_fan(rng: Rng, t: Wave) -> Sound:
    """Air chopped by blades: noise below 600 Hz to 3 kHz in soft pulses, 12 to 60 a second, and their hum."""
    rate = log_uniform(rng, 12, 60)
    turn = angle(t, rate)
    chopped = noise(rng, t, log_uniform(rng, 200, 1000), 1.2) * (1 + rng.uniform(0.3, 0.8) * np.sin(turn))
    return Sound(chopped + rng.uniform(0.3, 1) * pulses(turn, 3), rate=rate)


def spinning_up(rng: Rng, t: Wave) -> Sound:
    """A rotor that runs up to 200 Hz to 1.5 kHz in 1 to 4 s and holds: rising whine in rushing air."""
    f0, rise = log_uniform(rng, 200, 1500), rng.uniform(0.3, 1.2)
    speed = 1 - 0.9 * decay(t, rise)
    whine = harmonics(t, f0 * speed, [1, 0.2, 0.5, 0.1, 0.3]) + rng.uniform(0.2, 0.6) * sloped_noise(
        rng, t, -2
    )
    return Sound(whine * speed, f0)


def cog_clatter(rng: Rng, t: Wave) -> Sound:
    """A ratchet wheel: equal hard clicks, 15 to 60 a second, that speed up and slow down and halt."""
    rate = log_uniform(rng, 15, 60)
    axis = moment(t, 0.02)
    click = modes(axis, rng.uniform(1200, 5500, size=5), 0.003, rng.uniform(0.3, 1, size=5))
    pace = rng.uniform(0.3, 0.7) + np.abs(wander(rng, t, 1.5))
    teeth = np.cumsum(pace * rate, dtype=np.float64) * float(t[1])
    starts = np.flatnonzero(np.diff(np.floor(teeth), prepend=-1.0)) * float(t[1])
    return Sound(place(t, starts, (click for _ in starts)), rate=rate)


def piston_puffs(rng: Rng, t: Wave) -> Sound:
    """A piston: a hiss of exhaust, then a clank half a stroke later, 1 to 5 strokes a second."""
    rate, centre = log_uniform(rng, 1, 5), log_uniform(rng, 1500, 5000)
    axis = moment(t, 0.5 / rate)
    clank = modes(axis, rng.uniform(200, 1500, size=4), 0.03, 1)

    def stroke(_: float) -> Wave:
        hiss = noise(rng, axis, centre, 0.9) * arch(axis)
        return np.concatenate([hiss, 0.6 * clank])

    return Sound(repeat(rng, t, rate, 0.03, stroke), rate=rate)


def stepper_moves(rng: Rng, t: Wave) -> Sound:
    """A stepping motor: buzzes of another pitch at each move, 60 to 500 Hz, 2 to 7 moves a second, with
    halts.
    """
    rate, low = log_uniform(rng, 2, 7), log_uniform(rng, 60, 160)
    speeds = low * 2 ** (rng.integers(0, 5, size=11) / 2)
    curve = steps(rng, t, speeds.tolist(), rate)
    on = steps(rng, t, (rng.random(11) < 0.8) | (np.arange(11) == 0), rate)
    return Sound(
        pulses(angle(t, curve), 8) * on * edges((t * rate) % 1, 0.03), float(np.median(speeds)), rate
    )


def relay_chatter(rng: Rng, t: Wave) -> Sound:
    """Contacts that open and close at random in bursts: double clicks of one small body, 4 to 14 a second."""
    rate, ring = log_uniform(rng, 4, 14), log_uniform(rng, 0.002, 0.006)
    axis, f = moment(t, 0.03), rng.uniform(1500, 6000, size=4)
    close, release = (modes(axis, f * r, ring, rng.uniform(0.3, 1, size=4)) for r in (1, 0.8))
    starts = np.round(poisson(rng, t, rate) * 40) / 40  # on a grid of 25 ms
    pairs = np.concatenate([starts, starts + 0.012])
    levels = np.repeat([1.0, 0.6], len(starts)).tolist()
    events = ((close if level == 1 else release) * level for level in levels)
    return Sound(place(t, pairs, events), rate=rate)


def loaded_grinder(rng: Rng, t: Wave) -> Sound:
    """A disc under changing load: a buzz of 80 to 300 Hz that sags by a fifth where its grating roars."""
    f0 = log_uniform(rng, 80, 300)
    load = np.clip(wander(rng, t, log_uniform(rng, 0.8, 3)), 0, 1)
    turn = angle(t, f0 * (1 - 0.25 * load))
    grate = noise(rng, t, log_uniform(rng, 1800, 5000), 0.8) * (0.15 + 2 * load) * (1 + 0.5 * np.sin(turn))
    return Sound(pulses(turn, rng.uniform(6, 12)) + grate, f0)


def humming_coils(rng: Rng, t: Wave) -> Sound:
    """A transformer: even harmonics of 50 or 60 Hz, each at a level of its own, and a plate that buzzes
    along.
    """
    f0 = 2 * float(rng.choice([50, 60])) * rng.uniform(0.99, 1.01)
    levels = slope(24, rng.uniform(3, 9)) * rng.uniform(0.1, 1, size=24)
    buzz = np.maximum(0, sine(t, f0)) ** 8 * noise(rng, t, log_uniform(rng, 800, 3000), 0.6)
    return Sound(harmonics(t, f0, levels) + rng.uniform(0.1, 0.8) * buzz, f0)


def stamping_press(rng: Rng, t: Wave) -> Sound:
    """A press: thud, ringing sheet and a blow of air, 0.6 to 2 strokes a second."""
    rate = log_uniform(rng, 0.6, 2)
    axis = moment(t, 0.6)
    thud = 3 * sine(axis, log_uniform(rng, 40, 120)) * decay(axis, 0.06)
    sheet = modes(axis, rng.uniform(600, 4500, size=8), rng.uniform(0.05, 0.2), rng.uniform(0.1, 0.5, size=8))
    air = noise(rng, axis, log_uniform(rng, 2500, 6000), 0.7) * arch(axis, 3)
    once = thud + sheet + rng.uniform(0.3, 1) * air
    return Sound(repeat(rng, t, rate, 0.02, lambda _: once), rate=rate)


def periodic_squeak(rng: Rng, t: Wave) -> Sound:
    """A dry bearing: one squeak of 1 to 4 kHz in each turn, 0.8 to 4 turns a second, over rolling noise."""
    rate, f0 = log_uniform(rng, 0.8, 4), log_uniform(rng, 1000, 4000)
    axis = moment(t, rng.uniform(0.15, 0.45) / rate)
    bend = 1 + rng.uniform(0.05, 0.3) * arch(axis)
    squeak = harmonics(axis, f0 * bend, [1, 0.4, 0.2]) * arch(axis)
    rolling = noise(rng, t, log_uniform(rng, 150, 500), 1) * (1 + 0.5 * sine(t, rate))
    return Sound(repeat(rng, t, rate, 0.02, lambda _: squeak) + 0.3 * rolling, f0, rate)


def unbalanced_drum(rng: Rng, t: Wave) -> Sound:
    """A heavy drum out of true: a rumble that lurches once a turn, 3 to 14 turns a second, and shakes its
    case.
    """
    rate = log_uniform(rng, 3, 14)
    lurch = np.maximum(0, sine(t, rate)) ** rng.uniform(2, 6)
    case = noise(rng, t, log_uniform(rng, 400, 1500), 0.5)
    return Sound(
        noise(rng, t, log_uniform(rng, 50, 120), 0.5) * (0.2 + lurch) + 0.7 * case * lurch, rate=rate
    )


def brushed_motor(rng: Rng, t: Wave) -> Sound:
    """A small motor in bursts: whine of 500 Hz to 2.5 kHz that runs up and down each time, with brush
    noise.
    """
    f0, rate = log_uniform(rng, 500, 2500), log_uniform(rng, 0.5, 2)
    length = rng.uniform(0.5, 0.85) / rate
    axis = moment(t, length)
    speed = (1 - decay(axis, 0.08)) * np.minimum(1, (axis[-1] - axis) / (0.25 * axis[-1]))
    whine = harmonics(axis, f0 * (0.02 + speed), [0.3, 1, 0.2, 0.5])
    burst = (whine + 0.4 * noise(rng, axis, 4000, 0.8)) * speed
    return Sound(repeat(rng, t, rate, 0.1, lambda _: burst), f0, rate)


def sorting_line(rng: Rng, t: Wave) -> Sound:
    """Parts that fall into trays: three bodies, each with modes of its own, in random order, 3 to 10 a
    second.
    """
    rate = log_uniform(rng, 3, 10)
    axis = moment(t, 0.25)
    bodies = [
        modes(axis, log_uniform(rng, 250, 1500) * rng.uniform(1, 4, size=5), log_uniform(rng, 0.01, 0.06), 1)
        for _ in range(3)
    ]
    starts = poisson(rng, t, rate)
    belt = noise(rng, t, 200, 0.8) * (1 + 0.4 * sine(t, log_uniform(rng, 4, 12)))
    return Sound(place(t, starts, some(rng, bodies, len(starts))) + 0.25 * belt, rate=rate)
