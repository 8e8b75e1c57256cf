# SPDX-License-Identifier: Apache-2.0
"""RVL, the run-length code of depth images.

Wilson, Fast Lossless Depth Image Compression, ISS 2017. The stream is made of 32-bit words whose
nibbles, the highest first, hold numbers in groups of three bits, the lowest group first; the
fourth bit says that another group follows. It reads: how many zeros, how many values, then for
every value the difference from the one before it, in zigzag (0, -1, 1, -2, 2 ...).
"""

from __future__ import annotations

import numpy as np

from dsac_ros.errors import ImageError

MAX_GROUPS = 11  # of three bits: numbers of 32 bits


def decode_rvl(data: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """Values (H, W) uint16 of the bytes (N,) of a stream."""
    count = size_wh[0] * size_wh[1]
    numbers = _numbers(data)
    is_difference = np.ones(len(numbers), dtype=bool)
    has_value = np.zeros(count, dtype=bool)
    at, pixel = 0, 0
    while pixel < count:
        if at + 2 > len(numbers):
            raise ImageError('RVL depth ends early: the message was cut short')
        zeros, values = int(numbers[at]), int(numbers[at + 1])
        is_difference[at : at + 2] = False
        first = pixel + zeros
        pixel = first + values
        at += 2 + values
        if pixel > count or zeros + values == 0:
            raise ImageError('RVL depth has runs that do not fit its size: the message is broken')
        has_value[first:pixel] = True
    if at > len(numbers):
        raise ImageError('RVL depth ends early: the message was cut short')
    zigzag = numbers[:at][is_difference[:at]]
    found = np.zeros(count, dtype=np.uint16)
    found[has_value] = np.cumsum((zigzag >> 1) ^ -(zigzag & 1)).astype(np.uint16)
    return found.reshape(size_wh[1], size_wh[0])


def _numbers(data: np.ndarray) -> np.ndarray:
    """All numbers of a stream, int64; the padding of the last word adds zeros."""
    words = data[: data.size // 4 * 4].view('<u4')
    octets = words.astype('>u4').view(np.uint8)
    nibbles = np.stack([octets >> 4, octets & 15], axis=1).reshape(-1)
    ends = np.flatnonzero(nibbles < 8)
    if not len(ends):
        return np.zeros(0, dtype=np.int64)
    nibbles = nibbles[: ends[-1] + 1]
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends + 1 - starts
    if lengths.max() > MAX_GROUPS:
        raise ImageError('RVL depth holds a number of more than 32 bits: the message is broken')
    place = np.arange(len(nibbles)) - np.repeat(starts, lengths)
    return np.add.reduceat((nibbles & 7).astype(np.int64) << (3 * place), starts)
