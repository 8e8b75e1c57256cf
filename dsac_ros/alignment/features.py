# SPDX-License-Identifier: Apache-2.0
"""Features that look the same from elsewhere: RootSIFT, matched where they stand out.

RootSIFT (Arandjelovic and Zisserman, CVPR 2012) and Lowe's ratio test (IJCV 2004).
"""
from __future__ import annotations

import cv2
import numpy as np

RATIO = 0.8  # of Lowe's test


def root_sift(image: np.ndarray, most: int,
              mask: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (K, 2) and unit descriptors (K, 128) float32 of an image's features.

    Of an image (H, W) uint8, at most so many, and only where a mask (H, W) bool is set.
    """
    sift = cv2.SIFT_create(most, contrastThreshold=0.02, enable_precise_upscale=True)
    found, descriptors = sift.detectAndCompute(image, None if mask is None
                                               else mask.astype(np.uint8))
    if not found:
        return np.zeros((0, 2)), np.zeros((0, 128), np.float32)
    descriptors /= descriptors.sum(1, keepdims=True) + 1e-7
    return np.array([k.pt for k in found], float), np.sqrt(descriptors)


def mutual(a: np.ndarray, b: np.ndarray, possible: np.ndarray | None = None,
           least_second: float = 0.0, ratio: float = RATIO) -> np.ndarray:
    """Index pairs (K, 2) of unit descriptors that are each other's nearest and stand out.

    Among the pairs that are `possible` (Na, Nb) bool: where the poses are known, a pattern that
    repeats itself hardly ever does so on the epipolar line. There a second candidate may be
    missing, and is taken to be as similar as `least_second`. ratio is that of Lowe's test.
    """
    if len(a) < 2 or len(b) < 2:
        return np.zeros((0, 2), int)
    similarity = a @ b.T
    if possible is not None:
        similarity = np.where(possible, similarity, np.float32(-1.0))
    rows, nearest = np.arange(len(a)), similarity.argmax(1)
    both = similarity.argmax(0)[nearest] == rows
    best = similarity[rows, nearest]
    similarity[rows, nearest] = -1.0
    second = np.maximum(similarity.max(1), least_second)
    good = both & (1.0 - best < ratio ** 2 * (1.0 - second))
    return np.stack([rows[good], nearest[good]], 1)
