# SPDX-License-Identifier: Apache-2.0
"""Feature index: votes of an image's local features for the maps whose points they look like.

Hamming embedding (Jegou, Douze and Schmid, ECCV 2008): a point is the nearest word of a vocabulary
and one bit for each dimension, on which side of that word its descriptor lies: 9 bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dsac_ros.map_set.vocabulary import Vocabulary

VOTERS = 400  # strongest features of an image that vote
# Bits that differ at which a vote is worth 1/e: points of other places differ in 20 or more of 64.
SCALE_BITS = 7.7
_BITS_SET = np.array([bin(one).count('1') for one in range(1 << 16)], np.uint8)


@dataclass(frozen=True)
class Signatures:
    """Words (P,) uint8 and signatures (P,) uint64 of features or points."""

    words: np.ndarray
    bits: np.ndarray

    def __len__(self) -> int:
        """Number of features."""
        return len(self.words)

    @classmethod
    def of(cls, descriptors: np.ndarray, vocabulary: Vocabulary) -> Signatures:
        """Return the signatures of unit descriptors (P, 128)."""
        reduced, word = vocabulary.reduce(torch.from_numpy(descriptors))
        bits = np.packbits((reduced > vocabulary.words[word]).numpy(), axis=1)
        return cls(word.numpy().astype(np.uint8), np.ascontiguousarray(bits).view('<u8').ravel())

    @classmethod
    def none(cls) -> Signatures:
        """Return the signatures of a map without points."""
        return cls(np.zeros(0, np.uint8), np.zeros(0, '<u8'))


class FeatureIndex:
    """Inverted file over the points of all maps of a set."""

    def __init__(self, maps: Sequence[Signatures]) -> None:
        """Take the points of each map."""
        words = np.concatenate([one.words for one in maps])
        owner = np.repeat(np.arange(len(maps)), [len(one) for one in maps])
        order = np.lexsort((owner, words))
        self.count = len(maps)
        self._bits = np.concatenate([one.bits for one in maps])[order]
        self._owner = owner[order]
        self._starts = np.searchsorted(words[order], np.arange(257))

    def votes(self, features: Signatures) -> np.ndarray:
        """Return the votes (M,) of features for the maps.

        A feature votes for each map by the one of its points that is most similar.
        """
        total = np.zeros(self.count)
        for word in np.unique(features.words).tolist():
            first, last = self._starts[word], self._starts[word + 1]
            if first == last:
                continue
            mine = features.bits[features.words == word]
            differing = hamming(mine[:, None], self._bits[first:last][None])
            owner = self._owner[first:last]
            begins = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])
            nearest = np.minimum.reduceat(differing, begins, axis=1)
            total[owner[begins]] += np.exp(-((nearest / SCALE_BITS) ** 2)).sum(0)
        return total


def hamming(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the number of bits in which arrays of uint64 differ, broadcast, as uint8."""
    differing = np.ascontiguousarray(a ^ b)
    parts = differing.view(np.uint16).reshape(*differing.shape, 4)
    return np.asarray(_BITS_SET[parts].sum(-1, dtype=np.uint8))
