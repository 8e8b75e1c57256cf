# SPDX-License-Identifier: Apache-2.0
"""Decision on a frame: the pose that is believed, and whether it is accepted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from dsac_ros.acceptance import AcceptanceModel
from dsac_ros.alignment.align import Alignment
from dsac_ros.alignment.feature_localizer import CHANCE
from dsac_ros.alignment.feature_pose import FeaturePose
from dsac_ros.confidence import REFUSED_MOST, confidence
from dsac_ros.geometry.rotation import quaternion_from_matrix
from dsac_ros.geometry.se3 import same_view
from dsac_ros.map_file import focal_range
from dsac_ros.query import Query
from dsac_ros.types import Camera, Localization, PoseStatistics, Result

# Landmarks and features tell one view where their poses are this near, as a share of the depth or
# as an angle [rad]; landmarks in a corner are believed this near to a pose that is verified.
SAME_VIEW = 0.1
MIN_CONTRAST = 3.0  # gray levels; below, an image is black, white or occluded
# Pixels whose mean has little of the noise of a sensor in the dark, which alone is 3 to 10 levels.
NOISE_KERNEL = 5
MIN_SHOWN = 0.05  # share of an image that its mask must leave
# Ratio to the focal lengths of a map from which on a refusal names them: binning or a resized
# image that camera_info does not know of gives 1.5, 2 or more.
FAR_FOCAL = 1.4


def unusable_image(query: Query) -> Localization | None:
    """Return the refusal of an image that shows nothing; None if it may show something."""
    reason = image_problem(query.image, query.valid_mask)
    if not reason:
        return None
    return Localization(
        Result.BAD_IMAGE,
        reason,
        query.frame.stamp_ns,
        query.frame.name,
        timings_ms=query.clock.laps,
    )


def image_problem(image: np.ndarray, shown: np.ndarray) -> str:
    """Return why an image (H, W) uint8 shows nothing where `shown` (H, W) bool; '' if it may."""
    share = float(shown.mean())
    if share < MIN_SHOWN:
        return (
            f'the mask leaves {100 * share:.1f} % of the image, expected at least '
            f'{100 * MIN_SHOWN:.0f} %'
        )
    smooth = cv2.blur(image, (NOISE_KERNEL, NOISE_KERNEL))
    contrast = (smooth if share == 1.0 else smooth[shown]).std()
    if contrast >= MIN_CONTRAST:
        return ''
    return (
        f'the image has no contrast (standard deviation {contrast:.1f} of 255); is the lens '
        'covered or the exposure off?'
    )


def decide(
    query: Query,
    alignment: Alignment | None,
    by_features: tuple[Tensor, Tensor] | None,
    model: AcceptanceModel,
    origin: np.ndarray,
    depth: float,
    max_position_sigma: float,
) -> Localization:
    """Choose between the poses that were found for a frame, and accept one or refuse.

    Features decide where enough of them agree, then landmarks, then the scene coordinates.

    Args:
        query: what was computed of the frame.
        alignment: the best alignment with the landmarks.
        by_features: pose (4, 4) and covariance (6, 6) in which features take part: enough to
            verify it, or a few that make one more precise which landmarks verify.
        model: acceptance model of the map.
        origin: (3,) of the map's frame in the world.
        depth: median depth of the scene [m].
        max_position_sigma: largest standard deviation of a position, as a share of the depth.
    """
    frame, estimate = query.frame, query.estimate
    statistics = statistics_of(query, alignment, depth)
    if by_features is not None:
        pose, raw = by_features
    elif alignment is not None and model.accepted_by_landmarks(statistics):
        pose, raw = alignment.world_from_camera, alignment.covariance
    elif estimate is not None and bool(estimate.found[0]):
        pose, raw = estimate.world_from_camera[0], estimate.covariance[0]
        if (
            alignment is not None
            and model.verdict(statistics)[0] is Result.ACCEPTED
            and is_refined_in_a_corner(pose, alignment, model, depth)
        ):
            pose = alignment.world_from_camera
    else:
        return Localization(
            Result.LOW_INLIERS,
            'no pose agrees with the scene coordinates; the image may show another place',
            frame.stamp_ns,
            frame.name,
            timings_ms=query.clock.laps,
        )
    world_from_camera, covariance = in_world(pose, raw, origin)
    _, reprojected = query.correspondences()
    found = Localization(
        Result.ACCEPTED,
        '',
        frame.stamp_ns,
        frame.name,
        world_from_camera=world_from_camera,
        covariance=covariance,
        statistics=statistics,
        timings_ms=query.clock.laps,
        reprojection_error_px=float(reprojected.reprojection_error_px[0]),
    )
    return judged(found, model, max_position_sigma * depth)


def judged(found: Localization, model: AcceptanceModel, max_sigma_m: float = 0.0) -> Localization:
    """Apply an acceptance model to a localization whose covariance is that of the refinement.

    max_sigma_m: largest standard deviation of the position; 0: not tested.
    """
    if found.world_from_camera is None:
        return found
    result, reason = model.verdict(found.statistics)
    covariance = found.covariance
    if covariance is not None:
        covariance = (
            model.covariance(covariance, found.statistics)
            if np.isfinite(covariance).all()
            else None
        )
    if result is Result.ACCEPTED:
        result, reason = position_verdict(found.world_from_camera, covariance, max_sigma_m)
    found = replace(
        found,
        covariance=covariance,
        refinement_covariance=found.covariance,
        confidence=confidence(found.statistics, covariance, model),
    )
    return found if result is Result.ACCEPTED else refused(found, result, reason)


def refused(found: Localization, result: Result, reason: str) -> Localization:
    """Refuse a localization; its confidence is never that of a pose that may be used."""
    limited = min(found.confidence, REFUSED_MOST)
    return replace(found, result=result, reason=reason, confidence=limited)


def statistics_of(query: Query, alignment: Alignment | None, depth: float) -> PoseStatistics:
    """Collect the evidence of scene coordinates, landmarks and features for a frame's pose."""
    found = PoseStatistics(
        visible_inlier_ratio=verified_ratio(alignment), feature_inliers=query.feature_inliers
    )
    if alignment is not None and found.visible_inlier_ratio and query.feature_inliers > CHANCE:
        agreeing = tell_one_view(alignment, query.features, depth)
        found = replace(found, agreeing=agreeing, contradicted=not agreeing)
    elif query.lacks_landmarks:
        found = replace(found, contradicted=True)
    if query.estimate is None:
        return found
    estimate = query.estimate
    return replace(
        found,
        inlier_ratio=float(estimate.inlier_ratio[0]),
        inlier_count=int(estimate.inlier_count[0]),
        inlier_spread=float(estimate.spread[0]),
        hypothesis_agreement=float(estimate.agreement[0]),
    )


