# SPDX-License-Identifier: Apache-2.0
"""Images without the pixels that a mask leaves out."""

from __future__ import annotations

import functools
from dataclasses import replace

import cv2
import numpy as np

from dsac_ros.geometry.camera import check_image_matches
from dsac_ros.types import Frame

MAX_MASKS = 8  # masks whose nearest pixels are kept: one for each camera


def without_masked_pixels(frame: Frame) -> Frame:
    """Return the frame with the nearest unmasked pixel in place of each that its mask leaves out.

    What comes of the frame then does not depend on what stood there: the receptive field of the
    network, descriptors and templates reach beyond the pixels that are used themselves. The border
    of the mask becomes no edge.
    """
    mask = frame.mask
    if mask is None:
        return frame
    check_image_matches(frame.camera, mask)
    if mask.all() or not mask.any():
        return frame
    return replace(frame, image=filled(frame.image, mask))


def filled(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return a copy of an image (H, W) or (H, W, 3) uint8, filled where the mask is False."""
    outside, nearest = _nearest_unmasked(np.packbits(mask).tobytes(), mask.shape)
    result = image.copy()
    pixels = result.reshape(-1, *image.shape[2:])
    pixels[outside] = pixels[nearest]
    return np.asarray(result)


@functools.lru_cache(maxsize=MAX_MASKS)
def _nearest_unmasked(bits: bytes, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the flat indices (N,) of masked pixels, and of the unmasked one nearest to each."""
    count = shape[0] * shape[1]
    mask = np.unpackbits(np.frombuffer(bits, np.uint8), count=count).reshape(shape)
    _, labels = cv2.distanceTransformWithLabels(
        1 - mask, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    labels, inside = labels.reshape(-1), np.flatnonzero(mask)
    source = np.zeros(int(labels.max()) + 1, np.int64)
    source[labels[inside]] = inside
    outside = np.flatnonzero(mask.reshape(-1) == 0)
    return outside, source[labels[outside]]
