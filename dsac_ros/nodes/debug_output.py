# SPDX-License-Identifier: Apache-2.0
"""Visualisation of the network's scene coordinates for RViz, computed only for subscribers."""

from __future__ import annotations

import time

import cv2
import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, PointCloud2, PointField
from sensor_msgs_py import point_cloud2

from dsac_ros.geometry.camera import project
from dsac_ros.nodes import conversions
from dsac_ros.nodes.relocalization import NodeOutput
from dsac_ros.types import Frame, SceneCoordinates

LOOSE = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
INLIER_RGB, OUTLIER_RGB = (60, 220, 90), (230, 60, 60)
FIELDS = [
    PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
    for index, name in enumerate(('x', 'y', 'z', 'rgb', 'sigma', 'inlier'))
]


class DebugOutput:
    """Publisher of ~/debug/scene_points and ~/debug/image."""

    def __init__(self, node: Node, map_frame: str) -> None:
        self._node, self._map_frame = node, map_frame
        self._points = node.create_publisher(PointCloud2, '~/debug/scene_points', LOOSE)
        self._image = node.create_publisher(Image, '~/debug/image', LOOSE)
        self._last = 0.0

    def close(self) -> None:
        """Destroy the publishers."""
        self._node.destroy_publisher(self._points)
        self._node.destroy_publisher(self._image)

    def publish(self, output: NodeOutput, map_from_scene: np.ndarray, rate: float) -> None:
        """Publish if there are subscribers.

        Args:
            output: result of an image.
            map_from_scene: (4, 4), transforms the network's points to the map frame.
            rate: maximum rate [Hz].
        """
        view = output.view
        if view is None or view.trace.correspondences is None or view.trace.estimate is None:
            return
        wants_points = self._points.get_subscription_count() > 0
        wants_image = self._image.get_subscription_count() > 0
        now = time.monotonic()
        if not (wants_points or wants_image) or now - self._last < 1.0 / rate:
            return
        self._last = now
        frame, scene, estimate = view.frame, view.trace.correspondences, view.trace.estimate
        pixels = image_pixels(frame, scene)
        inliers = estimate.inliers[0].cpu().numpy()
        if wants_points:
            head = conversions.header(output.map_frame or self._map_frame, output.stamp)
            self._points.publish(
                point_cloud2.create_cloud(
                    head, FIELDS, point_cloud(frame, scene, inliers, pixels, map_from_scene)
                )
            )
        if wants_image:
            head = conversions.header(output.camera_frame, output.stamp)
            self._image.publish(
                conversions.image_message(draw_cells(frame, scene, inliers, pixels), head)
            )


def image_pixels(frame: Frame, scene: SceneCoordinates) -> np.ndarray:
    """Return the cell centres in the frame's own image (N, 2) [px]; NaN outside the lens model."""
    matrix = scene.matrices[0].cpu().double().numpy()
    pixels = scene.pixels[0].cpu().double().numpy()
    rays = (np.column_stack([pixels, np.ones(len(pixels))])) @ np.linalg.inv(matrix).T
    return project(frame.camera, rays)


def point_cloud(
    frame: Frame,
    scene: SceneCoordinates,
    inliers: np.ndarray,
    pixels: np.ndarray,
    map_from_scene: np.ndarray,
) -> np.ndarray:
    """Return a structured array of the valid cells' points in the map, with image colours."""
    height, width = frame.image.shape[:2]
    valid = scene.valid[0].cpu().numpy() & np.isfinite(pixels).all(axis=1)
    u, v = (
        np.clip(np.rint(pixels[valid, axis]).astype(int), 0, size - 1)
        for axis, size in ((0, width), (1, height))
    )
    colours = frame.image[v, u]
    if colours.ndim == 1:
        colours = np.repeat(colours[:, None], 3, axis=1)
    red, green, blue = colours.astype(np.uint32).T
    points = scene.points_world[0].cpu().double().numpy()[valid]
    points = points @ map_from_scene[:3, :3].T + map_from_scene[:3, 3]
    table = np.zeros(len(points), dtype=[(field.name, np.float32) for field in FIELDS])
    table['x'], table['y'], table['z'] = points.T
    # RViz reads the bits of this float as 0x00rrggbb.
    table['rgb'] = (red << 16 | green << 8 | blue).view(np.float32)
    table['sigma'] = scene.sigma_px[0].float().cpu().numpy()[valid]
    table['inlier'] = inliers[valid]
    return table


def draw_cells(
    frame: Frame, scene: SceneCoordinates, inliers: np.ndarray, pixels: np.ndarray
) -> np.ndarray:
    """Return the image (H, W, 3) with a dot for each valid cell, coloured by inlier or outlier."""
    image = frame.image if frame.image.ndim == 3 else cv2.cvtColor(frame.image, cv2.COLOR_GRAY2RGB)
    image = np.ascontiguousarray(image).copy()
    valid = scene.valid[0].cpu().numpy() & np.isfinite(pixels).all(axis=1)
    radius = max(1, image.shape[0] // 240)
    for index in np.flatnonzero(valid):
        u, v = (round(float(x)) for x in pixels[index])
        cv2.circle(image, (u, v), radius, INLIER_RGB if inliers[index] else OUTLIER_RGB, -1)
    return image
