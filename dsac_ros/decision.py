# SPDX-License-Identifier: Apache-2.0
"""Trust a pose or say why not, by what the map learned on its held-out frames."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from dsac_ros.alignment.align import Alignment
from dsac_ros.alignment.feature_localizer import CHANCE
from dsac_ros.alignment.feature_pose import FeaturePose
from dsac_ros.calibration import Calibration
from dsac_ros.geometry.rotation import quaternion_from_matrix
from dsac_ros.geometry.se3 import same_view
from dsac_ros.query import Query
from dsac_ros.types import Camera, Localization, Result

# What landmarks in a corner of the image alone say is believed this near to what else confirms it.
CORNER = 0.1


def decide(query: Query, alignment: Alignment | None, by_features: tuple[Tensor, Tensor] | None,
           calibration: Calibration, origin: np.ndarray, depth: float,
           max_position_sigma: float) -> Localization:
    """Choose between the poses that were found for a frame, and accept one or refuse.

    Features decide where enough of them agree, then landmarks, then the scene coordinates, which
    alone the thresholds of the cells are for.

    Args:
        query: what was computed of the frame.
        alignment: the best alignment with the landmarks.
        by_features: pose (4, 4) and covariance (6, 6) in which features take part: enough to
            confirm it, or a few that make one more precise which landmarks confirm.
        calibration: thresholds and covariances of the map.
        origin: (3,) of the map's frame in the world.
        depth: distance of what the cameras of the map see, about [m].
        max_position_sigma: largest standard deviation of a position, as a share of the depth.
    """
    frame, estimate = query.frame, query.estimate
    share = confirmed(alignment)
    evidence = {'inlier_ratio': 0.0, 'inlier_count': 0, 'inlier_spread': 0.0,
                'hypothesis_agreement': 0.0, 'landmark_share': share,
                'feature_matches': query.matches}
    if estimate is not None:
        evidence |= {'inlier_ratio': float(estimate.inlier_ratio[0]),
                     'inlier_count': int(estimate.inlier_count[0]),
                     'inlier_spread': float(estimate.spread[0]),
                     'hypothesis_agreement': float(estimate.agreement[0])}
    if by_features is not None:
        pose, raw = by_features
    elif calibration.convincing(share):
        pose, raw = alignment.world_from_camera, alignment.covariance
    elif estimate is not None and bool(estimate.found[0]):
        pose, raw = estimate.world_from_camera[0], estimate.covariance[0]
    else:
        return Localization(Result.LOW_INLIERS, 'no pose agrees with the scene coordinates; '
                            'the image may show another place', frame.stamp_ns, frame.name,
                            timings_ms=query.clock.laps)
    result, reason = calibration.verdict(*evidence.values())
    if by_features is None and calibration.convincing(share):
        result, reason = agreement_verdict(alignment, query.features, depth)
    if (result is Result.ACCEPTED and by_features is None
            and in_a_corner(pose, alignment, calibration, depth)):
        pose = alignment.world_from_camera
    pose, raw = in_world(pose, raw, origin)
    covariance = (calibration.covariance(raw, share, query.matches)
                  if np.isfinite(raw).all() else None)
    if result is Result.ACCEPTED:
        result, reason = position_verdict(pose, covariance, max_position_sigma * depth)
    error = estimate if estimate is not None else query.features.estimate
    return Localization(
        result, reason, frame.stamp_ns, frame.name, world_from_camera=pose, covariance=covariance,
        reprojection_error_px=float(error.reprojection_error_px[0]), **evidence,
        landmark_ratio=alignment.overall if alignment else 0.0,
        confidence=float(calibration.confidence(*(evidence[name] for name in (
            'inlier_ratio', 'inlier_spread', 'hypothesis_agreement', 'landmark_share',
            'feature_matches')))), timings_ms=query.clock.laps)


def confirmed(alignment: Alignment | None) -> float:
    """Return the share of the landmarks that confirm an alignment.

    None do where they lie in a corner of the image, or fit elsewhere as well.
    """
    if alignment is None or alignment.corner or alignment.repeats:
        return 0.0
    return alignment.share


def agreement_verdict(alignment: Alignment, features: FeaturePose | None,
                      depth: float) -> tuple[Result, str]:
    """Return ACCEPTED, or AMBIGUOUS where features tell another pose than landmarks do.

    Features that are too few to confirm their pose, and too many to agree by chance. depth: of
    what the cameras of the map see, about [m].
    """
    if not beyond_chance(features) or tell_one_view(alignment, features, depth):
        return Result.ACCEPTED, ''
    pose, other = alignment.world_from_camera, features.estimate.world_from_camera[0]
    metres = float(torch.linalg.norm(pose[:3, 3] - other[:3, 3].to(pose)))
    return Result.AMBIGUOUS, (
        f'{alignment.share:.0%} of the landmarks fit one pose and {features.count} features '
        f'another, {metres:.3g} m away')


def tell_one_view(alignment: Alignment, features: FeaturePose | None, depth: float) -> bool:
    """Return True if features, more than agree by chance, tell the view that landmarks tell."""
    return beyond_chance(features) and same_view(
        alignment.world_from_camera,
        features.estimate.world_from_camera[0].to(alignment.world_from_camera), CORNER, depth)


def beyond_chance(features: FeaturePose | None) -> bool:
    """Return True if more features agree than with some pose of another place."""
    return features is not None and features.count > CHANCE


def in_a_corner(pose: Tensor, alignment: Alignment | None, calibration: Calibration,
                depth: float) -> bool:
    """Return True if landmarks in a corner refine a pose (4, 4) that something else confirms."""
    return (alignment is not None and alignment.corner and not alignment.repeats
            and calibration.convincing(alignment.share)
            and same_view(alignment.world_from_camera, pose.to(alignment.world_from_camera),
                          CORNER, depth))


def position_verdict(world_from_camera: np.ndarray, covariance: np.ndarray | None,
                     max_sigma_m: float) -> tuple[Result, str]:
    """ACCEPTED, or POSITION_UNDETERMINED with the rotation, which may be right nevertheless.

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
        f'{x:.4f} {y:.4f} {z:.4f} {w:.4f}')


def in_world(pose: Tensor, covariance: Tensor,
             origin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A pose (4, 4) of the map's frame in that of the world, and its covariance, as arrays."""
    placed = pose.cpu().double().numpy().copy()
    placed[:3, 3] += origin
    return placed, covariance.cpu().double().numpy()


def with_focal_verdict(found: Localization, ratio: float, camera: Camera) -> Localization:
    """Refuse an accepted localization where its image fits `ratio` times the focal length."""
    if ratio == 1.0:
        return found
    given = float(np.sqrt(camera.matrix[0, 0] * camera.matrix[1, 1]))
    return replace(found, result=Result.BAD_INTRINSICS, reason=(
        f'the image fits f = {ratio * given:.0f} px, the calibration says {given:.0f} px: use the '
        'camera_info of this camera and image size (binning applied once), or the right --focal'))
