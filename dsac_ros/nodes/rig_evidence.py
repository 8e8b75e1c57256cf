# SPDX-License-Identifier: Apache-2.0
"""Evidence of images that have no accepted pose of their own: together, through odometry.

The last few, taken from different viewpoints, are a rig whose shape odometry knows. One pose of it
is scored over all of them; a robot whose camera is half covered finds itself as it moves.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np
import torch

from dsac_ros.alignment.rig import RigView
from dsac_ros.corroboration import localize_rig
from dsac_ros.geometry.half_turn import UPRIGHT_FROM_CAMERA
from dsac_ros.localizer import Localizer
from dsac_ros.nodes.answering_map import answering_system
from dsac_ros.nodes.odometry import Odometry
from dsac_ros.nodes.relocalization import NodeOutput, Relocalization
from dsac_ros.nodes.transforms import TransformUnavailable
from dsac_ros.recovery.agreement import planar_difference
from dsac_ros.recovery.config import RecoveryConfig
from dsac_ros.recovery.events import VisualFix
from dsac_ros.types import Result, SceneCoordinates

#: Refusals of images whose matches may be right nevertheless.
TOO_WEAK = (Result.LOW_INLIERS, Result.LOW_SPREAD)
MAX_VIEWS = 4
MAX_REMEMBERED = 30
#: Fewer views are hardly more than one image.
MIN_VIEWS = 3


@dataclass(frozen=True)
class WeakImage:
    """A refused image: its matches in an ideal image of size_wh.

    odom_from_base and odom_from_view (4, 4) are those at its stamp, once known.
    """

    output: NodeOutput
    matches: SceneCoordinates
    size_wh: tuple[int, int]
    odom_from_base: np.ndarray | None = None
    odom_from_view: np.ndarray | None = None


class RigEvidence:
    """Used by the worker alone."""

    def __init__(self, odometry: Odometry) -> None:
        self._odometry = odometry
        self._images: deque[WeakImage] = deque(maxlen=MAX_REMEMBERED)

    def add(
        self, output: NodeOutput, relocalization: Relocalization, config: RecoveryConfig
    ) -> VisualFix | None:
        """Take a refused image; return a pose of the robot where several agree with one.

        The pose is at the stamp of the newest image whose odometry is known. Nothing waits.
        """
        if output.view is None or output.localization.result not in TOO_WEAK:
            return None
        trace = output.view.trace
        localizer = answering_system(relocalization.localizer, output.localization)
        if trace.matches is None or not isinstance(localizer, Localizer):
            return None
        if localizer.twins and localizer.shows_twin(localizer.query(output.view.frame)):
            return None  # all together they would tell the room no better
        self._images.append(WeakImage(replace(output, view=None), trace.matches, trace.size_wh))
        known = [
            self._with_odometry(one, relocalization)
            for one in self._images
            if one.output.localization.map_id == output.localization.map_id
        ]
        self._images = deque(known, MAX_REMEMBERED)
        chosen = spread_views(
            [one for one in known if one.odom_from_base is not None], output.stamp, config
        )
        if len(chosen) < MIN_VIEWS:
            return None
        newest = chosen[0]
        found = localize_rig(
            localizer,
            [self._view(one, newest) for one in chosen],
            newest.output.stamp,
        )
        if not found.accepted:
            return None
        placed = relocalization.placed(replace(newest.output, localization=found))
        if placed.map_from_base is None:
            return None
        return VisualFix(
            placed.stamp * 1e-9, placed.map_from_base, placed.covariance, newest.odom_from_base
        )

    def _with_odometry(self, image: WeakImage, relocalization: Relocalization) -> WeakImage:
        """Add the poses by odometry if TF has them now."""
        if image.odom_from_base is not None:
            return image
        try:
            odom_from_base = self._odometry.at(image.output)
            base_from_camera = np.linalg.inv(relocalization.camera_from_base(image.output))
        except TransformUnavailable:
            return image
        odom_from_view = odom_from_base @ base_from_camera
        if relocalization.values.rotate_180:
            odom_from_view = odom_from_view @ np.linalg.inv(UPRIGHT_FROM_CAMERA)
        return replace(image, odom_from_base=odom_from_base, odom_from_view=odom_from_view)

    @staticmethod
    def _view(image: WeakImage, newest: WeakImage) -> RigView:
        assert newest.odom_from_view is not None and image.odom_from_view is not None
        rig_from_camera = np.linalg.solve(newest.odom_from_view, image.odom_from_view)
        return RigView(image.matches, image.size_wh, torch.from_numpy(rig_from_camera))


def spread_views(images: list[WeakImage], now: int, config: RecoveryConfig) -> list[WeakImage]:
    """Choose up to MAX_VIEWS images, newest first, whose viewpoints differ; now [ns]."""
    chosen: list[WeakImage] = []
    for image in reversed(images):
        if now - image.output.stamp > config.evidence_time * 1e9:
            break
        if all(differs(image, other, config) for other in chosen):
            chosen.append(image)
        if len(chosen) == MAX_VIEWS:
            break
    return chosen


def differs(one: WeakImage, other: WeakImage, config: RecoveryConfig) -> bool:
    """Return True for images of two cameras, or if the robot moved or turned enough between."""
    assert one.odom_from_base is not None and other.odom_from_base is not None
    if one.output.camera_frame != other.output.camera_frame:
        return True
    distance, angle = planar_difference(one.odom_from_base, other.odom_from_base)
    return distance >= config.viewpoint_change_xy or angle >= np.radians(
        config.viewpoint_change_yaw
    )
