"""The training half of data/dataset.cpp's synthetic images, drawn alike, for mmengine_twin.py.

Not in bench/peers/datasets.py: `bench --peers python` times loops on data that is read.
"""

import numpy as np
import torch

from datasets import MNIST, normalised


def twisted(high, low, far):
    word = (high & np.uint64(0xFFFFFFFF80000000)) | (low & np.uint64(0x7FFFFFFF))
    return far ^ (word >> np.uint64(1)) ^ ((word & np.uint64(1)) * np.uint64(0xB5026F5AA96619E9))


def mt19937_64(seed, count):
    """The first numbers of std::mt19937_64; numpy's own is the one of 32 bits."""
    size, half = 312, 156
    state = [seed]
    for i in range(1, size):
        mixed = 6364136223846793005 * (state[-1] ^ (state[-1] >> 62)) + i
        state.append(mixed & (2**64 - 1))
    old = np.array(state, np.uint64)
    blocks = np.empty((-(-count // size), size), np.uint64)
    for new in blocks:
        new[:half] = twisted(old[:half], old[1 : half + 1], old[half:])
        new[half:-1] = twisted(old[half:-1], old[half + 1 :], new[: half - 1])
        new[-1:] = twisted(old[-1:], new[:1], new[half - 1 : half])
        old = new
    words = blocks.reshape(-1)[:count]
    words ^= (words >> np.uint64(29)) & np.uint64(0x5555555555555555)
    words ^= (words << np.uint64(17)) & np.uint64(0x71D67FFFEDA60000)
    words ^= (words << np.uint64(37)) & np.uint64(0xFFF7EEE000000000)
    return words ^ (words >> np.uint64(43))


def synthetic(dtype):
    """Images [60000, 1, 28, 28] and labels."""
    classes, images, pixels = 10, 60000, 28 * 28
    words = mt19937_64(28, classes * pixels + images * (1 + pixels // 8))
    patterns = words[: classes * pixels].astype(np.uint8).reshape(classes, pixels)
    drawn = words[classes * pixels :].reshape(images, -1)  # of each its label, then its noise
    labels = (drawn[:, 0] % classes).astype(np.int64)
    noise = np.ascontiguousarray(drawn[:, 1:]).view(np.uint8)
    means = (patterns[labels].astype(np.uint16) + noise) >> 1
    return normalised(means.reshape(-1, 1, 28, 28), MNIST, dtype), torch.from_numpy(labels)
