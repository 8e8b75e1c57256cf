# SPDX-License-Identifier: Apache-2.0
"""Images from new viewpoints, told from those that nearly repeat one by how far corners moved.

Corners (Shi and Tomasi, CVPR 1994) of the last image from a new viewpoint are followed by optical
flow (Lucas and Kanade, pyramids of Bouguet), forward and backward (Kalal et al., ICPR 2010).
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

SHORT_SIDE = 160  # of the images that corners are followed in [px]
CORNERS = 100
APART = 6  # distance between corners [px]
WINDOW = (15, 15)  # that is followed about a corner [px]
LEVELS = 3
RETURN_PX = 1.0  # how far off a corner may come back
LOST = 0.5  # share of corners below which the images have nothing in common
MOVING = 0.75  # quantile of the motions: near things show parallax, most may be far
SHARE = 0.05  # of the short side: motion that makes a viewpoint new, ...
FRAMES = 240  # ... in a recording of so many frames; a shorter one may spend more on each
NONE: Any = None  # OpenCV's types ask for an array here, its functions do without


class ViewpointGate:
    """Judges images in the order in which they were taken."""

    def __init__(self, total: int = FRAMES) -> None:
        """Takes the number of images to come, about."""
        self._share = SHARE * min(1.0, total / FRAMES)
        self._last: np.ndarray | None = None
        self._corners: np.ndarray | None = None

    def is_new(self, image: np.ndarray, mask: np.ndarray | None = None) -> bool:
        """Tell whether a gray image (H, W) uint8 moved on since the last from a new viewpoint.

        It did where most corners are lost, too. Only where a mask (H, W) bool is set are corners
        followed.
        """
        scale = min(1.0, SHORT_SIDE / min(image.shape))
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        if self._moved(small) < self._share * min(small.shape):
            return False
        shown = (
            None
            if mask is None
            else cv2.resize(
                mask.astype(np.uint8), small.shape[::-1], interpolation=cv2.INTER_NEAREST
            )
        )
        self._last = small
        self._corners = cv2.goodFeaturesToTrack(small, CORNERS, 0.01, APART, mask=shown)
        return True

    def _moved(self, image: np.ndarray) -> float:
        """Return the motion of the corners found again [px]; infinite where most were not."""
        before = self._last
        if self._corners is None or before is None or before.shape != image.shape:
            return np.inf
        there, found, _ = cv2.calcOpticalFlowPyrLK(
            before, image, self._corners, NONE, winSize=WINDOW, maxLevel=LEVELS
        )
        back, returned, _ = cv2.calcOpticalFlowPyrLK(
            image, before, there, NONE, winSize=WINDOW, maxLevel=LEVELS
        )
        sure = (found.ravel() > 0) & (returned.ravel() > 0)
        sure &= np.abs(back - self._corners).max((1, 2)) < RETURN_PX
        if sure.mean() < LOST:
            return np.inf
        return float(np.quantile(np.linalg.norm((there - self._corners)[sure, 0], axis=1), MOVING))
