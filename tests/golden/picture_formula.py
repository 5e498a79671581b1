"""The test picture: a ramp with noise and hard edges, each pixel from its coordinates alone, so that no input has to be stored."""
import numpy as np


def mix64(x):
    x = (x + 0x9E3779B97F4A7C15) % 2**64
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) % 2**64
    return x ^ (x >> 31)


def pixel(r, c, channel):
    noise = mix64((r * 4096 + c) * 4 + channel) % 64
    edge = 128 if (r // 9 + c // 7 + channel) % 2 else 0
    return (edge + noise + (3 * r + 2 * c) % 64) % 256


def picture(height, width, channels):
    values = [[[pixel(r, c, k) for k in range(channels)] for c in range(width)] for r in range(height)]
    array = np.array(values, np.uint8)
    return array[:, :, 0] if channels == 1 else array
