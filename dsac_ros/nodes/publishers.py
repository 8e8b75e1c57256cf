# SPDX-License-Identifier: Apache-2.0
"""Publishers of the relocalizer: poses of accepted images, status of all images, map info."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Bool

from dsac_ros.map_file import focal_range
from dsac_ros.msg import MapInfo, RelocalizationStatus
from dsac_ros.nodes import conversions
from dsac_ros.nodes.divergence import UNKNOWN
from dsac_ros.nodes.reason_log import one_line
from dsac_ros.nodes.relocalization import BAD_FRAME, NodeOutput
from dsac_ros.recovery.state import Condition
from dsac_ros.types import Result

RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
MAX_UINT8, MAX_UINT16 = 255, 65535

#: Time for a subscriber to hear that the robot is not localized any more.
LAST_WORDS = Duration(seconds=0.5)


class Publishers:
    """The publishers of one relocalizer and its counters."""

    def __init__(self, node: Node, map_frame: str) -> None:
        self._node, self._map_frame = node, map_frame
        self._pose = node.create_publisher(PoseStamped, '~/pose', RELIABLE)
        self._uncertain_pose = node.create_publisher(
            PoseWithCovarianceStamped, '~/pose_with_covariance', RELIABLE
        )
        self._camera_pose = node.create_publisher(PoseStamped, '~/camera_pose', RELIABLE)
        self._status = node.create_publisher(RelocalizationStatus, '~/status', RELIABLE)
        self._localized = node.create_publisher(Bool, '~/localized', LATCHED)
        self._kidnapped = node.create_publisher(Bool, '~/kidnapped', LATCHED)
        self._map_info = node.create_publisher(MapInfo, '~/map_info', LATCHED)
        self._last_condition: Condition | None = None
        self._accepted = self._rejected = self._bad = 0

    def close(self) -> None:
        """Destroy the publishers, when the last of what is latched has arrived."""
        for publisher in (self._localized, self._kidnapped):
            publisher.wait_for_all_acked(LAST_WORDS)
        for publisher in (
            self._pose,
            self._uncertain_pose,
            self._camera_pose,
            self._status,
            self._localized,
            self._kidnapped,
            self._map_info,
        ):
            self._node.destroy_publisher(publisher)

    def reset(self) -> None:
        """Reset the counters and publish that the robot is not localized."""
        self._accepted = self._rejected = self._bad = 0
        self.publish_condition(Condition.LOST)

    def publish_poses(self, output: NodeOutput) -> None:
        """Publish the accepted poses, if any."""
        head = conversions.header(output.map_frame or self._map_frame, output.stamp)
        if output.map_from_camera is not None:
            self._camera_pose.publish(
                PoseStamped(header=head, pose=conversions.pose_message(output.map_from_camera))
            )
        if output.map_from_base is None:
            return
        pose = conversions.pose_message(output.map_from_base)
        self._pose.publish(PoseStamped(header=head, pose=pose))
        message = PoseWithCovarianceStamped(header=head)
        message.pose.pose = pose
        message.pose.covariance = conversions.covariance_values(output.covariance)
        self._uncertain_pose.publish(message)

    def publish_status(
        self,
        output: NodeOutput,
        map_id: str,
        dropped: int,
        now: int,
        condition: Condition,
        attempts: int,
        note: str = '',
        divergence: tuple[float, float] = UNKNOWN,
    ) -> RelocalizationStatus:
        """Publish the status of an image.

        Args:
            output: of the image, accepted or not.
            map_id: of the map in use; of a map set that of the map that answers is told.
            dropped: images that were not processed.
            now: time of the node's clock [ns].
            condition: state of the recovery.
            attempts: seeds sent since the last verified pose.
            note: the reason told with an accepted image.
            divergence: of the pose from TF's map -> base [m], [rad].
        """
        localization = output.localization
        accepted = localization.accepted
        self._accepted = self._accepted + 1 if accepted else 0
        self._rejected = 0 if accepted else self._rejected + 1
        self._bad += localization.result in BAD_FRAME
        message = RelocalizationStatus(
            header=conversions.header(output.map_frame or self._map_frame, output.stamp),
            state=condition.value,
            result=int(localization.result),
            reason=one_line(localization.reason or note),
            camera=output.camera or output.camera_frame,
            map_id=localization.map_id or map_id,
            inlier_ratio=float(localization.statistics.inlier_ratio),
            inlier_count=int(localization.statistics.inlier_count),
            reprojection_error_px=float(localization.reprojection_error_px),
            hypothesis_agreement=float(localization.statistics.hypothesis_agreement),
            confidence=float(localization.confidence),
            divergence_translation=divergence[0],
            divergence_rotation=divergence[1],
            consecutive_accepted=min(self._accepted, MAX_UINT16),
            consecutive_rejected=min(self._rejected, MAX_UINT16),
            attempts=min(attempts, MAX_UINT8),
            latency=conversions.duration_message(now - output.stamp),
            inference_ms=float(sum(localization.timings_ms.values())),
            frames_dropped=dropped,
            frames_bad=self._bad,
        )
        if localization.result == Result.ACCEPTED:
            message.pose.pose = conversions.pose_message(output.map_from_base)
            message.pose.covariance = conversions.covariance_values(output.covariance)
        else:
            message.pose.pose.orientation.w = 0.0  # an invalid quaternion: no pose
        self._status.publish(message)
        return message

    def publish_condition(self, condition: Condition) -> None:
        """Publish ~/localized and ~/kidnapped when they change."""
        before, self._last_condition = self._last_condition, condition
        for publisher, which in (
            (self._localized, Condition.LOCALIZED),
            (self._kidnapped, Condition.KIDNAPPED),
        ):
            if before is None or (before is which) != (condition is which):
                publisher.publish(Bool(data=condition is which))

    def publish_map_info(self, header: dict[str, Any], path: str, now: int) -> None:
        """Publish the description of the current map."""
        self._map_info.publish(map_info(header, path, self._map_frame, now))


def map_info(about: dict[str, Any], path: str, map_frame: str, now: int) -> MapInfo:
    """Make a MapInfo of a map header; fields that an older map lacks stay unknown.

    The header's image size and focal length are those of a mapping image at `short_side`, its
    bounds those of the camera positions.
    """
    bounds, acceptance = about.get('bounds') or {}, about.get('acceptance') or {}
    held_out = about.get('held_out') or {}
    width, height = about.get('image_size_wh') or (0, 0)
    focal_min, focal_max = focal_range(about)
    return MapInfo(
        header=conversions.header(map_frame, now),
        map_id=str(about.get('id', '')),
        name=str(about.get('name', '')),
        map_url=path,
        created=conversions.time_message(_created_ns(about.get('created'))),
        num_images=int(about.get('frames') or 0),
        bounds_min=conversions.point_message(bounds.get('min')),
        bounds_max=conversions.point_message(bounds.get('max')),
        image_width=int(width),
        image_height=int(height),
        focal_min_px=focal_min,
        focal_max_px=focal_max,
        network=f'encoder {about.get("encoder_id", "?")}, head {about.get("head", "?")}',
        median_error_m=_number(held_out.get('median_translation_m')),
        median_error_deg=_number(held_out.get('median_rotation_deg')),
        covariance_scale=_number(acceptance.get('covariance_scale')),
        covariance_floor_m=_number(acceptance.get('floor_m')),
        covariance_floor_rad=_number(acceptance.get('floor_rad')),
        training_frame=str(about.get('map_frame', '')),
    )


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else math.nan


def _created_ns(text: Any) -> int:
    try:
        return max(0, int(datetime.fromisoformat(str(text)).timestamp() * 1e9))
    except ValueError:
        return 0
