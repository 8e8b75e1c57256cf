# SPDX-License-Identifier: Apache-2.0
"""Image retrieval by VLAD codes (Jegou et al., CVPR 2010) of RootSIFT descriptors.

Descriptors are reduced by PCA and residuals normalised word by word (Arandjelovic and Zisserman,
CVPR 2013); codes are kept in 8 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

WORDS, REDUCED = 64, 32
SAMPLE = 20000  # descriptors that the words are learned from
STEPS = 127 * 8  # of a code's component: each word's residual has the norm 1 / sqrt(WORDS)


@dataclass(frozen=True)
class Vlad:
    """A vocabulary and the codes of N images.

    basis (128, D) float16 reduces a descriptor, words (W, D) float16 are the vocabulary, codes
    (N, W D) int8.
    """

    basis: np.ndarray
    words: np.ndarray
    codes: np.ndarray

    @classmethod
    def learn(cls, descriptors: Sequence[np.ndarray]) -> Vlad:
        """Learn a vocabulary of all images' descriptors (K, 128) float32 and encode the images."""
        everything = np.concatenate(descriptors)
        rows = np.random.default_rng(1).permutation(len(everything))[:SAMPLE]
        sample = everything[rows]
        _, vectors = np.linalg.eigh(np.cov(sample, rowvar=False))
        basis = vectors[:, ::-1][:, :REDUCED].astype(np.float16)
        cv2.setRNGSeed(1)
        no_labels: Any = None  # OpenCV's types ask for an array
        _, _, words = cv2.kmeans(
            sample @ basis.astype(np.float32),
            min(WORDS, len(sample)),
            no_labels,
            (cv2.TERM_CRITERIA_MAX_ITER, 12, 0),
            1,
            cv2.KMEANS_PP_CENTERS,
        )
        empty = cls(basis, words.astype(np.float16), np.zeros((0, words.size), np.int8))
        codes = np.array([empty.encode(one) for one in descriptors])
        return cls(empty.basis, empty.words, np.round(STEPS * codes).astype(np.int8))

    def encode(self, descriptors: np.ndarray) -> np.ndarray:
        """The unit code (W D,) float32 of an image's descriptors (K, 128); zeros of none."""
        words = self.words.astype(np.float32)
        sums = np.zeros_like(words)
        if len(descriptors):
            reduced = descriptors @ self.basis.astype(np.float32)
            word = (reduced @ words.T - 0.5 * (words**2).sum(1)).argmax(1)
            np.add.at(sums, word, reduced)
            sums -= np.bincount(word, minlength=len(words))[:, None] * words
        sums /= np.linalg.norm(sums, axis=1, keepdims=True) + 1e-9
        return sums.ravel() / (np.linalg.norm(sums) + 1e-9)

    def similarity(self, descriptors: np.ndarray) -> np.ndarray:
        """Cosines (N,) between the codes of the images and of one with descriptors (K, 128)."""
        return np.asarray(self.codes.astype(np.float32) @ self.encode(descriptors)) / STEPS

    def nearest(self, descriptors: np.ndarray, count: int) -> np.ndarray:
        """Indices of the images most similar to one with these descriptors (K, 128)."""
        return np.argsort(-self.similarity(descriptors), kind='stable')[:count]
