"""The integer-hash weights of tests/support/hash_weights.h in Python: same names, same formulas, same bits. Change both or neither."""
import math

import numpy as np

U64 = (1 << 64) - 1


def mix64(x):
    """splitmix64's finaliser on a numpy array of uint64 (wrapping arithmetic)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def mix64_scalar(x):
    return int(mix64(np.array([x & U64], np.uint64))[0])


def hash_name(name):
    h = 0xCBF29CE484222325
    for c in name.encode():
        h = ((h ^ c) * 0x100000001B3) & U64
    return h


def counters(key, count):
    return np.arange(count, dtype=np.uint64) + np.uint64(key)


def hash_integers(key, count):
    """Odd integers in [-4095, 4095]."""
    return 2 * (mix64(counters(key, count)) >> np.uint64(52)).astype(np.int64) - 4095


def hash_tensor(name, shape, depth):
    """The float64 values of torchvision's tensor `name` of resnet<depth>, in this shape."""
    last_norm = 'bn3' if depth >= 50 else 'bn2'
    offset, spread = 0, 0
    if len(shape) > 1:
        fan, gain = math.prod(shape[1:]), 2 if len(shape) == 4 else 1
        spread = math.isqrt(gain * 3 * (1 << 24) // fan)
    elif name.endswith(last_norm + '.weight'):
        offset, spread = 768, 256
    elif name.endswith('running_var'):
        offset, spread = 4096, 2048
    elif name.endswith('running_mean') or name.endswith('.bias'):
        spread = 1024
    else:
        offset, spread = 4096, 1024
    integers = offset * 4096 + hash_integers(hash_name(name), math.prod(shape)) * spread
    return np.ldexp(integers.astype(np.float64), -24).reshape(shape)


def hash_images(seed, count, size):
    key = mix64_scalar(hash_name('images') + seed)
    return np.ldexp(hash_integers(key, count * 3 * size * size).astype(np.float64), -11).reshape(count, 3, size, size)


def hash_labels(seed, count, classes):
    key = mix64_scalar(hash_name('labels') + seed)
    return (mix64(counters(key, count)) % np.uint64(classes)).astype(np.int64)


def checksum(values):
    flat = np.ascontiguousarray(values, np.float64).reshape(-1)
    return int(mix64(flat.view(np.uint64) ^ mix64(counters(0, flat.size))).sum(dtype=np.uint64))


def digest(name, values):
    """sum, L2 norm, hash-signed projection and eight hash-chosen elements."""
    flat = np.asarray(values, np.float64).reshape(-1)
    key = hash_name(name)
    signs = np.where(mix64(counters(key, flat.size)) >> np.uint64(63), -1.0, 1.0)
    chosen = mix64(counters(mix64_scalar(key), 8)) % np.uint64(flat.size)
    return [math.fsum(flat), math.sqrt(math.fsum(flat * flat)), math.fsum(flat * signs), *flat[chosen.astype(np.int64)]]
