# SPDX-License-Identifier: Apache-2.0
"""Markers for RViz and Foxglove: cameras as frustums, a covariance as an ellipsoid.

Pure functions; all markers are in the map frame. A frustum is a pyramid of lines from the optical
centre, with a triangle on its upper edge.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker

from dsac_ros.nodes.conversions import SECOND_NS, duration_message, pose_message

ACCEPTED_RGBA, REFUSED_RGBA = (0.1, 0.85, 0.3, 1.0), (0.95, 0.2, 0.15, 1.0)
ELLIPSOID_RGBA, REFERENCE_RGBA = (0.6, 0.4, 0.9, 0.35), (0.3, 0.55, 0.95, 0.6)
#: Time for which the best guess of a refused image is shown [s].
REFUSED_S = 1.0
SIGMAS = 2.0
#: Width of lines as a share of the frustum's length, and the smallest axis of an ellipsoid [m]:
#: RViz does not draw a flat one.
LINE_WIDTH, LEAST_AXIS_M = 0.03, 1e-3


def frustum_lines(matrix: np.ndarray, size_wh: tuple[int, int], length: float) -> np.ndarray:
    """Return the ends (M, 2, 3) of the lines of a frustum in the optical camera frame [m].

    Args:
        matrix: (3, 3) intrinsics [px].
        size_wh: of the image [px].
        length: of the frustum along the optical axis [m].
    """
    width, height = size_wh
    pixels = [(0, 0), (width, 0), (width, height), (0, height), (0.35 * width, 0)]
    pixels += [(0.65 * width, 0), (0.5 * width, -0.25 * height)]
    homogeneous = np.column_stack([np.array(pixels) - 0.5, np.ones(len(pixels))])
    points = length * homogeneous @ np.linalg.inv(matrix).T
    corners, left, right, tip = points[:4], points[4], points[5], points[6]
    centre = np.zeros(3)
    return np.array(
        [
            *((centre, corner) for corner in corners),
            *zip(corners, np.roll(corners, -1, axis=0)),
            (left, tip),
            (tip, right),
        ]
    )


def camera_marker(
    head: Header, map_from_camera: np.ndarray, lines: np.ndarray, accepted: bool, camera: str
) -> Marker:
    """Return the frustum of a camera: green at an accepted pose, red and brief at a guess.

    Args:
        head: map frame and stamp of the image.
        map_from_camera: (4, 4).
        lines: of `frustum_lines`.
        accepted: the pose is trusted.
        camera: name of the camera, part of the namespace.
    """
    marker = line_marker(head, lines, ACCEPTED_RGBA if accepted else REFUSED_RGBA)
    marker.ns = f'{"camera" if accepted else "refused"} {camera}'.strip()
    marker.pose = pose_message(map_from_camera)
    if not accepted:
        marker.lifetime = duration_message(int(REFUSED_S * SECOND_NS))
    return marker


def covariance_marker(head: Header, map_from_base: np.ndarray, covariance: np.ndarray) -> Marker:
    """Return the ellipsoid of 2 sigma about a position.

    Args:
        head: map frame and stamp of the image.
        map_from_base: (4, 4).
        covariance: (6, 6), position first, in the axes of the map.
    """
    variances, axes = np.linalg.eigh(covariance[:3, :3])
    if np.linalg.det(axes) < 0:
        axes[:, 0] *= -1  # a rotation, not a reflection
    map_from_ellipsoid = np.eye(4)
    map_from_ellipsoid[:3, :3], map_from_ellipsoid[:3, 3] = axes, map_from_base[:3, 3]
    marker = Marker(
        header=head, ns='covariance', type=Marker.SPHERE, color=_colour(ELLIPSOID_RGBA)
    )
    marker.pose = pose_message(map_from_ellipsoid)
    diameters = 2 * SIGMAS * np.sqrt(np.maximum(variances, 0))
    marker.scale.x, marker.scale.y, marker.scale.z = (
        max(LEAST_AXIS_M, float(diameter)) for diameter in diameters
    )
    return marker


def reference_marker(
    head: Header, map_from_cameras: Sequence[np.ndarray], lines: Sequence[np.ndarray]
) -> Marker:
    """Return the frustums of all reference images as one marker; one that deletes it of none.

    Args:
        head: map frame.
        map_from_cameras: poses (4, 4).
        lines: of `frustum_lines`, for each of them.
    """
    if not map_from_cameras:
        return Marker(header=head, ns='reference views', action=Marker.DELETE)
    placed = [ends @ pose[:3, :3].T + pose[:3, 3] for pose, ends in zip(map_from_cameras, lines)]
    marker = line_marker(head, np.concatenate(placed), REFERENCE_RGBA)
    marker.ns = 'reference views'
    marker.scale.x = LINE_WIDTH * float(np.ptp(lines[0][..., 2]))
    return marker


def line_marker(head: Header, lines: np.ndarray, rgba: tuple[float, ...]) -> Marker:
    """Return a LINE_LIST of lines (M, 2, 3) [m]."""
    marker = Marker(header=head, type=Marker.LINE_LIST, color=_colour(rgba))
    marker.points = [Point(x=x, y=y, z=z) for x, y, z in lines.reshape(-1, 3).tolist()]
    marker.scale.x = LINE_WIDTH * float(np.ptp(lines[..., 2]))
    return marker


def distinct(poses: Sequence[np.ndarray], limit_m: float, limit_rad: float) -> list[np.ndarray]:
    """Return the poses (4, 4) in order, without those within both limits of an earlier one."""
    kept: list[np.ndarray] = []
    for pose in poses:
        if not any(is_near(pose, other, limit_m, limit_rad) for other in kept):
            kept.append(pose)
    return kept


def is_near(a: np.ndarray, b: np.ndarray, limit_m: float, limit_rad: float) -> bool:
    """Return True if two poses (4, 4) differ by less than a distance and an angle."""
    cosine = (float(np.trace(a[:3, :3].T @ b[:3, :3])) - 1) / 2
    angle = math.acos(min(1.0, max(-1.0, cosine)))
    return bool(np.linalg.norm(a[:3, 3] - b[:3, 3]) < limit_m and angle < limit_rad)


def _colour(rgba: tuple[float, ...]) -> ColorRGBA:
    red, green, blue, alpha = rgba
    return ColorRGBA(r=red, g=green, b=blue, a=alpha)
