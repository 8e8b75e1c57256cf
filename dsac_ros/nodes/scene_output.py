# SPDX-License-Identifier: Apache-2.0
"""Views of the map and of poses in it: ~/candidates, ~/map_points, ~/markers."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import PoseArray
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2, PointField
from sensor_msgs_py import point_cloud2
from visualization_msgs.msg import Marker, MarkerArray

from dsac_ros.map_container import StoredMap
from dsac_ros.nodes import conversions, markers
from dsac_ros.nodes.relocalization import NodeOutput, Relocalization

#: Only the newest is of interest; reliable, as RViz asks for it.
NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
FIELDS = [
    PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
    for index, name in enumerate('xyz')
]
MAX_MAP_POINTS = 20_000
#: Length of frustums, as a share of the scene's typical depth: of the camera, of reference views.
CAMERA_SIZE, REFERENCE_SIZE = 0.15, 0.05
#: Candidates nearer to each other, as a share of the depth or [rad], are one.
SAME_VIEW = 0.01


class SceneOutput:
    """Publishers of what a person looks at; markers and candidates only for subscribers."""

    def __init__(self, node: Node, map_frame: str) -> None:
        self._node, self._map_frame = node, map_frame
        self._candidates = node.create_publisher(PoseArray, '~/candidates', NEWEST)
        self._points = node.create_publisher(PointCloud2, '~/map_points', LATCHED)
        self._markers = node.create_publisher(MarkerArray, '~/markers', NEWEST)
        self._shown: tuple[str, list[float]] | None = None
        self._references: Marker | None = None
        self._listeners = 0
        # Stamp 0 is valid at any time: a viewer may come when TF has long forgotten the loading.
        self._always = conversions.header(map_frame, 0)

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in (self._candidates, self._points, self._markers):
            self._node.destroy_publisher(publisher)

    def show_map(self, loaded: StoredMap, map_alignment: list[float]) -> None:
        """Publish the points of a map, once for each map and alignment.

        Args:
            loaded: the map.
            map_alignment: parameter of that name.
        """
        key = loaded.id, list(map_alignment)
        if key == self._shown:
            return
        self._shown, self._references = key, None
        self.clear()  # cameras of another map
        map_from_scene = conversions.matrix_from_xyz_rpy(map_alignment) @ shifted(loaded.origin)
        self._points.publish(
            point_cloud2.create_cloud(self._always, FIELDS, map_points(loaded, map_from_scene))
        )

    def publish(self, output: NodeOutput, relocalization: Relocalization) -> None:
        """Publish what was found in one image; called by the worker."""
        if output.view is None:
            return
        depth = float(relocalization.localizer.depth)
        head = conversions.header(output.map_frame or self._map_frame, output.stamp)
        if self._candidates.get_subscription_count() > 0:
            poses = markers.distinct(
                relocalization.candidate_poses(output), SAME_VIEW * depth, SAME_VIEW
            )
            self._candidates.publish(
                PoseArray(header=head, poses=[conversions.pose_message(pose) for pose in poses])
            )
        listeners = self._markers.get_subscription_count()
        if listeners > 0:
            found = self._image_markers(output, relocalization, CAMERA_SIZE * depth)
            if listeners != self._listeners:  # somebody who has not seen the map's views
                found.append(self._reference_views(relocalization))
            self._markers.publish(MarkerArray(markers=found))
        self._listeners = listeners

    def clear(self) -> None:
        """Remove all markers."""
        if self._markers.get_subscription_count() > 0:
            self._markers.publish(
                MarkerArray(markers=[Marker(header=self._always, action=Marker.DELETEALL)])
            )
        self._listeners = 0

    def _reference_views(self, relocalization: Relocalization) -> Marker:
        """Return the marker of the reference views; made once for each map and alignment."""
        if self._references is None:
            loaded = relocalization.localizer.map
            placed = relocalization.map_from_world @ shifted(loaded.origin)
            length = REFERENCE_SIZE * relocalization.localizer.depth
            views = loaded.reference_images
            self._references = markers.reference_marker(
                self._always,
                [placed @ np.linalg.inv(one.camera_from_map) for one in views],
                [markers.frustum_lines(one.matrix, one.camera.size_wh, length) for one in views],
            )
        return self._references

    def _image_markers(
        self, output: NodeOutput, relocalization: Relocalization, length: float
    ) -> list[Marker]:
        """Return the camera of an image, and the ellipsoid of an accepted pose."""
        guess = relocalization.map_from_camera(output)
        if guess is None or output.view is None:
            return []
        head = conversions.header(output.map_frame or self._map_frame, output.stamp)
        camera = output.view.frame.camera
        lines = markers.frustum_lines(camera.matrix, camera.size_wh, length)
        accepted = output.map_from_camera is not None
        found = [markers.camera_marker(head, guess, lines, accepted, output.camera_frame)]
        if output.map_from_base is not None and output.covariance is not None:
            found.append(markers.covariance_marker(head, output.map_from_base, output.covariance))
        return found


def shifted(origin: np.ndarray) -> np.ndarray:
    """Return world_from_scene (4, 4) of the frame of a map whose origin (3,) is given."""
    matrix = np.eye(4)
    matrix[:3, 3] = origin
    return matrix


def map_points(loaded: StoredMap, map_from_scene: np.ndarray) -> np.ndarray:
    """Return x, y, z of a map's landmarks, or of its feature points where it has none.

    Args:
        loaded: the map.
        map_from_scene: (4, 4), transforms the map's own points to the map frame.

    Returns:
        Structured array of at most MAX_MAP_POINTS, evenly chosen.
    """
    points = [one.points for one in loaded.reference_images if len(one.pixels)]
    if not points and loaded.points is not None:
        points = [np.asarray(loaded.points.points, dtype=float)]
    every = np.concatenate([*points, np.zeros((0, 3))])
    chosen = every[:: max(1, -(-len(every) // MAX_MAP_POINTS))]
    placed = chosen @ map_from_scene[:3, :3].T + map_from_scene[:3, 3]
    table = np.zeros(len(placed), dtype=[(field.name, np.float32) for field in FIELDS])
    table['x'], table['y'], table['z'] = placed.T
    return table
