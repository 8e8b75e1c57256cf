# SPDX-License-Identifier: Apache-2.0
"""Local features: RootSIFT, matched by mutual nearest neighbours with a ratio test.

RootSIFT (Arandjelovic and Zisserman, CVPR 2012) and Lowe's ratio test (IJCV 2004).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from dsac_ros.compute.frame_cache import FrameCache
from dsac_ros.geometry.resample import Resampler, to_gray
from dsac_ros.types import Frame

RATIO = 0.8  # of Lowe's test
LONGEST = 1280  # long side of the images that features are found in, at most [px]
MOST = 3000  # features of an image
UNIT = 512.0  # a quantised descriptor's length; hardly a component of RootSIFT is above a half


@dataclass(frozen=True)
class Features:
    """Features of an image, strongest first: pixels (K, 2) and quantised descriptors (K, 128)."""

    pixels: np.ndarray
    descriptors: np.ndarray

    def __len__(self) -> int:
        """Number of features."""
        return len(self.pixels)

    def first(self, count: int) -> Features:
        """Select the strongest."""
        return Features(self.pixels[:count], self.descriptors[:count])


def quantised(descriptors: np.ndarray) -> np.ndarray:
    """Quantise unit descriptors (K, 128) to uint8."""
    return np.clip(np.round(UNIT * descriptors), 0, 255).astype(np.uint8)


def unit(descriptors: np.ndarray) -> np.ndarray:
    """Convert quantised descriptors (K, 128) to float32 of unit length."""
    values = descriptors.astype(np.float32)
    length = np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1.0)
    return np.asarray(values / length)


def root_sift(
    image: np.ndarray, most: int, mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Detect and describe features: pixels (K, 2), unit descriptors (K, 128), strongest first.

    At most so many in an image (H, W) uint8, and only where a mask (H, W) bool is set.
    """
    sift = cv2.SIFT.create(most, contrastThreshold=0.02, enable_precise_upscale=True)
    found, descriptors = sift.detectAndCompute(
        image, None if mask is None else mask.astype(np.uint8)
    )
    if not found:
        return np.zeros((0, 2)), np.zeros((0, 128), np.float32)
    order = np.argsort([-k.response for k in found], kind='stable')
    descriptors = descriptors[order]
    descriptors /= descriptors.sum(1, keepdims=True) + 1e-7
    return np.array([k.pt for k in found], float)[order], np.sqrt(descriptors)


def features_of_frame(frame: Frame, resampler: Resampler, matrix: np.ndarray) -> Features:
    """Detect features of a frame, in the pixels of the ideal pinhole `matrix` (3, 3).

    That pinhole and the resampler's look where the camera looks: a point moves by the ratio of
    their focal lengths about the principal point.
    """
    pixels, descriptors = root_sift(
        resampler(to_gray(frame.image)), MOST, resampler.valid_mask(frame.mask)
    )
    ratio = matrix[0, 0] / resampler.matrix[0, 0]
    return Features(
        (pixels - resampler.matrix[:2, 2]) * ratio + matrix[:2, 2], quantised(descriptors)
    )


def shared_features(
    frame: Frame, resampler: Resampler, matrix: np.ndarray, cache: FrameCache
) -> Features:
    """Return `features_of_frame`, which the cache of the frame keeps for other maps."""
    return cache.get(
        ('features', matrix.tobytes()), lambda: features_of_frame(frame, resampler, matrix)
    )


def mutual(a: np.ndarray, b: np.ndarray, ratio: float = RATIO) -> np.ndarray:
    """Match unit descriptors (N, C) and (M, C); return index pairs (K, 2).

    Pairs are mutual nearest neighbours that pass Lowe's test with this ratio.
    """
    if len(a) < 2 or len(b) < 2:
        return np.zeros((0, 2), int)
    # torch: its maxima along rows take a tenth of numpy's
    similarity = torch.from_numpy(a) @ torch.from_numpy(b).T
    best, nearest = similarity.max(1)
    both = similarity.max(0).indices[nearest] == torch.arange(len(a))
    second = similarity.scatter_(1, nearest[:, None], -1.0).amax(1)
    good = both & (1.0 - best < ratio**2 * (1.0 - second))
    return torch.stack([good.nonzero()[:, 0], nearest[good]], 1).numpy()