def verified_ratio(alignment: Alignment | None) -> float:
    """Return the visible inlier ratio of an alignment.

    0 where its inliers lie in a corner of the image or the landmarks are repetitive.
    """
    if alignment is None or alignment.verification.poorly_distributed or alignment.repetitive:
        return 0.0
    return alignment.verification.visible_inlier_ratio


def tell_one_view(alignment: Alignment, features: FeaturePose | None, depth: float) -> bool:
    """Return True if more features than agree by chance tell the view that landmarks tell."""
    if features is None or features.inlier_count <= CHANCE:
        return False
    pose = alignment.world_from_camera
    return same_view(pose, features.estimate.world_from_camera[0].to(pose), SAME_VIEW, depth)


def is_refined_in_a_corner(
    pose: Tensor, alignment: Alignment, model: AcceptanceModel, depth: float
) -> bool:
    """Return True if landmarks in a corner refine a pose (4, 4) that something else verifies."""
    if not alignment.verification.poorly_distributed or alignment.repetitive:
        return False
    corner = PoseStatistics(visible_inlier_ratio=alignment.verification.visible_inlier_ratio)
    return model.accepted_by_landmarks(corner) and same_view(
        alignment.world_from_camera, pose.to(alignment.world_from_camera), SAME_VIEW, depth
    )


def position_verdict(
    world_from_camera: np.ndarray, covariance: np.ndarray | None, max_sigma_m: float
) -> tuple[Result, str]:
    """Return ACCEPTED, or POSITION_UNDETERMINED with the rotation, which may be right.

    Points far away determine the rotation of a pose (4, 4) and hardly its position.
    """
    if covariance is None or max_sigma_m <= 0:
        return Result.ACCEPTED, ''
    sigma = float(np.sqrt(np.linalg.eigvalsh(covariance[:3, :3])[-1]))
    if sigma <= max_sigma_m:
        return Result.ACCEPTED, ''
    x, y, z, w = quaternion_from_matrix(torch.from_numpy(world_from_camera[:3, :3])).tolist()
    return Result.POSITION_UNDETERMINED, (
        f'the position is uncertain by {sigma:.3g} m (1 sigma), expected at most '
        f'{max_sigma_m:.3g} m: what agrees lies far away; the rotation is x y z w = '
        f'{x:.4f} {y:.4f} {z:.4f} {w:.4f}'
    )


def in_world(
    pose: Tensor, covariance: Tensor, origin: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Move a pose (4, 4) from the map's frame to the world; return it and its covariance."""
    placed = pose.cpu().double().numpy().copy()
    placed[:3, 3] += origin
    return placed, covariance.cpu().double().numpy()


def with_focal_verdict(found: Localization, ratio: float, camera: Camera) -> Localization:
    """Refuse an accepted localization whose image fits `ratio` times the focal length."""
    if ratio == 1.0:
        return found
    given = float(np.sqrt(camera.matrix[0, 0] * camera.matrix[1, 1]))
    return refused(
        found,
        Result.BAD_INTRINSICS,
        (
            f'the image fits f = {ratio * given:.0f} px, the calibration says {given:.0f} px: use '
            'the camera_info of this camera and image size (binning applied once), or the right '
            '--focal'
        ),
    )


def with_focal_hint(
    found: Localization, matrix: np.ndarray, header: dict[str, Any]
) -> Localization:
    """Name the focal length in the reason of a refusal if the map was learned with others.

    Args:
        found: refused localization.
        matrix: intrinsics (3, 3) of the image at the short side of the map's images.
        header: of the map.
    """
    focal, (low, high) = float(matrix[0, 0]), focal_range(header)
    # not a number compares as false: of an older map nothing is known
    if not (focal < low / FAR_FOCAL or focal > high * FAR_FOCAL):
        return found
    spans = f'{low:.0f}' if round(low) == round(high) else f'{low:.0f} to {high:.0f}'
    hint = (
        f'the map was learned with f = {spans} px at a short side of {header["short_side"]} px, '
        f'this camera has {focal:.0f} px there: is camera_info right?'
    )
    return replace(found, reason=f'{found.reason}; {hint}')
