# SPDX-License-Identifier: Apache-2.0
"""A camera that hangs upside down: its image turned upright, and the way back for the pose."""
from __future__ import annotations

from dataclasses import replace

import numpy as np

from dsac_ros.types import EQUIDISTANT, Camera, Frame

#: Takes points of the camera frame to those of the camera that would have taken the upright image.
UPRIGHT_FROM_CAMERA = np.diag([-1.0, -1.0, 1.0, 1.0])
#: Brown-Conrady coefficients that belong to even functions of the image point: p, s, tau.
EVEN_TERMS = (2, 3, 8, 9, 10, 11, 12, 13)


def upright(frame: Frame) -> Frame:
    """The frame turned by 180 degrees about its optical axis, with the camera that fits it."""
    depth = None if frame.depth is None else np.ascontiguousarray(frame.depth[::-1, ::-1])
    return replace(frame, image=np.ascontiguousarray(frame.image[::-1, ::-1]), depth=depth,
                   camera=upright_camera(frame.camera))


def upright_camera(camera: Camera) -> Camera:
    """The camera whose image is the given one's, turned by 180 degrees.

    Image points change their sign. Radial distortion is odd in them and stays; tangential, prism
    and tilt terms are even and change theirs.
    """
    width, height = camera.size_wh
    matrix = np.array(camera.matrix, dtype=np.float64)
    matrix[0, 2], matrix[1, 2] = width - 1 - matrix[0, 2], height - 1 - matrix[1, 2]
    distortion = camera.distortion
    if camera.model != EQUIDISTANT:
        distortion = tuple(-value if index in EVEN_TERMS else value
                           for index, value in enumerate(distortion))
    return replace(camera, matrix=matrix, distortion=distortion)
