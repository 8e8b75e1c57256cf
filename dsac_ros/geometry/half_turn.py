# SPDX-License-Identifier: Apache-2.0
"""Rotation of images by 180 degrees for cameras mounted upside down, with camera and pose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dsac_ros.types import EQUIDISTANT, Camera, Frame

#: Transforms points of the camera frame to the frame of the camera of the upright image.
UPRIGHT_FROM_CAMERA = np.diag([-1.0, -1.0, 1.0, 1.0])
#: Brown-Conrady coefficients that belong to even functions of the image point: p, s, tau.
EVEN_TERMS = (2, 3, 8, 9, 10, 11, 12, 13)


def upright(frame: Frame) -> Frame:
    """Rotate the frame by 180 degrees about its optical axis, with its camera."""
    image, depth, mask = (
        None if one is None else np.ascontiguousarray(one[::-1, ::-1])
        for one in (frame.image, frame.depth, frame.mask)
    )
    assert image is not None
    return replace(
        frame,
        image=image,
        depth=depth,
        mask=mask,
        camera=upright_camera(frame.camera),
    )


def upright_camera(camera: Camera) -> Camera:
    """Return the camera of the image rotated by 180 degrees.

    Image points change sign. Radial distortion is odd in them and stays; tangential, prism and
    tilt terms are even and change sign.
    """
    width, height = camera.size_wh
    matrix = np.array(camera.matrix, dtype=np.float64)
    matrix[0, 2], matrix[1, 2] = width - 1 - matrix[0, 2], height - 1 - matrix[1, 2]
    distortion = camera.distortion
    if camera.model != EQUIDISTANT:
        distortion = tuple(
            -value if index in EVEN_TERMS else value for index, value in enumerate(distortion)
        )
    return replace(camera, matrix=matrix, distortion=distortion)
