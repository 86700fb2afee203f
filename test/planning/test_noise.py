"""Coloured noise has unit variance at every step, and the colour that was asked for."""

import numpy as np
import pytest

from jepa_ros.planning.noise import coloured_noise


@pytest.mark.parametrize("steps", [1, 2, 3, 20, 21])
@pytest.mark.parametrize("beta", [0.0, 1.0, 2.5])
def test_unit_variance_at_every_step(steps, beta):
    noise = coloured_noise(np.random.default_rng(0), 20000, steps, 2, beta)
    assert noise.shape == (20000, steps, 2)
    np.testing.assert_allclose(noise.var(axis=0), 1.0, atol=0.06)
    np.testing.assert_allclose(noise.mean(axis=0), 0.0, atol=0.04)


@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
def test_power_spectrum_falls_with_the_exponent(beta):
    noise = coloured_noise(np.random.default_rng(0), 4000, 64, 1, beta)[:, :, 0]
    power = np.mean(np.abs(np.fft.rfft(noise, axis=1)) ** 2, axis=0)[1:32]
    slope = np.polyfit(np.log(np.arange(1, 32)), np.log(power), 1)[0]
    assert slope == pytest.approx(-beta, abs=0.05)


def test_channels_are_independent():
    noise = coloured_noise(np.random.default_rng(0), 20000, 8, 2, 2.0)
    assert abs(np.mean(noise[:, :, 0] * noise[:, :, 1])) < 0.03
