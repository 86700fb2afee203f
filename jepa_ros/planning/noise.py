"""Coloured noise along the horizon.

Power-law noise by spectral shaping (Timmer and Koenig, "On generating power law noise", 1995), as used for
sampling action sequences in iCEM (Pinneri et al., "Sample-efficient Cross-Entropy Method for Real-time
Planning", 2020).
"""

import numpy as np


def coloured_noise(rng: np.random.Generator, samples: int, steps: int, width: int, beta: float) -> np.ndarray:
    """Gaussian noise (samples, steps, width), unit variance, power spectrum 1 / f**beta along ``steps``.

    beta 0 is white noise, 1 pink, 2 Brownian; channels of ``width`` are independent.
    """
    if beta == 0 or steps == 1:
        return rng.standard_normal((samples, steps, width))
    frequency = np.fft.rfftfreq(steps)
    frequency[0] = frequency[1]  # the mean over the horizon has the power of the slowest wave
    amplitude = frequency ** (-beta / 2)
    real, imaginary = rng.standard_normal((2, samples, width, len(frequency)))
    # Bins without a phase (the mean, and the last one for an even length) are real and carry the same power.
    imaginary[..., 0] = 0
    real[..., 0] *= np.sqrt(2)
    if steps % 2 == 0:
        imaginary[..., -1] = 0
        real[..., -1] *= np.sqrt(2)
    weight = np.where((np.arange(len(frequency)) == 0) | ((steps % 2 == 0) & (frequency == 0.5)), 1.0, 2.0)
    variance = 2 * np.sum(weight * amplitude**2) / steps**2
    signal = np.fft.irfft((real + 1j * imaginary) * (amplitude / np.sqrt(variance)), n=steps, axis=-1)
    return signal.transpose(0, 2, 1)
