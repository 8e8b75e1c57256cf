# SPDX-License-Identifier: Apache-2.0
"""The values that travel between modules; all frozen, none with behaviour.

Conventions (docs/conventions.md): `world_from_camera` is a 4x4 that takes points of the optical
camera frame (x right, y down, z forward) to the world; metres, radians, integer nanoseconds; an
integer pixel is a pixel's centre, (0, 0) the centre of the top-left one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

PINHOLE = 'pinhole'
PLUMB_BOB = 'plumb_bob'
RATIONAL_POLYNOMIAL = 'rational_polynomial'
EQUIDISTANT = 'equidistant'


@dataclass(frozen=True)
class Camera:
    """Intrinsics of one image as it was taken: size, 3x3 matrix K [px], distortion model.

    assumptions say what was taken where the calibration does not say it, one line each.
    """

    size_wh: tuple[int, int]
    matrix: np.ndarray
    model: str = PINHOLE
    distortion: tuple[float, ...] = ()
    assumptions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Frame:
    """One image and the camera that took it.

    image (H, W) or (H, W, 3) uint8, gray or RGB; depth (H, W) float32 [m] registered to the image,
    0 where there is none; mask (H, W) bool: pixels that show the scene, None for all; stamp_ns is
    the header's time stamp.
    """

    image: np.ndarray
    camera: Camera
    stamp_ns: int = 0
    name: str = ''
    depth: np.ndarray | None = None
    mask: np.ndarray | None = None


@dataclass(frozen=True)
class TrackedPoints:
    """Points that an image shows, as a model from structure from motion knows them.

    points_world (K, 3) float64; ids (K,) int64: a point has the same one in every image;
    descriptors (K, 128) uint8: its RootSIFT in this image, None where the model has none.
    """

    points_world: np.ndarray
    ids: np.ndarray
    descriptors: np.ndarray | None = None


@dataclass(frozen=True)
class PosedFrame:
    """A frame and where it was taken: world_from_camera (4, 4) float64.

    points reads what a model knows of the points that the frame shows; None where there is none.
    """

    frame: Frame
    world_from_camera: np.ndarray
    points: Callable[[], TrackedPoints] | None = None


@dataclass(frozen=True)
class SceneCoordinates:
    """Predictions of the network for B images: the one contract between network and RANSAC.

    points_world (B, N, 3) [m], pixels (B, N, 2) of the cells' centres, sigma_px (B, N) the
    predicted standard deviation of the reprojection error, valid (B, N) bool: cells that lie on
    the image, matrices (B, 3, 3) the intrinsics of the ideal pinhole the pixels live in,
    grid_hw the cells' grid with N = h w, row-major. depth (B, N) [m] is what a sensor measured
    along the optical axis, 0 where it did not; None for RGB alone.
    """

    points_world: Tensor
    pixels: Tensor
    sigma_px: Tensor
    valid: Tensor
    matrices: Tensor
    grid_hw: tuple[int, int]
    depth: Tensor | None = None


class Result(IntEnum):
    """Why a frame was or was not accepted; the values of RelocalizationStatus.result."""

    ACCEPTED = 0
    NO_CAMERA_INFO = 1
    BAD_IMAGE = 2
    LOW_INLIERS = 3
    LOW_SPREAD = 4
    AMBIGUOUS = 5
    JUMP_REJECTED = 6
    TF_UNAVAILABLE = 7
    STALE = 8
    OUT_OF_MAP = 9
    ERROR = 10
    BAD_INTRINSICS = 11
    POSITION_UNDETERMINED = 12


@dataclass(frozen=True)
class PoseStatistics:
    """Evidence for a pose, from which `acceptance.AcceptanceModel` decides.

    inlier_ratio, inlier_count: cells whose scene coordinates agree with the pose. inlier_spread:
    share of the image that these inliers cover. hypothesis_agreement: share of the refined
    hypotheses that agree with the winner. visible_inlier_ratio: inliers among the landmarks that
    are not occluded (`alignment.verification`); 0 where they lie in a corner of the image or are
    repetitive and so verify nothing. feature_inliers: local features that agree, at most two in
    each of 48 grid bins, of which up to seven agree by chance. agreeing: landmarks and more
    features than that tell one view. contradicted: they tell two views, or the image does not show
    the landmarks that are in view at the pose of the features.
    """

    inlier_ratio: float = 0.0
    inlier_count: int = 0
    inlier_spread: float = 0.0
    hypothesis_agreement: float = 0.0
    visible_inlier_ratio: float = 0.0
    feature_inliers: int = 0
    contradicted: bool = False
    agreeing: bool = False


@dataclass(frozen=True)
class Localization:
    """Pose of a frame, or the reason why it is not known.

    world_from_camera (4, 4) float64 is None where there is no estimate at all; beside a refusal
    it is the best guess, which was not good enough. covariance (6, 6) is of the perturbation
    (x, y, z, rotation about x, y, z) [m, rad] of the camera in world axes (ROS order);
    refinement_covariance is that of the refinement, before the map has widened it. confidence in
    [0, 1] is the probability that the pose is within 0.25 m and 5 deg of the truth. timings_ms:
    stage -> milliseconds. map_id and map_frame: of a map set, the map that answers and the frame
    that its poses are in; '' of a map alone.
    """

    result: Result
    reason: str = ''
    stamp_ns: int = 0
    name: str = ''
    world_from_camera: np.ndarray | None = None
    covariance: np.ndarray | None = None
    statistics: PoseStatistics = PoseStatistics()
    reprojection_error_px: float = float('nan')
    confidence: float = 0.0
    timings_ms: dict[str, float] = field(default_factory=dict)
    map_id: str = ''
    map_frame: str = ''
    refinement_covariance: np.ndarray | None = None

    @property
    def accepted(self) -> bool:
        """Return True if the pose may be used."""
        return self.result == Result.ACCEPTED
