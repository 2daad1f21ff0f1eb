"""The blocks do what their numbers say: pitch, decay, slope, events and precision."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petl_ast.data.sounds import blocks
from petl_ast.data.sounds.clips import time_axis

RATE = 16_000
T = time_axis(2.0, RATE)


def loudest(x: np.ndarray) -> float:
    """Frequency of the strongest line, Hz, to within 1 / 2 s."""
    return float(np.argmax(np.abs(np.fft.rfft(x))) * RATE / len(x))


@given(st.floats(20, 7900))
@settings(max_examples=50, deadline=None)
def test_an_oscillator_keeps_its_frequency(frequency):
    assert abs(loudest(blocks.sine(T, frequency)) - frequency) <= 0.5
    assert abs(loudest(blocks.sine(T, np.full(len(T), frequency))) - frequency) <= 0.5


def test_the_phase_is_exact_after_a_minute():
    t = time_axis(60.0, RATE)
    expected = np.sin(2 * np.pi * 3000 * np.arange(len(t)) * float(t[1]))
    assert np.abs(blocks.sine(t, 3000.0) - expected).max() < 1e-3


def test_frequencies_beyond_half_the_rate_are_cut_not_wrapped():
    assert loudest(blocks.sine(T, 20_000.0)) > 7990


def test_harmonics_that_would_alias_are_left_out():
    spectrum = np.abs(np.fft.rfft(blocks.harmonics(T, 3000.0, [1, 1, 1, 1])))
    assert loudest(blocks.harmonics(T, 3000.0, [0.1, 1, 1, 1])) == 6000
    others = np.delete(spectrum, [6000, 12000])  # bins of 0.5 Hz: 3 and 6 kHz
    assert others.max() < 1e-2 * spectrum.max()


@pytest.mark.parametrize("slope", [-6.0, 0.0, 4.0])
def test_sloped_noise_rises_by_that_many_decibels_an_octave(slope):
    x = blocks.sloped_noise(np.random.default_rng(0), time_axis(5.0, RATE), slope)
    power = np.abs(np.fft.rfft(x)) ** 2
    bands = [power[int(5 * f) : int(10 * f)].mean() for f in (250, 500, 1000, 2000)]  # an octave each
    assert np.diff(10 * np.log10(bands)) == pytest.approx([slope] * 3, abs=0.7)


@given(st.integers(0, 10_000), st.floats(0.5, 30))
@settings(max_examples=30, deadline=None)
def test_a_wandering_curve_stays_within_its_bounds(seed, rate):
    x = blocks.wander(np.random.default_rng(seed), T, rate)
    assert np.abs(x).max() <= 1
    assert x.std() > 0


def test_a_mode_falls_to_a_part_in_e():
    ring = blocks.modes(T, 500.0, 0.1, 1.0)
    early, late = (np.abs(ring[int(s * RATE) :][:200]).max() for s in (0.1, 0.2))
    assert late / early == pytest.approx(np.exp(-1), abs=0.02)


def test_events_come_at_their_rate_and_from_the_start():
    x = blocks.repeat(np.random.default_rng(0), T, 10, 0.2, lambda _: np.ones(1, np.float32))
    assert x[0] == 1
    assert 18 <= x.sum() <= 22
    starts = blocks.poisson(np.random.default_rng(0), time_axis(50.0, RATE), 20)
    assert starts[0] == 0
    assert len(starts) == pytest.approx(1000, rel=0.1)


def test_what_lies_behind_the_end_is_cut():
    x = blocks.place(T, [1.9999, 5.0], [np.ones(100, np.float32)] * 2)
    assert 0 < x.sum() <= 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks_answer_in_the_precision_of_the_axis(dtype):
    rng, t = np.random.default_rng(0), T.astype(dtype)
    made = (
        blocks.noise(rng, t, 500, 1),
        blocks.wander(rng, t, 3),
        blocks.pulses(blocks.angle(t, 100.0), 3),
        blocks.sine(t, 100.0),
        blocks.modes(t, [100.0, 200.0], 0.1, 1),
        blocks.repeat(rng, t, 4, 0, lambda _: t[:100]),
    )
    assert [x.dtype for x in made] == [dtype] * len(made)
