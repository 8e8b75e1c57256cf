# SPDX-License-Identifier: Apache-2.0
"""Altered frames for the evaluation of a map: mirrored, zoomed, blurred, covered; no depth."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from dsac_ros.types import Frame

BLUR = 0.04  # motion blur, as a share of the image's width
GRAY = 100  # of what covers an image


def mirrored(frame: Frame) -> Frame:
    """Return the frame as a mirror shows it: a place that does not exist, by the same camera."""
    camera = frame.camera
    matrix = camera.matrix.copy()
    matrix[0, 2] = camera.size_wh[0] - 1 - matrix[0, 2]
    mask = None if frame.mask is None else frame.mask[:, ::-1]
    return replace(
        frame,
        image=np.ascontiguousarray(frame.image[:, ::-1]),
        mask=mask,
        depth=None,
        camera=replace(camera, matrix=matrix),
        name=f'mirrored {frame.name}',
    )


def zoomed(frame: Frame) -> Frame:
    """Return the middle half at twice the size, as a lens of twice the focal length sees it.

    Of as many pixels as the frame, but for an odd one.
    """
    width, height = (side // 2 for side in frame.camera.size_wh)
    left, top = ((side - half) // 2 for side, half in zip(frame.camera.size_wh, (width, height)))
    middle = np.s_[top : top + height, left : left + width]
    size_wh = (2 * width, 2 * height)
    # a pixel's centre is an integer, its corner half a pixel before
    scaled = np.array([[2.0, 0.0, 0.5 - 2 * left], [0.0, 2.0, 0.5 - 2 * top], [0.0, 0.0, 1.0]])
    mask = (
        None
        if frame.mask is None
        else cv2.resize(
            frame.mask[middle].astype(np.uint8), size_wh, interpolation=cv2.INTER_NEAREST
        )
        > 0
    )
    return replace(
        frame,
        image=cv2.resize(frame.image[middle], size_wh, interpolation=cv2.INTER_CUBIC),
        camera=replace(frame.camera, size_wh=size_wh, matrix=scaled @ frame.camera.matrix),
        depth=None,
        mask=mask,
    )


def blurred(frame: Frame) -> Frame:
    """Return the frame as a camera that turns to the side sees it."""
    side = max(3, round(BLUR * frame.image.shape[1]))
    return replace(
        frame, image=cv2.blur(frame.image, (side, 1)), depth=None, name=f'blurred {frame.name}'
    )


def covered(frame: Frame) -> Frame:
    """Return the frame with something gray before its right half."""
    image = frame.image.copy()
    image[:, image.shape[1] // 2 :] = GRAY
    return replace(frame, image=image, depth=None, name=f'covered {frame.name}')
