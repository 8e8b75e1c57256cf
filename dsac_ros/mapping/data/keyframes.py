# SPDX-License-Identifier: Apache-2.0
"""Selection of keyframes: images that are sharp, steady and from a new viewpoint."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, deque
from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np
import torch

from dsac_ros.config import setting
from dsac_ros.geometry.resample import to_gray
from dsac_ros.geometry.se3 import rotation_angle
from dsac_ros.mapping.data.pose_uncertainty import too_uncertain
from dsac_ros.mapping.data.viewpoint_coverage import CELL_M, MAX_POSITION_M

SHARPNESS_SIDE = 320  # px; sharpness is compared between images of one camera, so size is free


@dataclass(frozen=True)
class KeyframeConfig:
    """Conditions on a keyframe."""

    min_translation: float = setting(
        0.10, 'movement since the last keyframe that makes a new one', unit='m', low=0.0
    )
    min_rotation_deg: float = setting(
        10.0, 'turn since the last keyframe that makes a new one', unit='deg', low=0.0, high=180.0
    )
    max_rotation_rate: float = setting(
        1.0, 'faster turns blur images, which are left out; 0: any', unit='rad/s', low=0.0
    )
    min_sharpness: float = setting(
        0.35,
        'sharpness that an image must have, as a share of the median of the last images; 0: any',
        low=0.0,
        high=1.0,
    )
    sharpness_window: int = setting(60, 'images in that median', low=3)
    max_pose_std_xy: float = setting(
        0.0,
        'largest standard deviation of a position in the x-y plane, by the covariance on `pose`, '
        'or on `amcl_pose` with pose_source tf; 0: any',
        unit='m',
        low=0.0,
    )
    max_pose_std_yaw: float = setting(
        0.0,
        'the same of the heading; 0: any',
        unit='rad',
        low=0.0,
    )
    max_tf_jump: float = setting(
        0.1,
        'motion of map_frame -> odom_frame between two keyframes, at the camera or 2 m ahead of '
        'it, that begins a new segment of the dataset; 0: none',
        unit='m',
        low=0.0,
    )


class Verdict(Enum):
    """Why an image was kept or not."""

    KEPT = 'kept'
    MOTION = 'motion'
    POSE = 'pose'
    BLUR = 'blur'
    DUPLICATE = 'duplicate'
    IMAGE = 'image'
    UNCERTAIN = 'uncertain'


class KeyframeGate:
    """Judges posed images in the order in which they were taken.

    `moved` needs only the pose, so that most images are never decoded; `keep` looks at the pixels
    of those that moved enough.
    """

    def __init__(self, config: KeyframeConfig) -> None:
        self.config = config
        self._kept: np.ndarray | None = None
        self._last: tuple[int, np.ndarray] | None = None
        self._sharpness: deque[float] = deque(maxlen=config.sharpness_window)
        self._digest = b''

    def certain(self, covariance: np.ndarray | None, topic: str) -> tuple[Verdict, str]:
        """Check the covariance (6, 6) of a pose, None if there is none: KEPT or UNCERTAIN."""
        reason = too_uncertain(
            covariance, self.config.max_pose_std_xy, self.config.max_pose_std_yaw, topic
        )
        return (Verdict.UNCERTAIN if reason else Verdict.KEPT), reason

    def moved(self, stamp_ns: int, world_from_camera: np.ndarray) -> tuple[Verdict, str]:
        """Check that the camera is steady at a new place: KEPT, MOTION or POSE with a reason."""
        if not np.isfinite(world_from_camera).all():
            return Verdict.POSE, 'the pose holds NaN or infinity'
        if np.abs(world_from_camera[:3, 3]).max() > MAX_POSITION_M:
            return Verdict.POSE, (
                f'the camera is {np.abs(world_from_camera[:3, 3]).max():.3g} m from the origin, '
                f'expected at most {MAX_POSITION_M:g} m'
            )
        last, self._last = self._last, (stamp_ns, world_from_camera)
        if last is not None and stamp_ns > last[0] and self.config.max_rotation_rate > 0:
            rate = angle_between(last[1], world_from_camera) / ((stamp_ns - last[0]) * 1e-9)
            if rate > self.config.max_rotation_rate:
                return Verdict.MOTION, (
                    f'the camera turns with {rate:.2f} rad/s, at most '
                    f'{self.config.max_rotation_rate:g} are allowed'
                )
        if self._kept is None:
            return Verdict.KEPT, ''
        distance = float(np.linalg.norm(world_from_camera[:3, 3] - self._kept[:3, 3]))
        angle = math.degrees(angle_between(self._kept, world_from_camera))
        if distance < self.config.min_translation and angle < self.config.min_rotation_deg:
            return Verdict.MOTION, f'only {distance:.2f} m and {angle:.0f} deg since the last one'
        return Verdict.KEPT, ''

    def keep(self, image: np.ndarray, world_from_camera: np.ndarray) -> tuple[Verdict, str]:
        """Check that an image (H, W[, 3]) is new and sharp; KEPT makes it the last keyframe."""
        digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()
        if digest == self._digest:
            return Verdict.DUPLICATE, 'the image is the same as the one before: a frozen camera?'
        self._digest = digest
        now, before = sharpness(image), list(self._sharpness)
        self._sharpness.append(now)
        if len(before) >= 3 and now < self.config.min_sharpness * float(np.median(before)):
            return Verdict.BLUR, (
                f'the image has {now / np.median(before):.0%} of the usual '
                f'sharpness, expected {self.config.min_sharpness:.0%}'
            )
        self._kept = world_from_camera
        return Verdict.KEPT, ''


def angle_between(a: np.ndarray, b: np.ndarray) -> float:
    """Return the angle [rad] between the rotations of two poses (4, 4)."""
    return float(rotation_angle(torch.from_numpy(a[:3, :3].T @ b[:3, :3])))


def sharpness(image: np.ndarray) -> float:
    """Standard deviation of the Laplacian of an image (H, W[, 3]) uint8, at a common size."""
    gray = to_gray(image)
    scale = SHARPNESS_SIDE / max(gray.shape)
    if scale < 1.0:
        gray = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(gray, cv2.CV_32F).std())


class Coverage:
    """Statistics of a recording: counts, the path and the ground that its positions cover."""

    def __init__(self) -> None:
        self.images = 0
        self.verdicts: Counter[Verdict] = Counter()
        self.last_reason = ''
        self.distance = 0.0
        self.poses: list[np.ndarray] = []
        self._cells: set[tuple[int, int]] = set()

    def add(self, verdict: Verdict, reason: str, world_from_camera: np.ndarray | None) -> None:
        """Count an image that was judged."""
        self.images += 1
        self.verdicts[verdict] += 1
        if verdict is not Verdict.KEPT or world_from_camera is None:
            self.last_reason = reason
            return
        if self.poses:
            self.distance += float(
                np.linalg.norm(world_from_camera[:3, 3] - self.poses[-1][:3, 3])
            )
        self.poses.append(world_from_camera)
        x, y = np.floor(world_from_camera[:2, 3] / CELL_M).astype(int)
        self._cells.add((int(x), int(y)))

    @property
    def cells(self) -> int:
        """Return the number of ground cells with a keyframe."""
        return len(self._cells)

    @property
    def area(self) -> float:
        """Their area [m^2]."""
        return self.cells * CELL_M**2
